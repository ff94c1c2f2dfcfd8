// How numbers and states read; `words.py` says the same for tables and terminals.

/** @type {Record<string, string>} */
export const MARKS = {
  running: "●", retrying: "◌", completed: "✓", restored: "↺", failed: "✗",
  interrupted: "✗", canceled: "-", "in doubt": "?", waiting: "◷", blocked: "✗", stopped: "?",
  terminated: "-", "timed out": "✗", "continued as new": "✓", approved: "✓", rejected: "✗",
  received: "✓", fired: "✓",
};

/** @param {number} ns nanoseconds */
export function duration(ns) {
  if (ns < 1e6) return "<1 ms";
  if (ns < 999.5e6) return `${Math.round(ns / 1e6)} ms`;
  const seconds = ns / 1e9;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${twoDigits(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${twoDigits(Math.floor((whole % 3600) / 60))} min`;
}

/** A time that grows: whole seconds, so that it does not flicker. @param {number} ns */
export function ticking(ns) {
  return ns < 59.95e9 ? `${Math.max(0, Math.floor(ns / 1e9))} s` : duration(ns);
}

/** A time to come, roughly. @param {number} ns */
export function roughly(ns) {
  const seconds = Math.max(1, Math.round(ns / 1e9));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${twoDigits(Math.floor((seconds % 3600) / 60))} min`;
}

/** @param {number} value */
export function twoDigits(value) {
  return String(value).padStart(2, "0");
}

/** @param {number} value */
export function number(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** An amount in the currency of the user's price table. @param {number} value */
export function money(value) {
  return value >= 1 ? value.toFixed(2) : String(Number(value.toPrecision(3)));
}

/**
 * A row's state in one word.
 * @param {import("./types.js").RowData} row
 */
export function stateWord(row) {
  if (row.status !== "completed") return row.status;
  return row.kind === "cell" && row.decision === "recomputed" ? "recomputed" : "ran";
}

/** Steps that run no more. @param {import("./types.js").Counts} counts */
export function ended(counts) {
  return counts.total - counts.running - counts.in_doubt;
}

/** "12 / 40", where 40 are those that will be. @param {import("./types.js").Counts} counts */
export function progress(counts) {
  return `${number(ended(counts))} / ${number(counts.planned || counts.total)}`;
}
