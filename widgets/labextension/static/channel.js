// The talk with the kernel of one notebook: its cells as they change, and answers to questions.
//
// It is a comm, spoken by hand: over a subshell of its own, so that the kernel answers while a cell
// blocks. (JupyterLab's comm objects keep a subshell per target, and up to 4.5 they go on using it
// after a killed kernel took it along.) A kernel that restarts has forgotten the comm; another is
// opened as soon as it lives, and until it has told its state the last one stays on the page.

import { services, signaling } from "./shared.js";

/** @typedef {import("./types").Badge} Badge */
/** @typedef {import("./types").RunFacts} RunFacts */
/** @typedef {import("@jupyterlab/services").Kernel.IKernelConnection} Kernel */
/** @typedef {import("@jupyterlab/apputils").ISessionContext} SessionContext */
/** @typedef {import("@jupyterlab/notebook").NotebookPanel} NotebookPanel */
/** @typedef {"preview" | "runs" | "widget" | "open" | "tell" | "close"} Method */
/** @typedef {{resolve: (value: any) => void, reject: (error: Error) => void}} Waiting */

const TARGET = "evercell";
const KERNEL = "evercell"; // the kernelspec's name
const LOADS = /^\s*%(load|reload)_ext\s+evercell\b/m;
const GONE = new Set(["restarting", "autorestarting", "terminating", "dead"]);

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
    this.isRefused = false; // the kernel does not know Evercell, whatever the notebook says
    this.requests = 0;
    /** @type {Map<string, (data: any, buffers: DataView[]) => void>} who takes what is for a view */
    this.views = new Map();
    /** @type {Map<number, Waiting>} */
    this.waiting = new Map();
    this.isDisposed = false;
    this.sessionContext.kernelChanged.connect(this.connect, this);
    this.sessionContext.statusChanged.connect(this.onStatus, this);
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
    const { kernel, subshell } = this;
    if (kernel && !kernel.isDisposed) {
      if (this.commId) this.post("comm_close", {});
      if (subshell && kernel.supportsSubshells) kernel.requestDeleteSubshell({ subshell_id: subshell });
    }
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
    if (!this.isOpen) return Promise.reject(new Error("No Evercell kernel is connected."));
    return new Promise((resolve, reject) => {
      this.waiting.set(this.tell(method, params), { resolve, reject });
    });
  }

  /**
   * Ask without waiting for the answer.
   * @param {Method} method
   * @param {Record<string, any>} params
   * @returns {number} the request's id
   */
  tell(method, params) {
    const id = ++this.requests;
    this.post("comm_msg", { id, method, params });
    return id;
  }

  /** Open a comm with the kernel that there is now, if it is one that records. */
  connect() {
    this.disconnect();
    this.isRefused = false;
    const kernel = this.sessionContext.session?.kernel;
    if (kernel && this.isEvercell) {
      if (!GONE.has(kernel.status)) void this.open(kernel);
    } else {
      this.run = null;
      this.cells.clear();
    }
    this.changed.emit(null);
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
    try {
      await connected(kernel);
      const subshell = await createSubshell(kernel);
      if (this.kernel !== kernel || this.isOpen || this.isDisposed) return;
      this.subshell = subshell;
      this.commId = services.KernelMessage.createMessage(
        /** @type {any} */ ({ msgType: "comm_open", channel: "shell", session: "", content: {} }),
      ).header.msg_id; // unique, also where plain http has no crypto.randomUUID
      this.post("comm_open", {});
    } catch (error) {
      if (this.kernel === kernel) this.kernel = null; // it died: its status tells of the next one
      console.debug("evercell:", error);
    }
  }

  /** The comm is gone. What ended stays shown; what was running has nobody to run it. */
  disconnect() {
    this.kernel = null;
    this.commId = "";
    this.subshell = null;
    this.attached = false;
    this.note = "";
    for (const [id, badge] of this.cells) if (badge.status === "running") this.cells.delete(id);
    for (const { reject } of this.waiting.values()) reject(new Error("The kernel has ended."));
    this.waiting.clear();
  }

  /**
   * @param {"comm_open" | "comm_msg" | "comm_close"} msgType
   * @param {Record<string, any>} data
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
    kernel.sendShellMessage(/** @type {any} */ (message), false, true);
  }

  /**
   * @param {SessionContext} _
   * @param {import("@jupyterlab/services").KernelMessage.IMessage} message
   */
  onMessage(_, message) {
    const { msg_type: type } = message.header;
    const content = /** @type {any} */ (message.content);
    if (type === "execute_input") {
      if (LOADS.test(content.code)) this.isRefused = false;
    } else if (type === "status" && content.execution_state === "idle") {
      // A cell ended; perhaps it was the one that loads the extension.
      const ended = /** @type {any} */ (message.parent_header).msg_type === "execute_request";
      if (ended && !this.kernel && this.isEvercell) this.connect();
    } else if (this.isOpen && content.comm_id === this.commId) {
      if (type === "comm_msg") this.take(content.data, /** @type {any} */ (message.buffers ?? []));
      if (type === "comm_close") {
        this.disconnect();
        this.isRefused = true;
        this.changed.emit(null);
      }
    }
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
      const waiting = this.waiting.get(data.id);
      this.waiting.delete(data.id);
      if (data.error === undefined) waiting?.resolve(data.result);
      else waiting?.reject(new Error(data.error));
      return;
    }
    const isWhole = data.type === "state";
    if (isWhole) this.cells.clear();
    this.run = data.run;
    this.attached = data.attached;
    this.note = data.note ?? "";
    for (const badge of data.cells) if (badge.cell_id) this.cells.set(badge.cell_id, badge);
    this.changed.emit(isWhole ? null : data.cells);
  }
}

/**
 * Until messages can be sent. What is sent earlier waits for the kernel's info, and that for the
 * cell that runs.
 * @param {Kernel} kernel
 */
function connected(kernel) {
  if (kernel.connectionStatus === "connected") return Promise.resolve();
  return new Promise((resolve) => {
    const onStatus = (/** @type {Kernel} */ _, /** @type {string} */ status) => {
      if (status !== "connected") return;
      kernel.connectionStatusChanged.disconnect(onStatus);
      resolve(undefined);
    };
    kernel.connectionStatusChanged.connect(onStatus);
  });
}

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
  const { done } = kernel.sendControlMessage(/** @type {any} */ (request), true, true);
  const { content } = /** @type {any} */ (await done);
  return content.status === "ok" ? content.subshell_id : null;
}
