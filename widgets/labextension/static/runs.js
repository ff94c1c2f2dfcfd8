// The side panel: the runs of the current notebook's folder, newest first, with a search.

import { h } from "./dom.js";
import { runIcon } from "./icons.js";
import { ui, widgets } from "./shared.js";
import { facts, moment } from "./words.js";

/** @typedef {import("./channel.js").Channel} Channel */
/** @typedef {import("./types").Run} Run */

export class RunsPanel extends widgets.Widget {
  /**
   * @param {() => Channel | null} current the current notebook's channel
   * @param {(run: Run) => void} open
   */
  constructor(current, open) {
    super({ node: h("div", "evercell-Runs") });
    this.id = "evercell-runs";
    this.title.icon = runIcon;
    this.title.caption = "Evercell Runs";
    this.current = current;
    this.open = open;
    /** @type {Run[]} */
    this.runs = [];
    this.nothing = "";
    this.asked = 0;
    /** @type {Channel | null} whose runs are listed */
    this.asker = null;
    this.search = /** @type {HTMLInputElement} */ (h("input", "jp-mod-styled"));
    this.search.type = "search";
    this.search.placeholder = "Search runs";
    this.search.setAttribute("aria-label", "Search runs");
    this.search.addEventListener("input", () => this.draw());
    const refresh = h("jp-button", "jp-ToolbarButtonComponent", ui.refreshIcon.element({ tag: "span" }));
    refresh.setAttribute("appearance", "stealth");
    refresh.setAttribute("aria-label", refresh.title = "Refresh the runs");
    refresh.addEventListener("click", () => void this.refresh());
    this.message = h("p", "evercell-Runs-message");
    this.message.setAttribute("role", "status");
    this.rows = h("ul", "evercell-Runs-list");
    this.rows.setAttribute("aria-label", "Runs");
    const head = h("div", "evercell-Runs-head", h("h2", "", "Runs"), refresh);
    this.node.append(head, h("div", "evercell-Runs-search", this.search), this.message, this.rows);
  }

  /** Ask the kernel anew. */
  async refresh() {
    const channel = this.current();
    const asked = ++this.asked;
    if (!channel?.isOpen) {
      if (channel?.isEvercell && channel === this.asker) return; // it restarts: what was known stays
      return this.list([], "Open a notebook with an Evercell kernel to see the runs of its folder.");
    }
    this.asker = channel;
    try {
      const runs = await channel.ask("runs");
      if (asked === this.asked) this.list(runs, "No cell was run in this folder yet.");
    } catch (error) {
      if (asked === this.asked) this.list([], /** @type {Error} */ (error).message);
    }
  }

  onAfterAttach() {
    if (this.isVisible) void this.refresh();
  }

  onAfterShow() {
    void this.refresh();
  }

  /**
   * @param {Run[]} runs
   * @param {string} nothing what is said where there are none
   */
  list(runs, nothing) {
    this.runs = runs;
    this.nothing = nothing;
    this.draw();
  }

  draw() {
    const words = this.search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.runs.filter((run) => words.every((word) => textOf(run).includes(word)));
    const none = this.runs.length ? "No run matches." : this.nothing;
    this.message.textContent = found.length ? "" : none;
    this.rows.replaceChildren(...found.map((run) => this.item(run)));
  }

  /** @param {Run} run */
  item(run) {
    const status = h("span", "evercell-Runs-status", run.status);
    const title = h("span", "evercell-Runs-title", h("span", "evercell-Runs-name", run.name), status);
    const origin = run.forked_from ? `fork of ${run.forked_from.slice(0, 5)} · ` : "";
    const button = h(
      "button",
      "evercell-Runs-run",
      title,
      h("span", "evercell-Runs-facts", `${moment(run.started_at)} · ${run.run_id.slice(0, 5)} · ${origin}${facts(run)}`),
    );
    const parameters = parametersOf(run);
    if (parameters) button.append(h("span", "evercell-Runs-facts", parameters));
    button.dataset.status = run.status;
    button.title = `Run ${run.run_id} of ${run.notebook}`;
    if (run.run_id === this.current()?.run?.run_id) button.setAttribute("aria-current", "true");
    button.addEventListener("click", () => this.open(run));
    return h("li", "", button);
  }
}

/** @param {Run} run */
const parametersOf = (run) =>
  Object.entries(run.parameters).map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(", ");

/** @param {Run} run what a search looks at */
const textOf = (run) => [run.name, run.run_id, run.forked_from ?? "", run.status, parametersOf(run), moment(run.started_at)].join(" ").toLowerCase();
