// The talk with the kernel of one notebook: its cells as they change, and answers to questions.
//
// It is a comm, spoken by hand: over a subshell of its own, so that the kernel answers while a cell
// blocks. (JupyterLab's comm objects keep a subshell per target, and up to 4.5 they go on using it
// after a killed kernel took it along.) A kernel that restarts has forgotten the comm; another is
// opened as soon as it lives, and until it has told its state the last one stays on the page.
//
//     connect ──> create_subshell ──> comm_open ──> state: told
//        ^                                │ no state: "state" is asked again, and again
//        └── no state at all ─────────────┘
//
// What the kernel publishes (iopub: states, answers, and that a request is done) can be lost: until
// the server's subscription stands, what comes first after it, which the server uses up itself, and
// whatever it drops while a cell prints too fast. So nothing here waits for it once only, and
// questions go out once the state has come (`requests.js` sends them again). What is sent to the
// kernel comes through, or the connection breaks, which is told.

import { Requests } from "./requests.js";
import { services, signaling } from "./shared.js";

/** @typedef {import("./types").Badge} Badge */
/** @typedef {import("./types").RunFacts} RunFacts */
/** @typedef {import("@jupyterlab/services").Kernel.IKernelConnection} Kernel */
/** @typedef {import("@jupyterlab/apputils").ISessionContext} SessionContext */
/** @typedef {import("@jupyterlab/notebook").NotebookPanel} NotebookPanel */
/** @typedef {"state" | "preview" | "runs" | "widget" | "open" | "tell" | "close"} Method */

const TARGET = "evercell";
const KERNEL = "evercell"; // the kernelspec's name
const LOADS = /^\s*%(load|reload)_ext\s+evercell\b/m;
const GONE = new Set(["restarting", "autorestarting", "terminating", "dead"]);
const PATIENCE = [1000, 2000, 4000, 8000, 16000, 32000]; // ms between two questions for the state

export class Channel {
  /** @param {NotebookPanel} panel */
  constructor(panel) {
    this.panel = panel;
    this.sessionContext = panel.sessionContext;
    /** @type {import("@lumino/signaling").Signal<Channel, Badge[] | null>} cells; null: all anew */
    this.changed = new signaling.Signal(this);
    /** @type {RunFacts | null} the run that the kernel holds, or would resume */
    this.run = null;
    this.attached = false; // whether the kernel holds the run, which it does from its first cell on
    this.note = ""; // why nothing is known, where that is an error
    /** @type {Map<string, Badge>} by nbformat's cell id */
    this.cells = new Map();
    /** @type {Kernel | null} the kernel that the comm is, or is about to be, open with */
    this.kernel = null;
    this.commId = "";
    /** @type {string | null} */
    this.subshell = null;
    this.attempt = 0; // counts what was begun to open, so that what is late is known as such
    this.process = ""; // the kernel process that told its state: its messages' session
    this.timer = 0;
    this.isRefused = false; // the kernel does not know Evercell, whatever the notebook says
    this.loading = ""; // the execute_request that loads the extension, while it runs
    this.requests = new Requests((message) => {
      if (this.process) this.post("comm_msg", message);
    });
    /** @type {Map<string, (data: any, buffers: DataView[]) => void>} who takes what is for a view */
    this.views = new Map();
    this.isDisposed = false;
    this.sessionContext.kernelChanged.connect(this.onKernel, this);
    this.sessionContext.statusChanged.connect(this.onStatus, this);
    this.sessionContext.connectionStatusChanged.connect(this.onConnection, this);
    this.sessionContext.iopubMessage.connect(this.onMessage, this);
    this.connect();
  }

  /** Whether the notebook's kernel records: it is Evercell's, or loaded the extension. */
  get isEvercell() {
    const kernel = this.sessionContext.session?.kernel;
    if (!kernel || this.isRefused) return false;
    return kernel.name === KERNEL || this.loads();
  }

  /** Whether the kernel can be asked now. */
  get isOpen() {
    return this.commId !== "";
  }

  /** Whether a cell is running, as far as the kernel has told. */
  get isBusy() {
    return [...this.cells.values()].some((badge) => badge.status === "running");
  }

  dispose() {
    if (this.isDisposed) return;
    this.isDisposed = true;
    this.leave();
    this.disconnect();
    this.changed.emit(null);
    signaling.Signal.clearData(this);
  }

  /**
   * Ask the kernel, also while a cell blocks.
   * @param {Method} method
   * @param {Record<string, any>} [params]
   * @returns {Promise<any>}
   */
  ask(method, params = {}) {
    if (!this.kernel) return Promise.reject(new Error("No Evercell kernel is connected."));
    return this.requests.ask(method, params);
  }

  /**
   * Ask without waiting for the answer.
   * @param {Method} method
   * @param {Record<string, any>} params
   */
  tell(method, params) {
    this.requests.tell(method, params);
  }

  /** Open a comm with the kernel that there is now, if it is one that records. */
  connect() {
    this.leave();
    this.disconnect();
    this.isRefused = false;
    const kernel = this.sessionContext.session?.kernel;
    if (!kernel || !this.isEvercell) {
      this.run = null;
      this.cells.clear();
    } else if (this.sessionContext.isRestarting) {
      // Whatever answers is on its way out; `kernelChanged` tells when the next one is there.
    } else if (kernel.connectionStatus === "connected" && !GONE.has(kernel.status)) {
      // Not before: what is sent earlier waits for the kernel's info, and that for the cell that runs.
      void this.open(kernel);
    }
    this.changed.emit(null);
  }

  /** Another kernel; or the same one after a restart, with which a comm may be open already. */
  onKernel() {
    if (!this.kernel || this.kernel !== this.sessionContext.session?.kernel) this.connect();
  }

  /**
   * @param {SessionContext} _
   * @param {string} status
   */
  onStatus(_, status) {
    if (GONE.has(status)) {
      this.disconnect();
      this.isRefused = false;
      this.changed.emit(null);
    } else if (!this.kernel && (status === "idle" || status === "busy") && this.isEvercell) {
      this.connect();
    }
  }

  /**
   * The connection stands, again: what was on its way when it broke may be lost.
   * @param {SessionContext} _
   * @param {string} status
   */
  onConnection(_, status) {
    if (status !== "connected" || !this.isEvercell) return;
    if (!this.process) return this.connect(); // even the request to open may be lost
    this.askForState();
    this.expectState();
  }

  /** Whether a cell that ran has `%load_ext evercell`. */
  loads() {
    return this.panel.content.widgets.some(({ model }) => {
      const ran = model.type === "code" && /** @type {any} */ (model).executionCount !== null;
      return ran && LOADS.test(model.sharedModel.source);
    });
  }

  /** @param {Kernel} kernel */
  async open(kernel) {
    this.kernel = kernel;
    const attempt = this.attempt;
    this.expectState();
    try {
      const subshell = await createSubshell(kernel);
      if (this.attempt !== attempt) return deleteSubshell(kernel, subshell);
      this.subshell = subshell;
      this.commId = services.KernelMessage.createMessage(
        /** @type {any} */ ({ msgType: "comm_open", channel: "shell", session: "", content: {} }),
      ).header.msg_id; // unique, also where plain http has no crypto.randomUUID
      this.post("comm_open", {});
    } catch (error) {
      if (this.attempt === attempt) this.disconnect(); // it died: its status tells of the next one
      console.debug("evercell:", error);
    }
  }

  /**
   * Until the kernel has told its state, ask for it; if it never does, open another comm: the
   * kernel may be another one than it was.
   * @param {number} [asked] how often that was
   */
  expectState(asked = 0) {
    window.clearTimeout(this.timer);
    this.timer = window.setTimeout(() => {
      if (asked + 1 === PATIENCE.length) return this.connect();
      if (this.isOpen) this.askForState();
      this.expectState(asked + 1);
    }, PATIENCE[asked]);
  }

  askForState() {
    this.post("comm_msg", { method: "state", params: {} });
  }

  /** Tell the kernel, if it lives, that nobody listens any more. */
  leave() {
    const { kernel, subshell, commId } = this;
    if (!commId || !kernel || kernel.isDisposed || GONE.has(kernel.status)) return;
    // The subshell goes last: it closes the comm.
    this.post("comm_close", {}).done.then(() => deleteSubshell(kernel, subshell), () => {});
  }

  /** The comm is gone. What ended stays shown; what was running has nobody to run it. */
  disconnect() {
    this.attempt += 1;
    window.clearTimeout(this.timer);
    this.process = "";
    this.kernel = null;
    this.commId = "";
    this.subshell = null;
    this.attached = false;
    this.note = "";
    for (const [id, badge] of this.cells) if (badge.status === "running") this.cells.delete(id);
    this.requests.fail("The kernel has ended.");
  }

  /**
   * @param {"comm_open" | "comm_msg" | "comm_close"} msgType
   * @param {Record<string, any>} data
   * @returns {import("@jupyterlab/services").Kernel.IFuture}
   */
  post(msgType, data) {
    const kernel = /** @type {Kernel} */ (this.kernel);
    const content = { comm_id: this.commId, data };
    const message = services.KernelMessage.createMessage(
      /** @type {any} */ ({
        msgType,
        channel: "shell",
        username: kernel.username,
        session: kernel.clientId,
        subshellId: this.subshell,
        content: msgType === "comm_open" ? { ...content, target_name: TARGET } : content,
      }),
    );
    return kernel.sendShellMessage(/** @type {any} */ (message), false, true);
  }

  /**
   * @param {SessionContext} _
   * @param {import("@jupyterlab/services").KernelMessage.IMessage} message
   */
  onMessage(_, message) {
    const { msg_type: type } = message.header;
    const content = /** @type {any} */ (message.content);
    if (type === "execute_input") {
      if (LOADS.test(content.code)) this.loading = parentOf(message);
    } else if (type === "status") {
      this.onKernelStatus(content.execution_state, message);
    } else if (this.isOpen && content.comm_id === this.commId) {
      if (type === "comm_msg") {
        if (content.data.type === "state") this.onState(message.header.session);
        this.take(content.data, /** @type {any} */ (message.buffers ?? []));
      }
      if (type === "comm_close") {
        this.disconnect();
        this.isRefused = true;
        this.changed.emit(null);
      }
    }
  }

  /** What the kernel publishes arrives. @param {string} process */
  onState(process) {
    const isFirst = !this.process;
    this.process = process;
    if (isFirst) this.requests.flush();
  }

  /**
   * @param {string} state
   * @param {import("@jupyterlab/services").KernelMessage.IMessage} message
   */
  onKernelStatus(state, message) {
    if (GONE.has(state)) return; // the server says so, and `onStatus` hears it
    if (this.process && message.header.session !== this.process) return this.connect(); // restarted elsewhere
    if (state !== "idle") return;
    // A cell ended; perhaps it was the one that loads the extension.
    const parent = parentOf(message);
    if (parent && parent === this.loading) {
      this.loading = "";
      this.isRefused = false; // whatever was refused while it ran
    }
    const ended = /** @type {any} */ (message.parent_header).msg_type === "execute_request";
    if (ended && !this.kernel && this.isEvercell) this.connect();
  }

  /**
   * @param {any} data see kernel/evercell/jupyter/lab.py
   * @param {DataView[]} buffers
   */
  take(data, buffers) {
    if (data.type === "view") {
      this.views.get(data.view)?.(data, buffers);
      return;
    }
    if (data.type === "reply") {
      this.requests.answered(data);
      return;
    }
    const isWhole = data.type === "state";
    if (isWhole) {
      window.clearTimeout(this.timer);
      this.cells.clear();
    }
    this.run = data.run;
    this.attached = data.attached;
    this.note = data.note ?? "";
    for (const badge of data.cells) if (badge.cell_id) this.cells.set(badge.cell_id, badge);
    this.changed.emit(isWhole ? null : data.cells);
  }
}

/** @param {import("@jupyterlab/services").KernelMessage.IMessage} message */
const parentOf = (message) => /** @type {any} */ (message.parent_header).msg_id ?? "";

/**
 * A subshell's id; null where the kernel has none, so that comms wait for the running cell. Asked
 * without knowing the kernel's info, for the same reason; what records has an ipykernel that can.
 * @param {Kernel} kernel
 * @returns {Promise<string | null>}
 */
async function createSubshell(kernel) {
  const request = services.KernelMessage.createMessage(
    /** @type {any} */ ({
      msgType: "create_subshell_request",
      channel: "control",
      username: kernel.username,
      session: kernel.clientId,
      content: {},
    }),
  );
  const future = kernel.sendControlMessage(/** @type {any} */ (request), true, true);
  return new Promise((resolve, reject) => {
    // The reply, not `done`: that waits for the kernel's "idle", too, which can be lost.
    future.onReply = (/** @type {any} */ { content }) =>
      resolve(content.status === "ok" ? content.subshell_id : null);
    future.done.catch(reject);
  });
}

/**
 * @param {Kernel} kernel
 * @param {string | null} subshell
 */
function deleteSubshell(kernel, subshell) {
  if (!subshell || kernel.isDisposed || GONE.has(kernel.status) || !kernel.supportsSubshells) return;
  kernel.requestDeleteSubshell({ subshell_id: subshell }).done.catch(() => {}); // it died: gone as well
}
