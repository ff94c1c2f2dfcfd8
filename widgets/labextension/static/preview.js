// "What would run?": each cell's fate if the kernel were restarted and all cells run.

import { h } from "./dom.js";
import { apputils, widgets } from "./shared.js";
import { amount, count, spent } from "./words.js";

/** @typedef {import("./actions.js").Target} Target */
/** @typedef {import("./types").Preview} Preview */
/** @typedef {import("@jupyterlab/notebook").NotebookPanel} NotebookPanel */

/** @type {Record<string, [string, string]>} action -> mark, word */
const WORDS = {
  restore: ["↺", "restored"], recompute: ["⟳", "recomputed"], execute: ["▸", "runs"],
  depends: ["?", "may run"],
};

/**
 * Ask the kernel about the notebook as it stands on the page, saved or not.
 * @param {Target} target
 * @returns {Promise<Preview[]>}
 */
export function askPreview({ panel, channel }) {
  const cells = panel.content.widgets
    .map(({ model }, index) => ({ model, index }))
    .filter(({ model }) => model.type === "code")
    .map(({ model, index }) => ({
      id: model.id, index, source: model.sharedModel.source, tags: model.getMetadata("tags") ?? [],
    }));
  return channel.ask("preview", { cells });
}

/**
 * Show it in a dialog.
 * @param {Target} target
 * @returns {Promise<boolean>} whether the user wants to resume
 */
export async function showPreview(target) {
  const { Dialog, showDialog, showErrorMessage } = apputils;
  let previews;
  try {
    previews = await askPreview(target);
  } catch (error) {
    await showErrorMessage("What would run?", /** @type {Error} */ (error));
    return false;
  }
  const body = new widgets.Widget({ node: draw(previews, target.panel) });
  const { button } = await showDialog({
    title: "What would run?",
    body,
    buttons: [Dialog.cancelButton({ label: "Close" }), Dialog.okButton({ label: "Resume" })],
  });
  return button.accept;
}

/**
 * @param {Preview[]} previews
 * @param {NotebookPanel} panel
 */
function draw(previews, panel) {
  const el = h("div", "evercell-Preview", h("p", "evercell-Preview-sum", summary(previews)));
  const table = h("table");
  const head = ["Cell", "Code", "On Resume", "Why", "Had cost"].map((word) => {
    const th = h("th", "", word);
    th.setAttribute("scope", "col");
    return th;
  });
  const body = h("tbody", "", ...previews.map((preview) => row(preview, panel)));
  table.append(h("thead", "", h("tr", "", ...head)), body);
  const scrolled = h("div", "evercell-Preview-cells", table);
  scrolled.tabIndex = 0; // scrolls by keyboard
  el.append(scrolled);
  return el;
}

/** @param {Preview[]} previews */
export function summary(previews) {
  const of = (/** @type {string} */ action) => previews.filter((it) => it.action === action);
  const running = [...of("execute"), ...of("recompute")];
  const parts = [];
  const named = { recompute: "recomputed", depends: "may run", restore: "restored" };
  if (of("execute").length) parts.push(`${count(of("execute").length, "cell")} would run`);
  for (const [action, word] of Object.entries(named)) {
    if (of(action).length) parts.push(`${of(action).length} ${word}`);
  }
  const cost = spent(total([...running, ...of("depends")]));
  const price = cost ? ` What may run had taken ${cost}; finished steps in it are not paid again.` : "";
  return `${parts.join(", ") || "There are no cells"}.${price}`;
}

/** @param {Preview[]} previews */
function total(previews) {
  const sum = { duration: 0, tokens: 0, cost: 0 };
  for (const { cost } of previews) {
    const one = amount(cost);
    sum.duration += one.duration;
    sum.tokens += one.tokens;
    sum.cost += one.cost;
  }
  return sum;
}

/**
 * @param {Preview} preview
 * @param {NotebookPanel} panel
 */
function row(preview, panel) {
  const [mark, word] = WORDS[preview.action] ?? ["·", preview.action];
  const cell = panel.content.widgets[preview.index];
  const code = cell?.model.sharedModel.source.split("\n").find((line) => line.trim()) ?? "";
  const marked = h("span", "evercell-Preview-mark", mark);
  marked.setAttribute("aria-hidden", "true");
  const el = h(
    "tr",
    "",
    h("td", "evercell-Preview-cell", String(preview.index + 1)),
    h("td", "evercell-Preview-code", code),
    h("td", "evercell-Preview-action", marked, preview.stale ? `${word}: stale` : word),
    h("td", "evercell-Preview-why", preview.reason),
    h("td", "evercell-Preview-cost", spent(amount(preview.cost))),
  );
  el.dataset.action = preview.action;
  return el;
}
