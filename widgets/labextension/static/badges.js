// A line below the code of each cell: what became of it.

import { faceOf } from "./badge.js";

/** @typedef {import("./channel.js").Channel} Channel */
/** @typedef {import("./foresight.js").Foresight} Foresight */
/** @typedef {import("./types").Badge} Badge */
/** @typedef {import("@jupyterlab/notebook").Notebook} Notebook */
/** @typedef {import("@jupyterlab/cells").Cell} CellWidget */

export class Badges {
  /**
   * @param {Notebook} notebook
   * @param {Channel} channel
   * @param {Foresight} foresight
   */
  constructor(notebook, channel, foresight) {
    this.notebook = notebook;
    this.channel = channel;
    this.foresight = foresight;
    this.isShown = true;
    foresight.changed.connect(this.drawAll, this);
    channel.changed.connect(this.onChanged, this);
    notebook.modelContentChanged.connect(this.drawAll, this); // cells come, go and move
    this.drawAll();
  }

  /** @param {boolean} isShown */
  show(isShown) {
    this.isShown = isShown;
    this.drawAll();
  }

  /**
   * @param {Channel} _
   * @param {Badge[] | null} badges
   */
  onChanged(_, badges) {
    if (badges === null) return this.drawAll();
    const ids = new Set(badges.map((badge) => badge.cell_id));
    for (const cell of this.notebook.widgets) if (ids.has(cell.model.id)) this.draw(cell);
  }

  drawAll() {
    if (this.notebook.isDisposed) return;
    for (const cell of this.notebook.widgets) this.draw(cell);
  }

  /** @param {CellWidget} cell */
  draw(cell) {
    if (cell.model.type !== "code") return;
    if (cell.isPlaceholder()) {
      void cell.ready.then(() => !cell.isDisposed && this.draw(cell));
      return;
    }
    const badge = this.isShown ? this.channel.cells.get(cell.model.id) : undefined;
    const wrapper = cell.node.querySelector(":scope > .jp-Cell-inputWrapper");
    const shown = wrapper?.querySelector(":scope > .evercell-Badge");
    if (!badge || !wrapper) return shown?.remove();
    const face = faceOf(badge, this.foresight.previews.get(cell.model.id));
    const key = JSON.stringify(face);
    if (shown instanceof HTMLElement && shown.dataset.key === key) return;
    const el = render(face);
    el.dataset.key = key;
    if (shown) shown.replaceWith(el);
    else wrapper.append(el);
  }

  dispose() {
    this.foresight.changed.disconnect(this.drawAll, this);
    this.channel.changed.disconnect(this.onChanged, this);
    this.notebook.modelContentChanged.disconnect(this.drawAll, this);
  }
}

/** @param {import("./badge.js").Face} face */
export function render(face) {
  const el = span("evercell-Badge");
  el.dataset.kind = face.kind;
  if (face.why) el.title = `${face.word}: ${face.why}`;
  const mark = span("evercell-Badge-mark", face.mark);
  mark.setAttribute("aria-hidden", "true");
  const text = span("evercell-Badge-text");
  text.append(span("evercell-Badge-word", face.word));
  for (const fact of face.facts) if (fact) text.append(span("evercell-Badge-fact", fact));
  el.append(mark, text);
  return el;
}

/**
 * @param {string} className
 * @param {string} [text]
 */
function span(className, text = "") {
  const el = document.createElement("span");
  el.className = className;
  el.textContent = text;
  return el;
}
