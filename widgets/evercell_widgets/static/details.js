// One row's details: facts, arguments, result, attempts, error.

import { Deeds } from "./deeds.js";
import { button, h, say } from "./dom.js";
import { MARKS } from "./words.js";

/** @typedef {import("./types.js").Details} DetailsData */

export class DetailsPane {
  /** @param {() => void} close @param {import("./deeds.js").Act} act */
  constructor(close, act) {
    this.act = act;
    this.el = h("section", "ec-details");
    this.el.setAttribute("aria-label", "Details");
    this.el.hidden = true;
    this.mark = h("span", "ec-mark");
    this.mark.setAttribute("aria-hidden", "true");
    this.title = h("span", "ec-heading");
    const shut = button("ec-close", "✕", close);
    shut.setAttribute("aria-label", "Close details");
    const head = h("div", "ec-details-head");
    head.append(this.mark, this.title, shut);
    this.facts = h("dl", "ec-list");
    this.error = h("p", "ec-wrong");
    this.texts = h("div", "ec-texts");
    this.deeds = h("div");
    this.offered = "";
    this.el.append(head, this.facts, this.deeds, this.error, this.texts);
    this.shown = "";
  }

  /** Another row was chosen: until the kernel tells of it, nothing of the one before is there to be
   * read for its own, or pressed. @param {import("./types.js").RowData} row */
  expect(row) {
    this.el.style.minHeight = `${this.el.offsetHeight}px`; // what is below stays where it is
    this.el.hidden = false;
    this.el.setAttribute("aria-busy", "true");
    this.el.dataset.row = row.id;
    this.el.dataset.status = row.status;
    say(this.mark, MARKS[row.status] ?? "·");
    say(this.title, [row.label, row.text].filter(Boolean).join(" "));
    for (const el of [this.facts, this.deeds, this.texts]) el.replaceChildren();
    this.error.hidden = true;
    this.shown = this.offered = "";
  }

  /** @param {DetailsData | null} details */
  draw(details) {
    this.el.hidden = !details;
    this.el.style.minHeight = "";
    this.el.setAttribute("aria-busy", "false");
    const said = JSON.stringify(details);
    if (!details || said === this.shown) return;
    this.shown = said;
    this.offer(details);
    this.el.dataset.row = details.id;
    this.el.dataset.status = details.status;
    say(this.mark, MARKS[details.status] ?? "·");
    say(this.title, details.title);
    this.facts.replaceChildren(...details.facts.map(([name, value]) => factOf(name, value)));
    this.error.hidden = !details.error;
    say(this.error, details.error ?? "");
    const scrolled = [...this.texts.querySelectorAll("pre")].map((pre) => pre.scrollTop);
    this.texts.replaceChildren(...details.texts.map(({ title, text }) => textBlock(title, text)));
    [...this.texts.querySelectorAll("pre")].forEach((pre, i) => (pre.scrollTop = scrolled[i] ?? 0));
  }

  /** Actions that stay the same stay as they are: somebody may be filling in a form.
   * @param {DetailsData} details */
  offer({ id, actions }) {
    const offered = JSON.stringify([id, actions]);
    if (offered === this.offered) return;
    this.offered = offered;
    this.deeds.replaceChildren(...(actions.length ? [new Deeds(actions, this.act).el] : []));
  }
}

/** @param {string} name @param {string} value */
function factOf(name, value) {
  const fact = h("div", "ec-fact");
  fact.append(h("dt", "", name), h("dd", "", value));
  return fact;
}

/** @param {string} title @param {string} text */
function textBlock(title, text) {
  const block = h("div", "ec-block");
  const pre = h("pre", "", text);
  pre.tabIndex = 0; // it may scroll
  pre.setAttribute("role", "region");
  pre.setAttribute("aria-label", title);
  block.append(h("div", "ec-caption", title), pre);
  return block;
}
