// The questions that wait for a person, on top of everything else.

import { Deeds } from "./deeds.js";
import { h, say } from "./dom.js";
import { roughly } from "./words.js";

/**
 * @typedef {import("./types.js").ApprovalData} ApprovalData
 * @typedef {import("./deeds.js").Act} Act
 */

export class Asks {
  /** @param {Act} act */
  constructor(act) {
    this.act = act;
    this.el = h("section", "ec-asks");
    this.el.setAttribute("aria-label", "Waiting for you");
    this.el.hidden = true;
    this.more = h("p", "ec-faint");
    this.el.append(this.more);
    /** @type {Map<string, {el: HTMLElement, until: HTMLElement, approval: ApprovalData}>} */
    this.cards = new Map();
  }

  /** @param {ApprovalData[]} approvals @param {number} total */
  draw(approvals, total) {
    this.el.hidden = !total;
    const wanted = new Map(approvals.map((approval) => [approval.activity, approval]));
    for (const [activity, card] of this.cards) {
      if (wanted.get(activity)?.acts === card.approval.acts) continue;
      card.el.remove();
      this.cards.delete(activity);
    }
    for (const approval of approvals) {
      if (!this.cards.has(approval.activity)) this.add(approval);
    }
    const rest = total - approvals.length;
    this.more.hidden = rest <= 0;
    say(this.more, `and ${rest} more`);
  }

  /** @param {ApprovalData} approval */
  add(approval) {
    const el = h("article", "ec-ask");
    const head = h("div", "ec-ask-head");
    const until = h("span", "ec-until");
    head.append(h("span", "ec-asker", `${approval.asker} asks`), until);
    el.append(head, h("p", "ec-prompt", approval.prompt));
    if (approval.acts) {
      const here = { run: approval.run, activity: approval.activity, ask: null, name: "", value: "" };
      const deeds = new Deeds(
        [
          { deed: "approve", label: approval.schema ? "Answer…" : "Approve", form: approval.schema, ...here },
          { deed: "reject", label: "Reject", form: null, ...here },
        ],
        this.act,
      );
      el.append(deeds.el);
    }
    this.more.before(el);
    this.cards.set(approval.activity, { el, until, approval });
  }

  /** @param {number} now the kernel's clock, ns */
  tick(now) {
    for (const { until, approval } of this.cards.values()) {
      say(until, approval.due === null ? "" : `gives up in ${roughly(approval.due - now)}`);
    }
  }
}
