import assert from "node:assert/strict";
import { test } from "node:test";

import { planOf, valueOf } from "../evercell_widgets/static/schema.js";

// What pydantic makes of: class Who(BaseModel): name: str; age: int | None = None
//   class Plan(BaseModel): go: bool = True; mode: Literal["fast", "deep"]; budget: float (0 to 10);
//   note: str = ""; tags: list[str] = []; who: Who; extra: dict[str, int] = {}
const PLAN = {
  $defs: {
    Who: {
      properties: {
        name: { title: "Name", type: "string" },
        age: { anyOf: [{ type: "integer" }, { type: "null" }], default: null, title: "Age" },
      },
      required: ["name"], title: "Who", type: "object",
    },
  },
  properties: {
    go: { default: true, title: "Go", type: "boolean" },
    mode: { enum: ["fast", "deep"], title: "Mode", type: "string", description: "How to look" },
    budget: { maximum: 10, minimum: 0, title: "Budget", type: "number" },
    note: { default: "", title: "Note", type: "string", maxLength: 2000 },
    tags: { default: [], items: { type: "string" }, title: "Tags", type: "array" },
    who: { $ref: "#/$defs/Who" },
    extra: { additionalProperties: { type: "integer" }, default: {}, title: "Extra", type: "object" },
  },
  required: ["mode", "budget", "who"], title: "Plan", type: "object",
};

const fields = Object.fromEntries(planOf(PLAN).fields.map((field) => [field.name, field]));

test("a model's fields have the kinds of their types", () => {
  assert.equal(planOf(PLAN).kind, "object");
  const kinds = Object.values(fields).map(({ name, kind }) => [name, kind]);
  assert.deepEqual(kinds, [
    ["go", "boolean"], ["mode", "choice"], ["budget", "number"], ["note", "text"],
    ["tags", "lines"], ["who", "object"], ["extra", "json"],
  ]);
  assert.deepEqual(fields.mode.options, ["fast", "deep"]);
  assert.equal(fields.mode.help, "How to look");
  assert.equal(fields.go.initial, true);
  assert.deepEqual([fields.budget.least, fields.budget.most], [0, 10]);
  assert.ok(fields.note.long);
});

test("a nested model is found through its reference", () => {
  assert.equal(fields.who.title, "Who");
  assert.deepEqual(fields.who.fields.map(({ name, kind, required }) => [name, kind, required]), [
    ["name", "text", true], ["age", "number", false],
  ]);
  assert.ok(fields.who.fields[1].integer);
});

test("choices may be of any type, and of constants", () => {
  const field = planOf({ anyOf: [{ const: 1 }, { const: "two" }, { enum: [null, true] }] });
  assert.deepEqual([field.kind, field.options], ["choice", [1, "two", null, true]]);
  assert.equal(valueOf(field, "0"), 1);
  assert.equal(valueOf(field, "3"), true);
});

test("other spellings of optional are known", () => {
  assert.equal(planOf({ type: ["integer", "null"] }).kind, "number");
  assert.equal(planOf({ type: ["integer", "null"] }).nullable, true);
  assert.equal(planOf({ anyOf: [{ type: "string" }, { type: "integer" }] }).kind, "json");
});

test("a reference in a circle, or to nowhere, is asked for as JSON", () => {
  const circle = { $ref: "#/$defs/A", $defs: { A: { $ref: "#/$defs/A" } } };
  assert.equal(planOf(circle).kind, "json");
  assert.equal(planOf({ $ref: "#/$defs/Gone" }).kind, "json");
});

test("what was written becomes a value of the type", () => {
  assert.equal(valueOf(fields.go, false), false);
  assert.equal(valueOf(fields.mode, "1"), "deep");
  assert.equal(valueOf(fields.budget, " 2.5 "), 2.5);
  assert.equal(valueOf(fields.note, " as it is "), " as it is ");
  assert.deepEqual(valueOf(fields.tags, "a\n\n b "), ["a", " b"]);
  assert.deepEqual(valueOf(fields.extra, '{"a": 1}'), { a: 1 });
});

test("what is empty is left out, null, or needed", () => {
  assert.equal(valueOf(fields.who.fields[1], ""), undefined);
  assert.equal(valueOf({ ...fields.who.fields[1], required: true }, ""), null);
  assert.equal(valueOf(fields.note, ""), undefined);
  assert.equal(valueOf({ ...fields.budget, required: false }, ""), undefined);
  assert.equal(valueOf(fields.who.fields[0], ""), "");
  assert.throws(() => valueOf(fields.budget, ""), /Budget is needed/);
  assert.throws(() => valueOf(fields.mode, ""), /Mode is needed/);
});

test("what does not fit is said with the field's title", () => {
  assert.throws(() => valueOf(fields.budget, "much"), /Budget is not a number/);
  assert.throws(() => valueOf(fields.budget, "11"), /Budget is at most 10/);
  assert.throws(() => valueOf(fields.budget, "-1"), /Budget is at least 0/);
  assert.throws(() => valueOf(fields.who.fields[1], "1.5"), /Age is not a whole number/);
  assert.throws(() => valueOf(fields.extra, "{a}"), /Extra is no JSON/);
});
