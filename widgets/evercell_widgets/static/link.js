// The page's side of the comm (the kernel's is `widget.py`): it says where this page looks, and
// takes the frames for it.
//
//   look changed ─> one message at a time ─> frame ─> the latest look, if it changed meanwhile
//
// A frontend whose messages wait behind the running cell gets no answer: then the model's
// `picture`, the beginning of the run, is drawn as it changes.
//
// What the kernel sends can be lost: Jupyter's server drops it while a cell prints too fast. So a
// page asks for a whole frame when a number is missing, and asks again when it hears nothing for
// long though the run goes on, the picture is newer than the last frame, or a look has no answer.
// An action is sent again, with the same number, until it is answered: the kernel does it once.

/**
 * @typedef {import("./types.js").Frame} Frame
 * @typedef {import("./types.js").Look} Look
 * @typedef {import("./types.js").Model} Model
 */

const PATIENCE = 400; // ms after which a look is sent again, if it changed, without an answer
const LATE = 10_000; // ms after which a person is told that no answer came
const SILENCE = 3000; // ms without a frame after which to ask; twice as many each time, up to
const LONGEST = 60_000;
const CLOSED = "The kernel's display was closed before it answered.";
const NO_ANSWER = "No answer from the kernel yet; it is asked again. It may take this up when the running cell ends.";

let pages = 0;

/** Whether something happens in the run, or is waited for. @param {import("./types.js").Header} header */
export const goesOn = ({ running_since, waiting, runs }) =>
  running_since !== null || waiting > 0 || runs.running > 0;

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
    this.asked = 0; // the number of that look
    this.answered = 0; // of the one that the last frame shows
    this.sentAt = 0; // 0: nothing is under way
    this.dirty = false;
    this.fresh = true; // this page has no rows
    this.isHeard = false; // whether a frame came for this page
    this.number = -1; // of the last frame
    this.revision = -1; // of the run, in the last frame
    this.known = -1; // of the run, in the last picture
    this.goesOn = false;
    this.silence = SILENCE;
    this.watch = 0;
    this.timer = 0;
    this.requests = 0;
    /** @type {Map<number, (outcome: import("./types.js").Outcome) => void>} */
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
    window.clearTimeout(this.watch);
    const closed = { error: CLOSED, word: null, note: null };
    for (const request of [...this.waiting.keys()]) this.settle(request, closed);
    this.leave();
  }

  /** @param {Partial<Look>} change */
  look(change) {
    Object.assign(this.wanted, change);
    this.asked++;
    this.dirty = true;
    if (!this.sentAt) this.send();
    else if (!this.timer) this.timer = window.setTimeout(() => this.send(), PATIENCE);
    if (!this.watch) this.listen();
  }

  /** Whether the kernel has not answered the latest look. */
  get isBusy() {
    return this.answered < this.asked;
  }

  send() {
    window.clearTimeout(this.timer);
    this.timer = 0;
    this.dirty = false;
    this.sentAt = Date.now();
    this.tell({ type: "look", page: this.page, fresh: this.fresh, asked: this.asked, ...this.wanted });
  }

  /**
   * Have something done. Resolves when it is durable, or to what went wrong.
   * @param {import("./types.js").ActionData} action
   * @param {import("./types.js").Said} said
   * @param {(why: string) => void} late told once, if the answer takes long
   * @returns {Promise<import("./types.js").Outcome>}
   */
  act({ deed, run, activity }, said, late) {
    const request = ++this.requests;
    const message = { type: "act", page: this.page, request, deed, run, activity, ...said };
    return new Promise((resolve) => {
      const told = window.setTimeout(() => late(NO_ANSWER), LATE);
      let again = 0;
      const send = (/** @type {number} */ silence) => {
        this.tell(message);
        again = window.setTimeout(() => send(Math.min(2 * silence, LONGEST)), silence);
      };
      this.waiting.set(request, (outcome) => {
        window.clearTimeout(told);
        window.clearTimeout(again);
        resolve(outcome);
      });
      send(SILENCE);
    });
  }

  /** @param {number} request @param {import("./types.js").Outcome} outcome */
  settle(request, outcome) {
    this.waiting.get(request)?.(outcome);
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
    if (content.type === "answer") {
      const { request, error, word, note } = content;
      this.settle(request, { error, word: word ?? null, note: note ?? null });
    }
    if (content.type !== "frame") return;
    this.isHeard = true;
    this.sentAt = 0;
    /** @type {Frame} */
    const frame = JSON.parse(new TextDecoder().decode(buffers[0]));
    const isNext = frame.number === 0 || frame.number === this.number + 1;
    this.number = frame.number;
    this.revision = frame.revision;
    this.answered = frame.asked;
    this.goesOn = goesOn(frame.header);
    this.fresh = !this.draw(frame) || !isNext;
    if (this.fresh || this.dirty) this.send();
    this.silence = SILENCE;
    this.listen();
  }

  /** Ask again after a long silence, if there should be something to hear. */
  listen() {
    window.clearTimeout(this.watch);
    this.watch = 0;
    if (!this.goesOn && this.known <= this.revision && !this.isBusy) return;
    this.watch = window.setTimeout(() => {
      if (this.known > this.revision) this.fresh = true; // the kernel forgot this page
      this.send();
      this.silence = Math.min(2 * this.silence, LONGEST);
      this.listen();
    }, this.silence);
  }

  /** @param {Frame | undefined} picture */
  pictured(picture) {
    if (!picture?.header) return;
    this.known = picture.revision;
    if (!this.isHeard) this.draw(picture);
    else if (!this.watch) this.listen();
  }
}
