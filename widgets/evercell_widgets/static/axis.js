// The timeline's axis: a range of time, and where moments lie on it. Pure.

/** @typedef {{from: number, to: number}} Range nanoseconds since the epoch */

const SECOND = 1e9;
const STEPS = [
  0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600,
  900, 1800, 3600, 7200, 14400, 21600, 43200, 86400, 172800, 604800,
].map((seconds) => seconds * SECOND);
const SHORTEST = 1e6; // ns: a millisecond fills the axis

/**
 * The whole of what happened, with a little air.
 * @param {import("./types.js").Header} header
 * @param {number} now
 * @returns {Range}
 */
export function fit(header, now) {
  const from = header.began_at || now - SECOND;
  const last = header.running_since === null ? header.last_at : now;
  const to = Math.max(last, from + SHORTEST);
  return { from, to: to + (to - from) * 0.02 };
}

/**
 * @param {Range} range
 * @param {number} factor below 1: shows less time
 * @param {number} at where to, as a part of the axis, 0 to 1
 * @returns {Range}
 */
export function zoom(range, factor, at) {
  const length = Math.max(SHORTEST, (range.to - range.from) * factor);
  const fixed = range.from + (range.to - range.from) * at;
  return { from: fixed - length * at, to: fixed + length * (1 - at) };
}

/** @param {Range} range @param {number} part of its length, to the right @returns {Range} */
export function pan(range, part) {
  const by = (range.to - range.from) * part;
  return { from: range.from + by, to: range.to + by };
}

/**
 * Where a bar lies, in percent; null where it is out of sight.
 * @param {Range} range
 * @param {number} start
 * @param {number} end
 * @returns {{left: number, width: number} | null}
 */
export function place(range, start, end) {
  const length = range.to - range.from;
  const left = Math.max(0, (start - range.from) / length);
  const right = Math.min(1, (Math.max(end, start) - range.from) / length);
  if (left > 1 || right < 0) return null;
  return { left: 100 * left, width: 100 * Math.max(0, right - left) };
}

/**
 * Round moments on the axis with their labels, counted from `origin`.
 * @param {Range} range
 * @param {number} origin
 * @param {number} most how many labels have room
 * @returns {{left: number, label: string}[]}
 */
export function ticks(range, origin, most) {
  const length = range.to - range.from;
  const step = STEPS.find((each) => length / each <= most) ?? length;
  const found = [];
  for (let n = Math.ceil((range.from - origin) / step); n * step + origin <= range.to; n++) {
    const left = (100 * (n * step + origin - range.from)) / length;
    found.push({ left, label: tickLabel(n * step, step) });
  }
  return found;
}

/** @param {number} ns @param {number} step */
function tickLabel(ns, step) {
  if (step < SECOND) return `${+(ns / SECOND).toFixed(3)} s`;
  const sign = ns < 0 ? "-" : "";
  const seconds = Math.abs(Math.round(ns / SECOND));
  if (step < 60 * SECOND && seconds < 60) return `${sign}${seconds} s`;
  const [hours, minutes, rest] = [seconds / 3600, (seconds % 3600) / 60, seconds % 60].map(Math.floor);
  const clock = `${String(minutes).padStart(2, "0")}:${String(rest).padStart(2, "0")}`;
  if (hours < 48) return sign + (hours ? `${hours}:${clock}` : clock.replace(/^0/, ""));
  return `${sign}${Math.floor(hours / 24)} d ${hours % 24} h`;
}
