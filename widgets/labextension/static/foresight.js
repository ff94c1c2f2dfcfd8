// What would become of each cell on Resume, kept up with the notebook's edits: which cells are
// stale. The kernel is asked while it is idle and nobody types.

import { askPreview } from "./preview.js";
import { signaling } from "./shared.js";

/** @typedef {import("./actions.js").Target} Target */
/** @typedef {import("./types").Preview} Preview */

const PAUSE = 1000; // ms without a change, after which the kernel is asked

export class Foresight {
  /** @param {Target} target */
  constructor(target) {
    this.target = target;
    /** @type {Map<string, Preview>} by nbformat's cell id */
    this.previews = new Map();
    /** @type {import("@lumino/signaling").Signal<Foresight, void>} */
    this.changed = new signaling.Signal(this);
    this.timer = 0;
    this.asked = ""; // the sources that the previews are about; empty: the run has changed since
    target.channel.changed.connect(this.onRun, this);
    target.panel.content.modelContentChanged.connect(this.wait, this);
  }

  /**
   * @param {unknown} _
   * @param {import("./types").Badge[] | null} cells
   */
  onRun(_, cells) {
    this.asked = "";
    for (const { cell_id } of cells ?? []) if (cell_id) this.previews.delete(cell_id); // it ran since
    this.wait();
  }

  wait() {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => void this.ask(), PAUSE);
  }

  async ask() {
    const { channel, panel } = this.target;
    if (panel.isDisposed || !channel.isOpen || channel.isBusy || !channel.cells.size) return;
    const sources = JSON.stringify(panel.content.widgets.map(({ model }) => [model.id, model.sharedModel.source]));
    if (sources === this.asked) return;
    this.asked = sources;
    try {
      const previews = await askPreview(this.target);
      if (this.asked === sources) this.tell(previews);
    } catch (error) {
      console.debug("evercell:", error); // a guess less; the next change asks again
    }
  }

  /** @param {Preview[]} previews */
  tell(previews) {
    this.previews = new Map(previews.flatMap((it) => (it.cell_id ? [[it.cell_id, it]] : [])));
    this.changed.emit();
  }

  dispose() {
    window.clearTimeout(this.timer);
    this.target.channel.changed.disconnect(this.onRun, this);
    this.target.panel.content.modelContentChanged.disconnect(this.wait, this);
    signaling.Signal.clearData(this);
  }
}
