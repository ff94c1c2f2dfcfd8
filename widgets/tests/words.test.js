import assert from "node:assert/strict";
import { test } from "node:test";

import { duration, ended, money, number, progress, roughly, stateWord, ticking } from "../evercell_widgets/static/words.js";
import { counts, row } from "./samples.js";

test("durations read as in the table (tests/unit/test_widgets_static.py)", () => {
  const seconds = [0, 0.34, 0.9996, 8.21, 59.99, 185, 3599.9, 7800];
  assert.deepEqual(seconds.map((s) => duration(s * 1e9)), [
    "<1 ms", "340 ms", "1.0 s", "8.2 s", "1 min 00 s", "3 min 05 s", "1 h 00 min", "2 h 10 min",
  ]);
});

test("a time that grows shows whole seconds, and never less than none", () => {
  assert.deepEqual([-5e9, 0, 1.9e9, 61e9].map(ticking), ["0 s", "0 s", "1 s", "1 min 01 s"]);
});

test("a time to come is rough", () => {
  assert.deepEqual([-1, 4.4e9, 130e9, 7300e9].map(roughly), ["1 s", "4 s", "2 min", "2 h 01 min"]);
});

test("numbers have narrow spaces between thousands", () => {
  assert.deepEqual([0, 999, 1000, 1234567].map(number), ["0", "999", "1\u202f000", "1\u202f234\u202f567"]);
});

test("money has cents, or three digits", () => {
  assert.deepEqual([1234.5, 12, 0.0024, 0.000123456].map(money), ["1234.50", "12.00", "0.0024", "0.000123"]);
});

test("a row's state is one word", () => {
  assert.equal(stateWord(row("s:1", { status: "completed" })), "ran");
  assert.equal(stateWord(row("c:1", { kind: "cell", status: "completed", decision: "recomputed" })), "recomputed");
  assert.equal(stateWord(row("s:1", { status: "in doubt" })), "in doubt");
});

test("progress counts what runs no more, against what is planned where it is known", () => {
  const some = counts({ total: 10, completed: 4, failed: 1, running: 3, in_doubt: 2 });
  assert.equal(ended(some), 5);
  assert.equal(progress(some), "5 / 10");
  assert.equal(progress({ ...some, planned: 1000 }), "5 / 1\u202f000");
});
