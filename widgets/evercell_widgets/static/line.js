// One row on the page: one element for as long as the row is in sight, wherever it moves meanwhile.

import { place } from "./axis.js";
import { button, drawBar, h, say } from "./dom.js";
import { MARKS, duration, progress, stateWord, ticking } from "./words.js";

/**
 * @typedef {import("./types.js").RowData} RowData
 * @typedef {{toggle: (row: RowData) => void, inspect: (row: RowData) => void}} Acts
 */

export const ROW = 26; // px, as in run.css

export class Line {
  /** @param {string} id of the element @param {Acts} acts */
  constructor(id, acts) {
    /** @type {RowData | null} */
    this.row = null;
    this.el = h("div", "ec-line");
    this.el.id = id;
    this.el.setAttribute("role", "row");
    this.place = -1; // among all rows
    this.fold = h("span", "ec-fold");
    this.fold.setAttribute("aria-hidden", "true");
    this.index = h("span", "ec-index");
    this.label = h("span", "ec-label");
    this.text = h("span", "ec-text");
    this.result = h("span", "ec-result");
    this.name = this.cell("ec-name", this.fold, this.index, this.label, this.text, this.result);
    this.bar = h("span", "ec-bar");
    this.done = h("span", "ec-count");
    this.work = this.cell("ec-work", this.bar, this.done);
    this.span = h("span", "ec-span");
    this.lane = this.cell("ec-lane", this.span);
    this.mark = h("span", "ec-mark");
    this.mark.setAttribute("aria-hidden", "true");
    this.word = h("span");
    this.status = this.cell("ec-status", this.mark, this.word);
    this.time = this.cell("ec-time");
    const more = button("ec-more", "⋯", () => this.row && acts.inspect(this.row));
    more.tabIndex = -1;
    more.setAttribute("aria-label", "Details");
    this.cell("ec-end", more);
    this.el.addEventListener("click", () => {
      if (!this.row) return;
      if (this.row.open === null) acts.inspect(this.row);
      else acts.toggle(this.row);
    });
  }

  /** @param {string} className @param {HTMLElement[]} children */
  cell(className, ...children) {
    const cell = h("span", className);
    cell.setAttribute("role", "gridcell");
    cell.append(...children);
    this.el.append(cell);
    return cell;
  }

  /** @param {number} index @param {RowData | undefined} row @param {boolean} active */
  draw(index, row, active) {
    if (index !== this.place) {
      this.place = index;
      this.el.setAttribute("aria-rowindex", String(index + 2)); // the header is the first
      this.el.style.transform = `translateY(${index * ROW}px)`;
    }
    this.el.setAttribute("aria-selected", String(active));
    if (row === this.row && row) return;
    this.row = row ?? null;
    this.el.classList.toggle("ec-blank", !row);
    if (!row) return say(this.label, "…");
    this.el.dataset.row = row.id;
    this.el.dataset.kind = row.kind;
    this.el.dataset.status = row.status;
    this.el.setAttribute("aria-level", String(row.depth + 1));
    if (row.open === null) this.el.removeAttribute("aria-expanded");
    else this.el.setAttribute("aria-expanded", String(row.open));
    this.name.style.setProperty("--ec-depth", String(row.depth));
    say(this.index, row.index);
    this.drawText(row);
    this.drawWork(row);
    say(this.mark, MARKS[row.status] ?? "·");
    say(this.word, stateWord(row));
    this.status.title = row.kind === "cell" ? row.text : "";
    this.tick(0);
  }

  /** @param {RowData} row */
  drawText(row) {
    say(this.label, row.among && row.text ? "" : row.label);
    const wrong = row.error && row.status !== "completed" && row.status !== "restored";
    say(this.text, row.kind === "cell" ? "" : row.text);
    say(this.result, (wrong ? row.error : row.result) ?? "");
    this.result.classList.toggle("ec-wrong", Boolean(wrong));
    this.name.title = [row.label, row.text, row.error ?? ""].filter(Boolean).join("\n");
  }

  /** @param {RowData} row */
  drawWork(row) {
    const { counts } = row;
    this.bar.hidden = !counts;
    if (counts) {
      drawBar(this.bar, counts);
      say(this.done, progress(counts));
    } else {
      say(this.done, row.attempts > 1 ? `attempt ${row.attempts}` : "");
    }
  }

  /** @param {number} now the kernel's clock, ns; 0 leaves a running time as it is */
  tick(now) {
    const row = this.row;
    if (!row) return;
    if (row.ended_at !== null) {
      say(this.time, row.duration || row.kind === "cell" ? duration(row.duration) : "");
      return;
    }
    if (!now) return;
    const wait = row.retry_at === null ? 0 : row.retry_at - now;
    say(this.time, wait > 0 ? `in ${ticking(wait + 1e9)}` : ticking(now - row.started_at));
  }

  /** @param {import("./axis.js").Range} range @param {number} now */
  drawSpan(range, now) {
    const row = this.row;
    const where = row?.started_at ? place(range, row.started_at, row.ended_at ?? now) : null;
    this.span.hidden = !where;
    if (!where) return;
    this.span.style.left = `${where.left}%`;
    this.span.style.width = `${where.width}%`;
    this.span.classList.toggle("ec-open", row?.ended_at === null);
  }
}
