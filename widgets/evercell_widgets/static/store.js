// What this page has of the run: rows by id, and which of them are in sight. Pure.

/**
 * @typedef {import("./types.js").Frame} Frame
 * @typedef {import("./types.js").RowData} RowData
 */

export class Store {
  constructor() {
    this.revision = -1;
    this.total = 0;
    this.first = 0;
    /** @type {string[]} */
    this.order = [];
    /** @type {Map<string, RowData>} */
    this.rows = new Map();
    /** @type {import("./types.js").Header | null} */
    this.header = null;
    /** @type {import("./types.js").Details | null} */
    this.details = null;
  }

  /**
   * Take a frame in. Rows that it does not name are forgotten.
   * @param {Frame} frame
   * @returns {boolean} whether every row in sight is here; if not, ask for a fresh frame
   */
  apply(frame) {
    /** @type {Map<string, RowData>} */
    const rows = new Map();
    for (const row of frame.rows) rows.set(row.id, row);
    for (const id of frame.order) {
      const known = rows.get(id) ?? this.rows.get(id);
      if (known) rows.set(id, known);
    }
    this.rows = rows;
    this.revision = frame.revision;
    this.header = frame.header;
    this.details = frame.details;
    ({ total: this.total, first: this.first, order: this.order } = frame);
    return frame.order.every((id) => rows.has(id));
  }

  /** @param {number} index @returns {RowData | undefined} */
  at(index) {
    const id = this.order[index - this.first];
    return id === undefined ? undefined : this.rows.get(id);
  }

  /** @param {string} id @returns {number} its index among all rows, or -1 */
  indexOf(id) {
    const place = this.order.indexOf(id);
    return place < 0 ? -1 : this.first + place;
  }

  /** Whether these rows are here. @param {number} from @param {number} to */
  covers(from, to) {
    const end = this.first + this.order.length;
    return from >= this.first && Math.min(to, this.total) <= end;
  }
}

/**
 * The rows that a scrolled list shows.
 * @param {number} top pixels above the sight
 * @param {number} height pixels in sight
 * @param {number} rowHeight
 * @param {number} total
 * @returns {[number, number]} from, to (exclusive)
 */
export function sight(top, height, rowHeight, total) {
  const from = Math.max(0, Math.min(Math.floor(top / rowHeight), total));
  return [from, Math.max(from, Math.min(Math.ceil((top + height) / rowHeight), total))];
}

/**
 * What to ask for so that scrolling on stays within what is here.
 * @param {number} from
 * @param {number} to
 * @param {number} total
 */
export function ahead(from, to, total) {
  const count = Math.min(Math.max(40, 3 * (to - from)), 200);
  const first = Math.max(0, Math.min(from - Math.floor((count - (to - from)) / 2), total - count));
  return { first, count };
}
