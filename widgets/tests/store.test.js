import assert from "node:assert/strict";
import { test } from "node:test";

import { Store, ahead, sight } from "../evercell_widgets/static/store.js";
import { frame, row } from "./samples.js";

test("a frame's rows join those that are here, and others are forgotten", () => {
  const store = new Store();
  assert.ok(store.apply(frame(["a", "b"], [row("a"), row("b")])));
  assert.ok(store.apply(frame(["b", "c"], [row("c")], { first: 1, total: 3 })));
  assert.equal(store.at(1)?.id, "b");
  assert.equal(store.at(2)?.id, "c");
  assert.equal(store.at(0), undefined);
  assert.equal(store.rows.has("a"), false);
});

test("a row that changed takes the place of the old one", () => {
  const store = new Store();
  store.apply(frame(["a"], [row("a")]));
  store.apply(frame(["a"], [row("a", { status: "completed" })]));
  assert.equal(store.at(0)?.status, "completed");
});

test("a frame that names a row nobody sent is not complete", () => {
  const store = new Store();
  assert.equal(store.apply(frame(["a", "b"], [row("a")])), false);
  assert.equal(store.at(1), undefined);
});

test("rows are found by id, with their index among all", () => {
  const store = new Store();
  store.apply(frame(["x", "y"], [row("x"), row("y")], { first: 40, total: 90 }));
  assert.equal(store.indexOf("y"), 41);
  assert.equal(store.indexOf("z"), -1);
  assert.ok(store.covers(40, 42));
  assert.ok(!store.covers(39, 42));
  assert.ok(!store.covers(41, 43));
});

test("what lies beyond the end need not be here", () => {
  const store = new Store();
  store.apply(frame(["x", "y"], [row("x"), row("y")], { first: 88, total: 90 }));
  assert.ok(store.covers(88, 95));
});

test("the sight is the rows that a scrolled list shows, never beyond its ends", () => {
  assert.deepEqual(sight(0, 100, 26, 1000), [0, 4]);
  assert.deepEqual(sight(27, 100, 26, 1000), [1, 5]);
  assert.deepEqual(sight(25_990, 100, 26, 1000), [999, 1000]);
  assert.deepEqual(sight(90_000, 100, 26, 1000), [1000, 1000]);
  assert.deepEqual(sight(0, 0, 26, 0), [0, 0]);
});

test("looking ahead asks for rows on both sides, within the list", () => {
  assert.deepEqual(ahead(500, 520, 1000), { first: 480, count: 60 });
  assert.deepEqual(ahead(0, 16, 1000), { first: 0, count: 48 });
  assert.deepEqual(ahead(990, 1000, 1000), { first: 960, count: 40 });
  assert.deepEqual(ahead(0, 3, 3), { first: 0, count: 40 });
});
