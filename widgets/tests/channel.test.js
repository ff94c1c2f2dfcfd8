import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { take } from "../labextension/static/shared.js";

class Signal {
  constructor() {
    /** @type {[Function, any][]} */
    this.slots = [];
  }
  /** @param {Function} slot @param {any} [self] */
  connect(slot, self) {
    this.slots.push([slot, self]);
  }
  /** @param {Function} slot */
  disconnect(slot) {
    this.slots = this.slots.filter(([each]) => each !== slot);
  }
  /** @param {any} value */
  emit(value) {
    for (const [slot, self] of [...this.slots]) slot.call(self, null, value);
  }
  static clearData() {}
}

let messages = 0;
const KernelMessage = {
  /** @param {any} options */
  createMessage: ({ msgType, channel, content, subshellId }) => ({
    channel, content, header: { msg_id: `m${++messages}`, msg_type: msgType, subshell_id: subshellId },
  }),
};
const shared = { "@jupyterlab/services": { KernelMessage }, "@lumino/signaling": { Signal } };
const others = [
  "@jupyterlab/application", "@jupyterlab/apputils", "@lumino/commands", "@jupyterlab/notebook",
  "@jupyterlab/settingregistry", "@jupyterlab/ui-components", "@lumino/widgets",
];
/** @type {Record<string, any>} */
const scope = {};
for (const [name, module] of [...Object.entries(shared), ...others.map((name) => [name, {}])]) {
  scope[/** @type {string} */ (name)] = { "1.0.0": { get: async () => () => module } };
}
await take(scope);
const { Channel } = await import("../labextension/static/channel.js");

/** JupyterLab's connection to one kernel, which says what the test makes it say. */
class FakeKernel {
  name = "evercell";
  status = "idle";
  connectionStatus = "connected";
  isDisposed = false;
  supportsSubshells = true;
  username = "";
  clientId = "page";
  /** @type {any[]} */
  sent = [];
  /** @type {any[]} */
  deleted = [];
  /** @param {any} message */
  send(message) {
    /** @type {any} */
    const future = { message, onReply() {} };
    future.done = new Promise((resolve, reject) => Object.assign(future, { resolve, reject }));
    future.done.catch(() => {});
    this.sent.push(future);
    return future;
  }
  sendControlMessage = this.send;
  sendShellMessage = this.send;
  /** @param {any} content */
  requestDeleteSubshell(content) {
    this.deleted.push(content.subshell_id);
    return { done: Promise.resolve() };
  }
  /** @param {string} type */
  of(type) {
    return this.sent.filter(({ message }) => message.header.msg_type === type);
  }
  /** How often the state was asked for, beyond opening the comm. */
  get asked() {
    return this.of("comm_msg").filter(({ message }) => message.content.data.method === "state").length;
  }
}

class FakeSession {
  /** @type {{kernel: FakeKernel} | null} */
  session = null;
  isRestarting = false;
  kernelChanged = new Signal();
  statusChanged = new Signal();
  connectionStatusChanged = new Signal();
  iopubMessage = new Signal();
  /** @param {FakeKernel} kernel */
  start(kernel) {
    this.session = { kernel };
    this.kernelChanged.emit({ newValue: kernel });
  }
  /** @param {string} status */
  connection(status) {
    if (this.session) this.session.kernel.connectionStatus = status;
    this.connectionStatusChanged.emit(status);
  }
  /** @param {string} status */
  kernelStatus(status) {
    if (this.session) this.session.kernel.status = status;
    this.statusChanged.emit(status);
  }
  /**
   * @param {string} msg_type
   * @param {any} content
   * @param {string} session the kernel process
   * @param {any} parent_header
   */
  publish(msg_type, content, session = "process-1", parent_header = {}) {
    this.iopubMessage.emit({ header: { msg_type, session }, content, parent_header, channel: "iopub" });
  }
}

const settled = () => new Promise((resolve) => setImmediate(resolve));
const BADGE = { cell_id: "a", status: "completed" };
/** @type {FakeSession} */
let session;
/** @type {InstanceType<typeof Channel>} */
let channel;
/** @type {FakeKernel} */
let kernel;
/** @type {any[]} the notebook's cells */
let cells;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout"] });
  // @ts-expect-error the part of a window that the channel uses
  globalThis.window = {
    setTimeout: (/** @type {any} */ f, /** @type {number} */ ms) => setTimeout(f, ms),
    clearTimeout: (/** @type {any} */ id) => clearTimeout(id),
  };
  session = new FakeSession();
  kernel = new FakeKernel();
  cells = [];
  channel = new Channel(/** @type {any} */ ({ sessionContext: session, content: { widgets: cells } }));
});

/** The kernel's reply to the latest request for a subshell; its "idle" is lost. */
async function giveSubshell(id = "s1") {
  kernel.of("create_subshell_request").at(-1).onReply({ content: { status: "ok", subshell_id: id } });
  await settled();
}

function tellState(process = "process-1") {
  const data = { type: "state", run: null, attached: true, cells: [BADGE] };
  session.publish("comm_msg", { comm_id: channel.commId, data }, process);
}

async function opened() {
  session.start(kernel);
  await giveSubshell();
  tellState();
}

test("opens a comm on a subshell, though the kernel's idle is lost", async () => {
  session.start(kernel);
  await giveSubshell();
  const [{ message }] = kernel.of("comm_open");
  assert.equal(message.header.subshell_id, "s1");
  tellState();
  assert.equal(channel.cells.get("a")?.status, "completed");
  mock.timers.tick(1_000_000);
  assert.equal(kernel.asked, 0);
});

test("asks for the state until it has come", async () => {
  session.start(kernel);
  await giveSubshell();
  mock.timers.tick(1000); // the first was published before the server had subscribed
  assert.equal(kernel.asked, 1);
  mock.timers.tick(2000);
  assert.equal(kernel.asked, 2);
  tellState();
  mock.timers.tick(1_000_000);
  assert.equal(kernel.asked, 2);
  assert.equal(kernel.of("comm_open").length, 1);
});

test("opens another comm where the kernel never tells its state", async () => {
  session.start(kernel);
  await giveSubshell();
  const first = channel.commId;
  for (const ms of [1000, 2000, 4000, 8000, 16000, 32000]) mock.timers.tick(ms);
  assert.equal(kernel.of("comm_close").length, 1);
  kernel.of("comm_close")[0].resolve();
  await settled();
  assert.deepEqual(kernel.deleted, ["s1"]);
  await giveSubshell("s2");
  assert.notEqual(channel.commId, first);
  tellState();
  assert.equal(channel.cells.size, 1);
});

test("waits for the connection, and begins anew when it broke before the state came", async () => {
  kernel.connectionStatus = "connecting";
  session.start(kernel);
  assert.equal(kernel.sent.length, 0);
  session.connection("connected");
  assert.equal(kernel.of("create_subshell_request").length, 1);
  session.connection("connecting"); // the request is lost
  session.connection("connected");
  assert.equal(kernel.of("create_subshell_request").length, 2);
  await giveSubshell();
  tellState();
  assert.equal(channel.cells.size, 1);
});

test("asks for the state when the connection stands again", async () => {
  await opened();
  session.connection("connecting");
  session.connection("connected");
  assert.equal(kernel.asked, 1);
  assert.equal(kernel.of("comm_open").length, 1);
});

test("opens one comm with a restarted kernel, whatever the dying one still says", async () => {
  await opened();
  session.isRestarting = true;
  session.kernelStatus("restarting");
  assert.equal(channel.isOpen, false);
  assert.equal(channel.cells.size, 1, "what was known last stays on the page");
  session.kernelStatus("busy"); // with its shutdown
  session.kernelStatus("idle");
  session.connection("connecting");
  session.connection("connected");
  assert.equal(kernel.of("create_subshell_request").length, 1);
  session.isRestarting = false;
  session.kernelChanged.emit({ newValue: kernel });
  session.kernelStatus("busy");
  assert.equal(kernel.of("create_subshell_request").length, 2);
  await giveSubshell("s2");
  tellState("process-2");
  session.publish("status", { execution_state: "idle" }, "process-2");
  assert.equal(kernel.of("comm_open").length, 2);
  assert.ok(channel.isOpen);
});

test("an attempt that failed late leaves the next one alone", async () => {
  session.start(kernel);
  const [first] = kernel.of("create_subshell_request");
  session.kernelStatus("restarting");
  session.kernelStatus("idle");
  first.reject(new Error("Canceled future"));
  await settled();
  await giveSubshell("s2");
  assert.equal(kernel.of("comm_open").length, 1);
});

test("a subshell that comes too late is given back", async () => {
  session.start(kernel);
  const [first] = kernel.of("create_subshell_request");
  session.connection("connected");
  first.onReply({ content: { status: "ok", subshell_id: "late" } });
  await settled();
  assert.deepEqual(kernel.deleted, ["late"]);
  assert.equal(kernel.of("comm_open").length, 0);
});

test("notices a kernel that another page restarted", async () => {
  await opened();
  session.publish("status", { execution_state: "busy" }, "process-1");
  assert.equal(kernel.of("create_subshell_request").length, 1);
  session.publish("status", { execution_state: "busy" }, "process-2");
  assert.equal(kernel.of("create_subshell_request").length, 2);
});

test("a refusal while the extension was being loaded does not last", async () => {
  kernel.name = "python3";
  const source = "%load_ext evercell";
  cells.push({ model: { type: "code", executionCount: 1, sharedModel: { source } } });
  session.start(kernel);
  await giveSubshell();
  const parent = { msg_id: "cell", msg_type: "execute_request" };
  session.publish("execute_input", { code: source }, "process-1", parent);
  session.publish("comm_close", { comm_id: channel.commId });
  assert.equal(channel.isEvercell, false);
  session.publish("status", { execution_state: "idle" }, "process-1", parent);
  assert.equal(channel.isEvercell, true);
  assert.equal(kernel.of("create_subshell_request").length, 2);
});

/** What was asked of the kernel, beyond its state: the requests' ids and methods. */
const requests = () =>
  kernel.of("comm_msg").map(({ message }) => message.content.data).filter(({ id }) => id !== undefined);

/** @param {object} reply */
const reply = (reply) =>
  session.publish("comm_msg", { comm_id: channel.commId, data: { type: "reply", ...reply } });

test("a question waits until the kernel's state has come: until then its reply would be lost", async () => {
  session.start(kernel);
  const answer = channel.ask("preview", { cells: [] });
  await giveSubshell();
  assert.deepEqual(requests(), []);
  tellState();
  const [{ id, method }] = requests();
  assert.equal(method, "preview");
  reply({ id, result: [1] });
  assert.deepEqual(await answer, [1]);
});

test("a question whose reply was lost is asked again, and its first answer counts", async () => {
  await opened();
  const answer = channel.ask("runs");
  mock.timers.tick(2000);
  assert.equal(requests().length, 2);
  const [first, again] = requests();
  assert.deepEqual(again, first);
  reply({ id: first.id, result: ["a run"] });
  reply({ id: first.id, result: ["another"] });
  assert.deepEqual(await answer, ["a run"]);
  mock.timers.tick(1_000_000);
  assert.equal(requests().length, 2);
});

test("a question that is never answered is given up after half a minute", async () => {
  await opened();
  const answer = channel.ask("preview");
  for (const ms of [2000, 4000, 8000, 15_999]) mock.timers.tick(ms);
  assert.equal(channel.requests.waiting.size, 1);
  mock.timers.tick(1);
  await assert.rejects(answer, /has not answered for 30 seconds/);
  assert.equal(requests().length, 4);
});

test("a question to a kernel that ends fails at once", async () => {
  await opened();
  const answer = channel.ask("preview");
  session.kernelStatus("restarting");
  await assert.rejects(answer, /The kernel has ended/);
  await assert.rejects(channel.ask("preview"), /No Evercell kernel/);
  mock.timers.tick(1_000_000);
  assert.equal(requests().length, 1);
});

test("closes the comm before its subshell", async () => {
  await opened();
  channel.dispose();
  assert.deepEqual(kernel.deleted, []);
  kernel.of("comm_close")[0].resolve();
  await settled();
  assert.deepEqual(kernel.deleted, ["s1"]);
});
