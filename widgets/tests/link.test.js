import assert from "node:assert/strict";
import { beforeEach, mock, test } from "node:test";

import { Link } from "../evercell_widgets/static/link.js";
import { frame, header, row } from "./samples.js";

/** A model whose kernel answers when the test says so. */
class FakeModel {
  constructor() {
    /** @type {any[]} */
    this.sent = [];
    /** @type {Record<string, any>} */
    this.state = { picture: frame(["a"], [row("a")]) };
    /** @type {Record<string, ((...args: any[]) => void)[]>} */
    this.listeners = {};
  }
  /** @param {string} name */
  get(name) {
    return this.state[name];
  }
  /** @param {string} name @param {(...args: any[]) => void} listener */
  on(name, listener) {
    (this.listeners[name] ??= []).push(listener);
  }
  /** @param {string} name @param {(...args: any[]) => void} listener */
  off(name, listener) {
    this.listeners[name] = (this.listeners[name] ?? []).filter((each) => each !== listener);
  }
  /** @param {any} message */
  send(message) {
    this.sent.push(message);
  }
  /** @param {Link} link @param {object} sent */
  deliver(link, sent) {
    const bytes = new TextEncoder().encode(JSON.stringify(sent));
    const buffer = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    for (const listener of this.listeners["msg:custom"]) {
      listener({ type: "frame", page: link.page }, [buffer]);
    }
  }
  /** @param {object} picture */
  set(picture) {
    this.state.picture = picture;
    for (const listener of this.listeners["change:picture"]) listener();
  }
}

/** @type {any[]} */
let drawn = [];
/** @type {FakeModel} */
let model;

beforeEach(() => {
  mock.timers.reset();
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: 1_000_000 });
  // @ts-expect-error the part of a window that the link uses
  globalThis.window = {
    addEventListener() {}, removeEventListener() {},
    setTimeout: (/** @type {any} */ f, /** @type {number} */ ms) => setTimeout(f, ms),
    clearTimeout: (/** @type {any} */ id) => clearTimeout(id),
  };
  drawn = [];
  model = new FakeModel();
});

function opened(complete = () => true) {
  const link = new Link(model, (picture) => (drawn.push(picture), complete()));
  link.open();
  return link;
}

test("it draws what is there, and asks for its own frame", () => {
  const link = opened();
  assert.equal(drawn.length, 1);
  assert.deepEqual(model.sent.map(({ type, page, fresh }) => [type, page, fresh]), [["look", link.page, true]]);
});

test("looks that come while one is under way become one", () => {
  const link = opened();
  link.look({ first: 10 });
  link.look({ first: 20 });
  link.look({ first: 30 });
  assert.equal(model.sent.length, 1);
  model.deliver(link, frame(["a"], [row("a")]));
  assert.deepEqual(model.sent.map(({ first }) => first), [0, 30]);
  assert.equal(model.sent[1].fresh, false);
});

test("a look goes out in the end, though no answer came", () => {
  const link = opened();
  link.look({ search: "x" });
  mock.timers.tick(399);
  assert.equal(model.sent.length, 1);
  mock.timers.tick(1);
  assert.equal(model.sent.at(-1).search, "x");
  assert.equal(model.sent.at(-1).fresh, true);
});

test("a frame that leaves a gap brings a fresh one", () => {
  let complete = true;
  const link = opened(() => complete);
  complete = false;
  model.deliver(link, frame(["a", "b"], [row("a")], { revision: 2 }));
  assert.deepEqual(model.sent.map(({ fresh }) => fresh), [true, true]);
});

test("it is busy until the kernel has answered the latest look", () => {
  const link = opened();
  model.deliver(link, frame(["a"], [row("a")]));
  assert.equal(link.isBusy, false);
  link.look({ search: "x" });
  link.look({ search: "xy" });
  assert.equal(link.isBusy, true);
  const busy = [];
  for (const asked of [0, 1, 2]) {
    model.deliver(link, frame(["a"], [], { asked, number: asked + 1 }));
    busy.push(link.isBusy);
  }
  assert.deepEqual(busy, [true, true, false]);
  assert.deepEqual(model.sent.map(({ asked }) => asked), [0, 1, 2]);
});

test("a look whose answer was lost is sent again, though nothing happens in the run", () => {
  const link = opened();
  model.deliver(link, frame([], [], { header: IDLE }));
  link.look({ search: "x" });
  mock.timers.tick(3000);
  assert.deepEqual(model.sent.map(({ search }) => search), ["", "x", "x"]);
  model.deliver(link, frame([], [], { header: IDLE, asked: 1, number: 1 }));
  mock.timers.tick(3_600_000);
  assert.equal(model.sent.length, 3);
});

test("frames for other pages are passed over", () => {
  const link = opened();
  model.deliver(/** @type {any} */ ({ page: "other" }), frame([], [], { revision: 9 }));
  model.deliver(link, frame([], [], { revision: 5 }));
  assert.deepEqual(drawn.map(({ revision }) => revision), [1, 5]);
});

test("a frame that was lost brings a whole one, asked for once", () => {
  const link = opened();
  for (const number of [0, 1]) model.deliver(link, frame(["a"], [], { number }));
  assert.equal(model.sent.length, 1);
  model.deliver(link, frame(["a"], [], { number: 3 })); // the second is missing, with what it changed
  assert.equal(model.sent.at(-1).fresh, true);
  model.deliver(link, frame(["a"], [], { number: 4 }));
  model.deliver(link, frame(["a"], [row("a")]));
  model.deliver(link, frame(["a"], [], { number: 1 }));
  assert.equal(model.sent.length, 2);
});

const RUNNING = header({ running_since: 1e9 });
const IDLE = header({ state: "idle", running_since: null });

test("a page that hears nothing while the run goes on asks, ever more rarely", () => {
  const link = opened();
  model.deliver(link, frame([], [], { header: RUNNING }));
  const asked = () => model.sent.length - 1;
  mock.timers.tick(2999);
  assert.equal(asked(), 0);
  mock.timers.tick(1);
  assert.equal(asked(), 1);
  mock.timers.tick(6000);
  assert.equal(asked(), 2);
  for (const ms of [12_000, 24_000, 48_000, 60_000, 60_000]) mock.timers.tick(ms);
  assert.equal(asked(), 7);
  model.deliver(link, frame([], [], { number: 1, header: IDLE })); // the last one had been lost
  const before = asked();
  mock.timers.tick(3_600_000);
  assert.equal(asked(), before);
});

test("a page whose last frame was lost asks when a newer picture has come", () => {
  const link = opened();
  model.deliver(link, frame([], [], { revision: 2, header: IDLE }));
  model.set(frame([], [], { revision: 3, header: IDLE })); // and nothing after it
  mock.timers.tick(3000);
  assert.equal(model.sent.at(-1).fresh, true);
  model.deliver(link, frame([], [], { revision: 3, header: IDLE }));
  assert.equal(model.sent.length, 2);
});

test("while the kernel answers nobody, the picture is followed", () => {
  opened();
  model.set(frame([], [], { revision: 3 }));
  assert.deepEqual(drawn.map(({ revision }) => revision), [1, 3]);
});

test("a page that was forgotten speaks up", () => {
  const link = opened();
  model.deliver(link, frame([], [], { revision: 2 }));
  model.set(frame([], [], { revision: 3 }));
  mock.timers.tick(2000);
  model.set(frame([], [], { revision: 4 }));
  assert.equal(model.sent.length, 1); // its own frame may be on its way
  mock.timers.tick(1000);
  assert.equal(model.sent.at(-1).fresh, true);
  assert.deepEqual(drawn.map(({ revision }) => revision), [1, 2]);
});

test("a closed link says so, and hears nothing more", () => {
  const link = opened();
  link.close();
  assert.equal(model.sent.at(-1).type, "leave");
  model.deliver(link, frame([], [], { revision: 9 }));
  assert.equal(drawn.length, 1);
});

test("a model that can't send is only drawn", () => {
  const link = new Link({ get: (name) => model.get(name), on() {}, off() {} }, (picture) => (drawn.push(picture), true));
  link.open();
  link.look({ first: 3 });
  link.close();
  assert.equal(drawn.length, 1);
});

const CANCEL = { deed: "cancel", run: "r", activity: null, label: "", ask: null, form: null, name: "" };

const QUIET = () => {};

/** @param {Link} link @param {object} content */
function answer(link, content) {
  for (const listener of model.listeners["msg:custom"]) listener({ type: "answer", page: link.page, ...content }, []);
}

test("an action is done when the kernel says that it is durable", async () => {
  const link = opened();
  const done = link.act(CANCEL, { value: "1" }, QUIET);
  const { request, deed, run, value } = model.sent.at(-1);
  assert.deepEqual([deed, run, value], ["cancel", "r", "1"]);
  answer(link, { request, error: null, note: "Saved as run r2" });
  assert.deepEqual(await done, { error: null, word: null, note: "Saved as run r2" });
});

test("what went wrong is handed on, to the one who asked", async () => {
  const link = opened();
  const first = link.act(CANCEL, {}, QUIET);
  const second = link.act(CANCEL, {}, QUIET);
  const [a, b] = model.sent.slice(-2);
  answer(link, { request: b.request, error: "too late", word: "All the same" });
  answer(link, { request: a.request, error: null, word: null });
  const wrong = { error: "too late", word: "All the same", note: null };
  const saved = { error: null, word: null, note: null };
  assert.deepEqual(await Promise.all([first, second]), [saved, wrong]);
});

test("an action is sent again, the same, until there is an answer; a person is told once", async () => {
  const link = opened();
  model.deliver(link, frame([], [], { header: IDLE }));
  /** @type {string[]} */
  const told = [];
  const done = link.act(CANCEL, { value: "1" }, (why) => told.push(why));
  const acts = () => model.sent.filter(({ type }) => type === "act");
  for (const [ms, sent, said] of [[2999, 1, 0], [1, 2, 0], [6000, 3, 0], [1000, 3, 1], [11_000, 4, 1]]) {
    mock.timers.tick(ms);
    assert.deepEqual([acts().length, told.length], [sent, said]);
  }
  assert.match(told[0], /No answer/);
  assert.equal(new Set(acts().map((it) => JSON.stringify(it))).size, 1);
  answer(link, { request: acts()[0].request, error: null });
  assert.equal((await done).error, null);
  mock.timers.tick(3_600_000);
  assert.equal(acts().length, 4);
});

test("an action whose display is closed has no answer", async () => {
  const link = opened();
  const done = link.act(CANCEL, {}, QUIET);
  link.close();
  assert.match((await done).error ?? "", /closed/);
});
