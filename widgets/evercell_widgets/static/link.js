// The page's side of the comm (the kernel's is `widget.py`): it says where this page looks, and
// takes the frames for it.
//
//   look changed ─> one message at a time ─> frame ─> the latest look, if it changed meanwhile
//
// A frontend whose messages wait behind the running cell gets no answer: then the model's
// `picture`, the beginning of the run, is drawn as it changes.

/**
 * @typedef {import("./types.js").Frame} Frame
 * @typedef {import("./types.js").Look} Look
 * @typedef {import("./types.js").Model} Model
 */

const PATIENCE = 400; // ms after which a look is sent again, if it changed, without an answer
const LATE = 10_000; // ms after which a person is told that no answer came
const SILENCE = 3000; // ms without a frame, while the run goes on, after which to speak up

let pages = 0;

export class Link {
  /**
   * @param {Model} model
   * @param {(frame: Frame) => boolean} draw returns false if it needs a fresh frame
   */
  constructor(model, draw) {
    this.model = model;
    this.draw = draw;
    this.page = `${Date.now().toString(36)}${Math.random().toString(36).slice(2, 8)}-${++pages}`;
    /** @type {Look} */
    this.wanted = { first: 0, count: 40, open: {}, status: "", search: "", inspect: null };
    this.sentAt = 0; // 0: nothing is under way
    this.dirty = false;
    this.fresh = true; // this page has no rows
    this.framedAt = 0; // 0: no frame came for this page yet
    this.revision = -1;
    this.timer = 0;
    this.requests = 0;
    /** @type {Map<number, (wrong: string | null) => void>} */
    this.waiting = new Map();
    this.onPicture = () => this.pictured(model.get("picture"));
    this.onMessage = (/** @type {any} */ content, /** @type {DataView[]} */ buffers) =>
      this.heard(content, buffers);
    this.onHide = () => this.leave();
  }

  open() {
    this.model.on("change:picture", this.onPicture);
    this.model.on("msg:custom", this.onMessage);
    window.addEventListener("pagehide", this.onHide);
    this.pictured(this.model.get("picture"));
    this.send();
  }

  close() {
    this.model.off("change:picture", this.onPicture);
    this.model.off("msg:custom", this.onMessage);
    window.removeEventListener("pagehide", this.onHide);
    window.clearTimeout(this.timer);
    this.leave();
  }

  /** @param {Partial<Look>} change */
  look(change) {
    Object.assign(this.wanted, change);
    this.dirty = true;
    if (!this.sentAt) this.send();
    else if (!this.timer) this.timer = window.setTimeout(() => this.send(), PATIENCE);
  }

  send() {
    window.clearTimeout(this.timer);
    this.timer = 0;
    this.dirty = false;
    this.sentAt = Date.now();
    this.tell({ type: "look", page: this.page, fresh: this.fresh, ...this.wanted });
  }

  /**
   * Have something done. Resolves to what went wrong, or null when it is durable.
   * @param {import("./types.js").ActionData} action
   * @param {{name?: string, value?: string}} said
   * @returns {Promise<string | null>}
   */
  act({ deed, run, activity }, said) {
    const request = ++this.requests;
    return new Promise((resolve) => {
      const late = "No answer from the kernel yet. It may take this up when the running cell ends.";
      const timer = window.setTimeout(() => this.answered(request, late), LATE);
      this.waiting.set(request, (wrong) => {
        window.clearTimeout(timer);
        resolve(wrong);
      });
      this.tell({ type: "act", page: this.page, request, deed, run, activity, ...said });
    });
  }

  /** @param {number} request @param {string | null} wrong */
  answered(request, wrong) {
    this.waiting.get(request)?.(wrong);
    this.waiting.delete(request);
  }

  leave() {
    this.tell({ type: "leave", page: this.page });
  }

  /** @param {any} message */
  tell(message) {
    try {
      this.model.send?.(message);
    } catch {
      // the comm is closed: the kernel has gone, and the table beneath remains
    }
  }

  /** @param {any} content @param {DataView[]} buffers */
  heard(content, buffers) {
    if (content?.page !== this.page) return;
    if (content.type === "answer") this.answered(content.request, content.error);
    if (content.type !== "frame") return;
    this.framedAt = Date.now();
    this.sentAt = 0;
    /** @type {Frame} */
    const frame = JSON.parse(new TextDecoder().decode(buffers[0]));
    if (frame.revision < this.revision) return;
    this.revision = frame.revision;
    this.fresh = !this.draw(frame);
    if (this.fresh || this.dirty) this.send();
  }

  /** @param {Frame | undefined} picture */
  pictured(picture) {
    if (!picture?.header) return;
    if (!this.framedAt) {
      this.draw(picture);
    } else if (picture.revision > this.revision && Date.now() - this.framedAt > SILENCE) {
      this.fresh = true; // the kernel forgot this page, or a frame was lost
      this.send();
    }
  }
}
