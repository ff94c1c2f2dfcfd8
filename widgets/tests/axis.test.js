import assert from "node:assert/strict";
import { test } from "node:test";

import { fit, pan, place, ticks, zoom } from "../evercell_widgets/static/axis.js";
import { header } from "./samples.js";

const S = 1e9;

test("all of a run that goes on reaches from its first cell to now", () => {
  const range = fit(header({ began_at: 10 * S, running_since: 12 * S }), 60 * S);
  assert.equal(range.from, 10 * S);
  assert.ok(range.to >= 60 * S && range.to < 62 * S);
});

test("all of a run that rests ends with its last cell", () => {
  const range = fit(header({ began_at: 10 * S, last_at: 20 * S, running_since: null }), 9000 * S);
  assert.ok(range.to < 21 * S);
});

test("a run in which nothing happened has an axis, too", () => {
  const range = fit(header({ began_at: 0, last_at: 0, running_since: null }), 60 * S);
  assert.ok(range.to > range.from);
});

test("zooming keeps the moment under the pointer where it is", () => {
  const range = zoom({ from: 0, to: 100 * S }, 0.5, 0.25);
  assert.deepEqual(range, { from: 12.5 * S, to: 62.5 * S });
  assert.deepEqual(zoom(range, 2, 0.25), { from: 0, to: 100 * S });
});

test("zooming ends at a millisecond", () => {
  const range = zoom({ from: 0, to: 2e6 }, 1e-6, 0);
  assert.equal(range.to - range.from, 1e6);
});

test("panning moves both ends", () => {
  assert.deepEqual(pan({ from: 0, to: 10 }, 0.5), { from: 5, to: 15 });
});

test("a bar is cut at the axis' ends, and absent beyond them", () => {
  const range = { from: 100, to: 200 };
  assert.deepEqual(place(range, 150, 175), { left: 50, width: 25 });
  assert.deepEqual(place(range, 50, 150), { left: 0, width: 50 });
  assert.deepEqual(place(range, 150, 900), { left: 50, width: 50 });
  assert.equal(place(range, 10, 90), null);
  assert.equal(place(range, 210, 300), null);
});

test("ticks are round and no more than have room", () => {
  const found = ticks({ from: 0, to: 60 * S }, 0, 7);
  assert.deepEqual(found.map(({ label }) => label), ["0 s", "10 s", "20 s", "30 s", "40 s", "50 s", "1:00"]);
  assert.deepEqual(ticks({ from: 0, to: S }, 0, 5).map(({ label }) => label), ["0 s", "0.2 s", "0.4 s", "0.6 s", "0.8 s", "1 s"]);
  assert.deepEqual(ticks({ from: -S, to: S }, 0, 2).map(({ label }) => label), ["-1 s", "0 s", "1 s"]);
  const long = ticks({ from: 0, to: 8 * 3600 * S }, 0, 5).map(({ label }) => label);
  assert.deepEqual(long, ["0:00", "2:00:00", "4:00:00", "6:00:00", "8:00:00"]);
  const far = ticks({ from: 0, to: 5 * 86400 * S }, 0, 6).map(({ label }) => label);
  assert.equal(far.at(-1), "5 d 0 h");
});
