// "What would run?": each cell's fate if the kernel were restarted and all cells run.

import { h } from "./dom.js";
import { apputils, widgets } from "./shared.js";
import { amount, count, spent } from "./words.js";

/** @typedef {import("./actions.js").Target} Target */
/** @typedef {import("./types").Preview} Preview */
/** @typedef {import("@jupyterlab/notebook").NotebookPanel} NotebookPanel */

const MOMENT = 300; // ms in which most kernels answer: nothing blinks

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
 * Show it in a dialog, which is there before the kernel's answer if that takes a while.
 * @param {Target} target
 * @returns {Promise<boolean>} whether the user wants to resume
 */
export async function showPreview(target) {
  const { Dialog, showDialog } = apputils;
  const el = h("div", "evercell-Preview");
  const asked = fill(el, target);
  await Promise.race([asked, new Promise((resolve) => window.setTimeout(resolve, MOMENT))]);
  const { button } = await showDialog({
    title: "What would run?",
    body: new widgets.Widget({ node: el }),
    buttons: [Dialog.cancelButton({ label: "Close" }), Dialog.okButton({ label: "Resume" })],
  });
  return button.accept;
}

/**
 * Ask, and say what comes of it: the forecast, or what is wrong and a way to ask again.
 * @param {HTMLElement} el
 * @param {Target} target
 */
async function fill(el, target) {
  const message = h("p", "evercell-Preview-message", "Asking the kernel…");
  message.setAttribute("role", "status");
  el.replaceChildren(message);
  try {
    el.replaceChildren(...draw(await askPreview(target), target.panel));
  } catch (error) {
    message.textContent = /** @type {Error} */ (error).message;
    const again = h("button", "evercell-Preview-again", "Try again");
    again.addEventListener("click", () => {
      el.tabIndex = -1;
      el.focus(); // the button goes, and with it the keys would leave the dialog
      void fill(el, target);
    });
    el.append(again);
  }
}

/**
 * @param {Preview[]} previews
 * @param {NotebookPanel} panel
 */
function draw(previews, panel) {
  const sum = h("p", "evercell-Preview-sum", summary(previews));
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
  return [sum, scrolled];
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

/** The line that tells most, as `texts.py` chooses it for the run widget. @param {string} source */
export function telling(source) {
  const lines = source.split("\n").map((line) => line.trim()).filter(Boolean);
  const code = lines.filter((line) => !line.startsWith("#"));
  return code.find((line) => !/^(import |from |@)/.test(line)) ?? code[0] ?? lines[0] ?? "";
}

/**
 * @param {Preview} preview
 * @param {NotebookPanel} panel
 */
function row(preview, panel) {
  const [mark, word] = WORDS[preview.action] ?? ["·", preview.action];
  const cell = panel.content.widgets[preview.index];
  const code = telling(cell?.model.sharedModel.source ?? "");
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
