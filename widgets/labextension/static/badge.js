// What became of a cell, as a mark, a word and a few facts: pure.

import { amount, count, number, spent } from "./words.js";

/** @typedef {import("./types").Badge} Badge */
/** @typedef {import("./types").Preview} Preview */
/** @typedef {{kind: string, mark: string, word: string, facts: string[], why: string}} Face */

/** @type {Record<string, string>} one character that stands before the word */
const MARKS = {
  running: "▸", ran: "✓", restored: "↺", recomputed: "⟳", volatile: "∿", recorded: "○",
  failed: "✗", interrupted: "✗", "in doubt": "?", stale: "◇",
};

const FINISHED = new Set(["completed", "restored", "recorded"]);

/**
 * @param {Badge} badge
 * @param {Preview} [preview] what would become of the cell, where that was asked
 * @returns {Face}
 */
export function faceOf(badge, preview) {
  if (preview?.stale && FINISHED.has(badge.status)) return stale(preview);
  const kind = kindOf(badge);
  return { kind, mark: MARKS[kind] ?? "·", word: kind, facts: FACTS[kind]?.(badge) ?? [], why: badge.reason };
}

/**
 * @param {Preview} preview
 * @returns {Face}
 */
function stale({ reason, cost }) {
  const took = spent(amount(cost));
  const why = reason.replace(/^stale: /, "");
  return {
    kind: "stale", mark: MARKS.stale, word: "stale", facts: [why, took && `had taken ${took}`],
    why: `${why}. Resume runs this cell again; finished steps in it are not paid again.`,
  };
}

/** @param {Badge} badge */
function kindOf(badge) {
  if (badge.status !== "completed") return badge.status;
  if (badge.decision === "volatile" || badge.decision === "recomputed") return badge.decision;
  return "ran";
}

/** @type {Record<string, (badge: Badge) => string[]>} */
const FACTS = {
  running: (badge) => [steps(badge), answered(badge)],
  ran: (badge) => [spent(badge), answered(badge), failures(badge)],
  recomputed: (badge) => [spent(badge), badge.reason, answered(badge)],
  volatile: (badge) => [spent(badge), "runs each time"],
  restored: (badge) => [saved(badge)],
  recorded: (badge) => [spent(badge) && `took ${spent(badge)}`],
  failed: (badge) => [spent(badge), badge.error ?? "", failures(badge)],
  interrupted: (badge) => [spent(badge)],
  "in doubt": (badge) => [
    "cut off before it finished",
    badge.ended ? `${steps(badge)} kept` : "",
  ],
};

/** @param {Badge} badge how many of its steps have ended; a cell's later steps are not known yet */
function steps({ ended, steps: begun }) {
  if (!begun) return "";
  return ended === begun ? count(ended, "step") : `${number(ended)} of ${count(begun, "step")}`;
}

/** @param {Badge} badge */
const answered = (badge) =>
  badge.restored ? `${count(badge.restored, "step")} restored` + (saved(badge) && `, ${saved(badge)}`) : "";

/** @param {Badge} badge */
const failures = (badge) => (badge.failed ? `${count(badge.failed, "step")} failed` : "");

/** @param {Badge} badge */
function saved(badge) {
  const amount = spent({ duration: badge.saved, tokens: badge.saved_tokens, cost: badge.saved_cost });
  return amount && `saved ${amount}`;
}
