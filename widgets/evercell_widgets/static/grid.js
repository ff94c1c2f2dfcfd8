// The rows: only those in sight are on the page, however many there are.
//
//   scroll, keys ─> from, to ─> lines drawn from the store ─> look ahead, if rows are missing
//
// It is a treegrid to a screen reader; one row is active, and arrow keys move it. A row keeps its
// element while it is in sight, so that a press never ends on a row that came under the pointer
// since it began.

import { fit, pan, ticks, zoom } from "./axis.js";
import { h, say } from "./dom.js";
import { Line, ROW } from "./line.js";
import { ahead, sight } from "./store.js";

/**
 * @typedef {import("./store.js").Store} Store
 * @typedef {import("./types.js").RowData} RowData
 * @typedef {{look: (change: Partial<import("./types.js").Look>) => void,
 *   toggle: (row: RowData) => void, inspect: (row: RowData | null) => void,
 *   search: () => void}} Acts
 */

const MARGIN = 4; // rows drawn above and below the sight

export class Grid {
  /** @param {Store} store @param {string} name @param {Acts} acts */
  constructor(store, name, acts) {
    this.store = store;
    this.acts = acts;
    this.name = name;
    this.el = h("div", "ec-grid");
    this.el.tabIndex = 0;
    this.el.setAttribute("role", "treegrid");
    this.el.setAttribute("aria-label", "Cells and steps");
    this.axis = h("span", "ec-lane");
    this.body = h("div", "ec-body");
    this.body.setAttribute("role", "rowgroup");
    this.el.append(this.head(), this.body);
    /** @type {Map<string | number, Line>} by the row's id, or its index while it is not here */
    this.lines = new Map();
    this.made = 0; // lines, ever
    this.active = 0;
    /** @type {string | null} */
    this.activeId = null;
    this.painting = 0;
    this.timeline = false;
    /** @type {import("./axis.js").Range | null} what the user chose; null: all of it */
    this.range = null;
    this.offset = 0; // the kernel's clock minus this page's, ns
    this.el.addEventListener("scroll", () => this.paintSoon(), { passive: true });
    this.el.addEventListener("keydown", (event) => this.key(event));
    this.el.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    this.resized = new ResizeObserver(() => this.paintSoon());
    this.resized.observe(this.el);
  }

  head() {
    const row = h("div", "ec-columns");
    row.setAttribute("role", "row");
    row.setAttribute("aria-rowindex", "1");
    const columns = /** @type {[string, string][]} */ ([
      ["ec-name", "Cell or step"], ["ec-work", "Steps"], ["ec-lane", "Timeline"],
      ["ec-status", "State"], ["ec-time", "Time"], ["ec-end", ""],
    ]);
    for (const [className, text] of columns) {
      const column = className === "ec-lane" ? this.axis : h("span", className, text);
      column.setAttribute("role", "columnheader");
      if (!text) column.setAttribute("aria-label", "Details");
      if (className === "ec-lane") column.setAttribute("aria-label", text);
      row.append(column);
    }
    return row;
  }

  /** The store has another frame. */
  draw() {
    const { store } = this;
    this.body.style.height = `${store.total * ROW}px`;
    this.el.setAttribute("aria-rowcount", String(store.total + 1));
    if (this.activeId !== null) {
      const index = store.indexOf(this.activeId);
      if (index >= 0) this.active = index;
    }
    this.active = Math.max(0, Math.min(this.active, store.total - 1));
    this.paint();
  }

  /** Whether the rows are not yet those that were asked for. @param {boolean} busy */
  set busy(busy) {
    const said = String(busy);
    if (this.el.getAttribute("aria-busy") !== said) this.el.setAttribute("aria-busy", said);
  }

  paintSoon() {
    if (this.painting) return;
    this.painting = requestAnimationFrame(() => {
      this.painting = 0;
      this.paint();
    });
  }

  paint() {
    const { store } = this;
    const [from, to] = sight(this.el.scrollTop, this.el.clientHeight, ROW, store.total);
    const first = Math.max(0, from - MARGIN);
    const last = Math.min(store.total, to + MARGIN);
    this.place(first, last);
    const row = store.at(this.active);
    const active = this.active >= first && this.active < last && this.lines.get(row?.id ?? this.active);
    if (active) this.el.setAttribute("aria-activedescendant", active.el.id);
    else this.el.removeAttribute("aria-activedescendant");
    this.tick();
    if (to > from && !store.covers(from, to)) this.acts.look(ahead(from, to, store.total));
  }

  /** Have these rows on the page, and no others. @param {number} first @param {number} last */
  place(first, last) {
    const lines = new Map();
    for (let index = first; index < last; index++) {
      const row = this.store.at(index);
      const key = row?.id ?? index;
      const line = this.lines.get(key) ?? this.line();
      this.lines.delete(key);
      lines.set(key, line);
      line.draw(index, row, index === this.active);
    }
    for (const { el } of this.lines.values()) {
      if (el.contains(document.activeElement)) this.el.focus({ preventScroll: true });
      el.remove();
    }
    this.lines = lines;
    let below = null; // in the order in which they are read
    for (const { el } of [...lines.values()].reverse()) {
      if (el.parentNode !== this.body || el.nextSibling !== below) this.body.insertBefore(el, below);
      below = el;
    }
  }

  line() {
    return new Line(`ec-${this.name}-${++this.made}`, {
      toggle: (row) => (this.activate(row), this.acts.toggle(row)),
      inspect: (row) => (this.activate(row), this.acts.inspect(row)),
    });
  }

  /** @param {RowData} row */
  activate(row) {
    const index = this.store.indexOf(row.id);
    if (index < 0) return;
    this.active = index;
    this.activeId = row.id;
    this.paint();
  }

  now() {
    return Date.now() * 1e6 + this.offset;
  }

  /** Let time go on: running times, and the timeline. */
  tick() {
    const now = this.now();
    for (const line of this.lines.values()) line.tick(now);
    if (!this.timeline || !this.store.header) return;
    const range = this.range ?? fit(this.store.header, now);
    for (const line of this.lines.values()) line.drawSpan(range, now);
    const labels = ticks(range, this.store.header.began_at, Math.max(2, this.axis.clientWidth / 72));
    while (this.axis.children.length < labels.length) this.axis.append(h("span", "ec-tick"));
    [...this.axis.children].forEach((child, i) => {
      const tick = /** @type {HTMLElement} */ (child);
      tick.hidden = i >= labels.length;
      if (tick.hidden) return;
      tick.style.left = `${labels[i].left}%`;
      say(tick, labels[i].label);
    });
  }

  /** @param {number} factor 0 shows all @param {number} [at] */
  zoom(factor, at = 0.5) {
    if (!this.store.header) return;
    const range = this.range ?? fit(this.store.header, this.now());
    this.range = factor ? zoom(range, factor, at) : null;
    this.tick();
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (!this.timeline || !this.store.header) return;
    const lane = this.axis.getBoundingClientRect();
    if (event.ctrlKey || event.metaKey) {
      const at = (event.clientX - lane.left) / lane.width;
      this.zoom(Math.exp(event.deltaY / 200), Math.max(0, Math.min(1, at)));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      const range = this.range ?? fit(this.store.header, this.now());
      this.range = pan(range, (event.deltaX || event.deltaY) / lane.width);
      this.tick();
    } else return;
    event.preventDefault();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.target !== this.el || event.altKey || event.ctrlKey || event.metaKey) return;
    const page = Math.max(1, Math.floor(this.el.clientHeight / ROW) - 2);
    const row = this.store.at(this.active);
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowDown: () => this.move(this.active + 1),
      ArrowUp: () => this.move(this.active - 1),
      PageDown: () => this.move(this.active + page),
      PageUp: () => this.move(this.active - page),
      Home: () => this.move(0),
      End: () => this.move(this.store.total - 1),
      ArrowRight: () => (row?.open === false ? this.acts.toggle(row) : this.move(this.active + 1)),
      ArrowLeft: () => (row?.open ? this.acts.toggle(row) : this.toParent(row)),
      Enter: () => row && this.acts.inspect(row),
      " ": () => row && (row.open === null ? this.acts.inspect(row) : this.acts.toggle(row)),
      Escape: () => this.acts.inspect(null),
      "/": () => this.acts.search(),
      "+": () => this.zoom(0.5),
      "-": () => this.zoom(2),
      0: () => this.zoom(0),
    };
    const act = keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** @param {RowData | undefined} row */
  toParent(row) {
    if (!row) return;
    for (let index = this.active - 1; index >= this.store.first; index--) {
      const above = this.store.at(index);
      if (above && above.depth < row.depth) return this.move(index);
    }
  }

  /** @param {number} index */
  move(index) {
    this.active = Math.max(0, Math.min(index, this.store.total - 1));
    this.activeId = this.store.at(this.active)?.id ?? null;
    const top = this.active * ROW;
    const room = this.el.clientHeight - ROW; // below the header, which stays
    if (top < this.el.scrollTop) this.el.scrollTop = top;
    else if (top + ROW > this.el.scrollTop + room) this.el.scrollTop = top + ROW - room;
    this.paint();
  }

  dispose() {
    this.resized.disconnect();
    cancelAnimationFrame(this.painting);
  }
}
