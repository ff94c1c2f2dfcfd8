// What narrows or widens the sight: the search field and the timeline's buttons.

import { button, h } from "./dom.js";

const PAUSE = 150; // ms without a key after which is searched

export class Tools {
  /**
   * @param {{typed: () => void, search: (text: string) => void, timeline: (on: boolean) => void,
   *   zoom: (factor: number) => void, leave: () => void}} acts
   */
  constructor(acts) {
    this.el = h("div", "ec-tools");
    this.input = /** @type {HTMLInputElement} */ (h("input", "ec-search"));
    this.input.type = "search";
    this.input.placeholder = "Search";
    this.input.setAttribute("aria-label", "Search code, arguments, results and errors");
    this.timer = 0; // until what was typed is searched for
    const search = () => {
      this.timer = 0;
      acts.search(this.input.value);
    };
    this.input.addEventListener("input", () => {
      window.clearTimeout(this.timer);
      this.timer = window.setTimeout(search, PAUSE);
      acts.typed();
    });
    this.input.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.input.value = "";
      window.clearTimeout(this.timer);
      search();
      acts.leave();
    });
    const zooms = h("span", "ec-zooms");
    zooms.hidden = true;
    for (const [text, name, factor] of /** @type {[string, string, number][]} */ ([
      ["−", "Zoom out", 2], ["+", "Zoom in", 0.5], ["Fit", "Fit all of the time", 0],
    ])) {
      const el = button("ec-tool", text, () => acts.zoom(factor));
      el.setAttribute("aria-label", name);
      el.title = name;
      zooms.append(el);
    }
    const timeline = button("ec-tool", "Timeline", () => {
      zooms.hidden = !zooms.hidden;
      timeline.setAttribute("aria-pressed", String(!zooms.hidden));
      acts.timeline(!zooms.hidden);
    });
    timeline.setAttribute("aria-pressed", "false");
    this.el.append(this.input, zooms, timeline);
  }

  focus() {
    this.input.focus();
  }
}
