import assert from "node:assert/strict";
import { test } from "node:test";

import { otherRuns } from "../labextension/static/actions.js";
import { summary, telling } from "../labextension/static/preview.js";

test("a cell is named by its telling line, as in the run widget (tests/unit/test_widgets_view.py)", () => {
  const sources = ["# why\n\nx = 1\ny = 2", "import os\n@step\ndef ask(q):\n  ...", "import os", "# only this", ""];
  assert.deepEqual(sources.map(telling), ["x = 1", "def ask(q):", "import os", "# only this", ""]);
});

test("the sum says what is paid, and what is not", () => {
  const cost = { seconds: 2, steps: 3, input_tokens: 900, output_tokens: 100, money: 0.0123 };
  const one = { cell_id: "a", index: 0, slot: "a", last: "", reason: "", stale: false, depends_on: [], cost };
  /** @type {import("../labextension/static/types").Preview[]} */
  const previews = [{ ...one, action: "execute" }, { ...one, action: "restore" }];
  assert.equal(
    summary(previews),
    "1 cell would run, 1 restored. What may run had taken 2.0 s, 1\u202f000 tokens, cost 0.0123; " +
      "finished steps in it are not paid again.",
  );
});

test("an earlier run is one of the same notebook with the same parameters", () => {
  const run = (/** @type {string} */ run_id, notebook = "/a.ipynb", parameters = {}) =>
    /** @type {import("../labextension/static/types").Run} */ (/** @type {unknown} */ ({ run_id, notebook, parameters }));
  const ab = { a: 1, b: [2] };
  const runs = [run("r1", "/a.ipynb", ab), run("r2"), run("r3", "/b.ipynb", ab), run("r4", "/a.ipynb", { b: [2], a: 1 })];
  const others = (/** @type {string | undefined} */ current) => otherRuns(runs, current).map(({ run_id }) => run_id);
  assert.deepEqual(others("r1"), ["r4"]);
  assert.deepEqual(others("r2"), []);
  assert.deepEqual([others(undefined), others("gone")], [[], []]);
});
