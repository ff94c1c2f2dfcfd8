import assert from "node:assert/strict";
import { test } from "node:test";

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
