// Questions to the kernel. Each is sent again until it is answered, for a reply can be lost on its
// way; the kernel answers one that it has answered before with the same reply.
//
//     ask ──> sent, if the way is open ──> answered: resolves, or rejects with what was wrong
//        └── again after each of PAUSES ─┘
//                                       └── never: rejects

/** @typedef {(message: {id: number, method: string, params: Record<string, any>}) => void} Post */
/**
 * @typedef {{method: string, params: Record<string, any>, timer: number,
 *   resolve: (result: any) => void, reject: (error: Error) => void}} Waiting
 */

const PAUSES = [2000, 4000, 8000, 16000]; // ms before it is sent again, or given up
const LATE = "The kernel has not answered for 30 seconds. Perhaps it is busy.";

export class Requests {
  /** @param {Post} post does nothing while the way is not open: see `flush` */
  constructor(post) {
    this.post = post;
    this.latest = 0;
    /** @type {Map<number, Waiting>} */
    this.waiting = new Map();
  }

  /**
   * @param {string} method
   * @param {Record<string, any>} params
   * @returns {Promise<any>}
   */
  ask(method, params) {
    return new Promise((resolve, reject) => {
      const id = ++this.latest;
      this.waiting.set(id, { method, params, resolve, reject, timer: 0 });
      this.pursue(id);
    });
  }

  /**
   * Say it once, without waiting for a reply.
   * @param {string} method
   * @param {Record<string, any>} params
   */
  tell(method, params) {
    this.post({ id: ++this.latest, method, params });
  }

  /** @param {number} id @param {number} [sent] how often that was tried */
  pursue(id, sent = 0) {
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    window.clearTimeout(waiting.timer);
    if (sent === PAUSES.length) {
      this.waiting.delete(id);
      waiting.reject(new Error(LATE));
      return;
    }
    this.post({ id, method: waiting.method, params: waiting.params });
    waiting.timer = window.setTimeout(() => this.pursue(id, sent + 1), PAUSES[sent]);
  }

  /** The way to the kernel is open: send what waits for that. */
  flush() {
    for (const id of this.waiting.keys()) this.pursue(id);
  }

  /** @param {{id: number, result?: any, error?: string}} reply */
  answered({ id, result, error }) {
    const waiting = this.waiting.get(id);
    if (!waiting) return;
    this.waiting.delete(id);
    window.clearTimeout(waiting.timer);
    if (error === undefined) waiting.resolve(result);
    else waiting.reject(new Error(error));
  }

  /** Nobody will answer. @param {string} why */
  fail(why) {
    for (const { reject, timer } of this.waiting.values()) {
      window.clearTimeout(timer);
      reject(new Error(why));
    }
    this.waiting.clear();
  }
}
