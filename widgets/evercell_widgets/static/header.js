// The run as a whole: its name and state, a bar, and facts that filter the rows when pressed.

import { button, drawBar, h, say } from "./dom.js";
import { duration, ended, money, number, progress, roughly } from "./words.js";

/** @typedef {import("./types.js").Header} HeaderData */

export class Header {
  /** @param {(status: string) => void} filter called with a status to show alone, or "" */
  constructor(filter) {
    this.el = h("header", "ec-head");
    this.name = h("span", "ec-name");
    this.state = h("span", "ec-state");
    this.left = h("span", "ec-left");
    this.elapsed = h("span", "ec-elapsed");
    this.bar = h("div", "ec-bar");
    this.facts = h("div", "ec-facts");
    this.spoken = h("div", "ec-quiet"); // what a screen reader hears: changes of state, no ticking
    this.spoken.setAttribute("role", "status");
    const title = h("div", "ec-title");
    title.append(this.name, this.state, this.left, this.elapsed);
    this.el.append(title, this.bar, this.facts, this.spoken);
    this.filter = filter;
    this.status = "";
    /** @type {Map<string, HTMLButtonElement>} */
    this.keys = new Map();
    this.done = h("span", "ec-done");
    this.rest = h("span", "ec-rest");
    this.facts.append(this.done);
    for (const [status, word, colour] of KINDS) this.facts.append(this.key(status, word, colour));
    this.facts.append(this.rest);
    /** @type {HeaderData | null} */
    this.data = null;
  }

  /** @param {string} status @param {string} word @param {string} colour */
  key(status, word, colour) {
    const key = button("ec-key", "", () => {
      this.status = this.status === status ? "" : status;
      for (const [each, el] of this.keys) el.setAttribute("aria-pressed", String(each === this.status));
      this.filter(this.status);
    });
    key.style.setProperty("--ec-key", `var(${colour})`);
    key.setAttribute("aria-pressed", "false");
    key.title = `Show only steps and cells that are ${word}`;
    key.append(h("b"), ` ${word}`);
    this.keys.set(status, key);
    return key;
  }

  /** @param {HeaderData} data */
  draw(data) {
    this.data = data;
    const { steps } = data;
    say(this.name, data.name);
    say(this.state, data.state);
    this.bar.hidden = !steps.total;
    drawBar(this.bar, steps);
    this.done.hidden = !steps.total;
    say(this.done, `${progress(steps)} steps`);
    const values = {
      restored: steps.restored, ran: steps.completed, running: steps.running,
      waiting: data.waiting, failed: steps.failed + steps.in_doubt + data.runs.failed,
    };
    for (const [status, key] of this.keys) {
      const value = values[/** @type {keyof typeof values} */ (status)];
      key.hidden = !value && this.status !== status;
      say(/** @type {HTMLElement} */ (key.firstElementChild), number(value));
    }
    say(this.rest, rest(data).join(" · ").replace(/(\d) (?=\p{L})/gu, "$1\u00a0")); // units stay with their numbers
    const failed = steps.failed ? `, ${steps.failed} failed` : "";
    const after = data.state !== "running" && steps.total ? `, ${ended(steps)} of ${steps.total} steps` : "";
    say(this.spoken, `${data.name}: ${data.state}${failed}${after}`);
  }

  /** @param {number} now the kernel's clock */
  tick(now) {
    if (!this.data) return;
    const { running_since: since, eta } = this.data;
    const live = since === null ? 0 : Math.max(0, now - since);
    say(this.elapsed, duration(this.data.busy + live));
    const left = eta === null ? null : eta - (now - this.data.now);
    say(this.left, left === null ? "" : `about ${roughly(left)} left`);
  }
}

/** @type {[string, string, string][]} filter, word, colour */
const KINDS = [
  ["restored", "restored", "--ec-restored"], ["ran", "ran", "--ec-ran"],
  ["running", "running", "--ec-ran"], ["waiting", "waiting", "--ec-doubt"], ["failed", "failed", "--ec-failed"],
];

/** The facts that are only read. @param {HeaderData} data */
export function rest(data) {
  const facts = [];
  const { runs } = data;
  if (runs.total) facts.push(`${number(ended(runs))} / ${number(runs.total)} workflow runs`);
  const tokens = data.input_tokens + data.output_tokens;
  if (data.cells_restored) {
    facts.push(`${number(data.cells_restored)} of ${number(data.cells)} cells restored`);
  }
  if (tokens) facts.push(`${number(tokens)} tokens`);
  if (data.cost) facts.push(`cost ${money(data.cost)}`);
  const saved = data.saved >= 1e6 ? [duration(data.saved)] : [];
  if (data.saved_tokens) saved.push(`${number(data.saved_tokens)} tokens`);
  if (data.saved_cost) saved.push(`cost ${money(data.saved_cost)}`);
  if (saved.length) facts.push(`saved ${saved.join(", ")}`);
  return facts;
}
