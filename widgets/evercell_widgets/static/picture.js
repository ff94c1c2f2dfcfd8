// The whole picture of a run in one element: header, tools, rows, details.

import { Asks } from "./asks.js";
import { DetailsPane } from "./details.js";
import { h } from "./dom.js";
import { Grid } from "./grid.js";
import { Header } from "./header.js";
import { Link, goesOn } from "./link.js";
import { Store } from "./store.js";
import { Tools } from "./tools.js";
import { progress } from "./words.js";

/**
 * @typedef {import("./types.js").Frame} Frame
 * @typedef {import("./types.js").Model} Model
 * @typedef {import("./types.js").RowData} RowData
 */

const TICK = 500; // ms

export class Picture {
  /** @param {Model} model */
  constructor(model) {
    this.el = h("section", "evercell-run");
    this.el.dataset.lmSuppressShortcuts = "true"; // JupyterLab's single keys are not meant here
    this.store = new Store();
    this.link = new Link(model, (frame) => this.draw(frame));
    /** @type {import("./deeds.js").Act} */
    const act = (action, said, late) => this.link.act(action, said, late);
    this.asks = new Asks(act);
    this.header = new Header((status) => this.narrow({ status }));
    this.tools = new Tools({
      typed: () => this.wait(),
      search: (search) => this.narrow({ search }),
      timeline: (on) => this.showTimeline(on),
      zoom: (factor) => this.grid.zoom(factor),
      leave: () => this.grid.el.focus(),
    });
    this.grid = new Grid(this.store, this.link.page, {
      look: (change) => this.look(change),
      toggle: (row) => this.toggle(row),
      inspect: (row) => this.inspect(row),
      search: () => this.tools.focus(),
    });
    this.details = new DetailsPane(() => {
      this.inspect(null);
      this.grid.el.focus();
    }, act);
    this.empty = h("p", "ec-empty", "Nothing matches.");
    this.empty.hidden = true;
    this.header.facts.append(this.tools.el);
    this.el.append(this.header.el, this.asks.el, this.grid.el, this.empty, this.details.el);
    this.timer = 0;
    /** @type {string | null} */
    this.inspected = null;
  }

  /** @param {Frame} frame @returns {boolean} whether all rows in sight are here */
  draw(frame) {
    const complete = this.store.apply(frame);
    const { header } = frame;
    this.grid.offset = header.now - Date.now() * 1e6;
    this.el.dataset.state = header.state;
    this.el.style.setProperty("--ec-count", String(progress(header.steps).length)); // the longest
    this.el.setAttribute("aria-label", `Evercell run of ${header.name}`);
    this.header.draw(header);
    this.asks.draw(frame.approvals, header.approvals);
    this.grid.draw();
    this.wait();
    const { isBusy, wanted } = this.link;
    this.empty.hidden = isBusy || frame.total > 0 || !(wanted.status || wanted.search);
    const isTheirs = frame.details ? frame.details.id === this.inspected : !isBusy;
    if (isTheirs) this.details.draw(frame.details);
    this.tick();
    this.keepTime(goesOn(header));
    return complete;
  }

  /** @param {Partial<import("./types.js").Look>} change */
  look(change) {
    this.link.look(change);
    this.wait();
  }

  /** Say whether the kernel still has to answer what was asked. */
  wait() {
    this.grid.busy = this.tools.timer !== 0 || this.link.isBusy;
  }

  /** @param {{status?: string, search?: string}} change */
  narrow(change) {
    this.grid.el.scrollTop = 0;
    this.look({ ...change, first: 0 });
  }

  /** @param {RowData} row */
  toggle(row) {
    this.look({ open: { ...this.link.wanted.open, [row.id]: !row.open } });
  }

  /** @param {RowData | null} row the same one again closes it */
  inspect(row) {
    this.inspected = row === null || row.id === this.inspected ? null : row.id;
    if (row === null || this.inspected === null) this.details.draw(null);
    else this.details.expect(row);
    this.look({ inspect: this.inspected });
  }

  /** @param {boolean} on */
  showTimeline(on) {
    this.grid.timeline = on;
    this.el.classList.toggle("ec-with-timeline", on);
    this.grid.paint();
  }

  tick() {
    this.header.tick(this.grid.now());
    this.asks.tick(this.grid.now());
    this.grid.tick();
  }

  /** @param {boolean} running */
  keepTime(running) {
    if (running === (this.timer !== 0)) return;
    window.clearInterval(this.timer);
    this.timer = running ? window.setInterval(() => this.tick(), TICK) : 0;
  }

  dispose() {
    this.link.close();
    this.keepTime(false);
    this.grid.dispose();
    this.el.remove();
  }
}
