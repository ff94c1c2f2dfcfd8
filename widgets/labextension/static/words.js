// How times, counts and states read; the same words as the run widget's.

/** @param {number} ns nanoseconds */
export function duration(ns) {
  if (ns < 1e6) return "<1 ms";
  if (ns < 999.5e6) return `${Math.round(ns / 1e6)} ms`;
  const seconds = ns / 1e9;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** @param {number} value an integer, with narrow no-break spaces between thousands */
export function number(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** @param {number} value money, in the currency of the user's price table */
export function cost(value) {
  return `cost ${value >= 1 ? value.toFixed(2) : Number(value.toPrecision(3))}`;
}

/**
 * @param {number} value
 * @param {string} word in the singular
 */
export function count(value, word) {
  return `${number(value)} ${word}${value === 1 ? "" : "s"}`;
}

/**
 * @param {{duration?: number, tokens?: number, cost?: number}} amounts nanoseconds, tokens, money
 * @returns {string} "8.2 s, 1 240 tokens, cost 0.013"; empty if there is nothing worth saying
 */
export function spent({ duration: ns = 0, tokens = 0, cost: money = 0 }) {
  const parts = [];
  if (ns >= 1e6) parts.push(duration(ns));
  if (tokens) parts.push(count(tokens, "token"));
  if (money) parts.push(cost(money));
  return parts.join(", ");
}

/**
 * A preview's cost, as `spent` takes it.
 * @param {import("./types").Preview["cost"]} cost
 */
export function amount(cost) {
  return {
    duration: cost.seconds * 1e9,
    tokens: cost.input_tokens + cost.output_tokens,
    cost: cost.money ?? 0,
  };
}

/**
 * What a run amounts to.
 * @param {import("./types").Run} run
 */
export const facts = (run) =>
  [count(run.cells, "cell"), run.steps ? count(run.steps, "step") : "", spent(run)].filter(Boolean).join(" · ");

/** @param {number} ns since the epoch */
export function moment(ns) {
  const date = new Date(ns / 1e6);
  const isToday = date.toDateString() === new Date().toDateString();
  const time = date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  return isToday ? time : `${date.toLocaleDateString([], { day: "numeric", month: "short", year: "numeric" })} ${time}`;
}
