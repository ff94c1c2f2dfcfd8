// JSON schemas as form fields, and forms' contents as values. Pure.
//
//   schema ── planOf ──> Field (a tree) ── the page shows it ──> texts ── valueOf ──> JSON value
//
// Booleans, choices, numbers, texts, lists of simple values, optional values and nested objects
// have fields of their own; anything else is asked for as JSON.

/**
 * @typedef {{kind: "object" | "choice" | "boolean" | "number" | "text" | "lines" | "json",
 *   name: string, title: string, help: string, required: boolean, nullable: boolean,
 *   initial: any,
 *   options: any[], fields: Field[], integer: boolean, least: number | null,
 *   most: number | null, long: boolean}} Field
 */

/**
 * @param {any} schema
 * @param {any} [root] where $ref points into
 * @param {string} [name]
 * @param {boolean} [required]
 * @returns {Field}
 */
export function planOf(schema, root = schema, name = "", required = true) {
  const { schema: plain, optional } = withoutNull(resolve(schema, root), root);
  /** @type {Field} */
  const field = {
    kind: "json", name, title: plain.title ?? titled(name), help: plain.description ?? "",
    required, nullable: optional, initial: schema.default ?? plain.default, options: [],
    fields: [], integer: false, least: null, most: null, long: false,
  };
  if (plain.enum || "const" in plain) {
    return { ...field, kind: "choice", options: plain.enum ?? [plain.const] };
  }
  const constants = (plain.anyOf ?? plain.oneOf ?? []).map((/** @type {any} */ each) => resolve(each, root));
  if (constants.length && constants.every((/** @type {any} */ each) => "const" in each || each.enum)) {
    return { ...field, kind: "choice", options: constants.flatMap((/** @type {any} */ c) => c.enum ?? [c.const]) };
  }
  return { ...field, ...typed(plain, root) };
}

/** @param {any} plain @param {any} root @returns {Partial<Field>} */
function typed(plain, root) {
  switch (plain.type) {
    case "boolean":
      return { kind: "boolean" };
    case "integer":
    case "number":
      return {
        kind: "number", integer: plain.type === "integer",
        least: plain.minimum ?? plain.exclusiveMinimum ?? null,
        most: plain.maximum ?? plain.exclusiveMaximum ?? null,
      };
    case "string":
      return { kind: "text", long: (plain.maxLength ?? 0) > 200 || plain.format === "textarea" };
    case "array": {
      const item = planOf(plain.items ?? {}, root);
      return ["text", "number"].includes(item.kind) ? { kind: "lines", fields: [item] } : {};
    }
    case "object": {
      if (!plain.properties) return {};
      const needed = new Set(plain.required ?? []);
      const fields = Object.entries(plain.properties).map(([name, each]) =>
        planOf(each, root, name, needed.has(name)));
      return { kind: "object", fields };
    }
    default:
      return {};
  }
}

/** @param {any} schema @param {any} root @param {number} [depth] @returns {any} */
function resolve(schema, root, depth = 0) {
  const ref = schema?.$ref;
  if (typeof ref !== "string" || !ref.startsWith("#/") || depth > 20) return schema ?? {};
  /** @type {any} */
  let found = root;
  for (const part of ref.slice(2).split("/")) {
    found = found?.[part.replaceAll("~1", "/").replaceAll("~0", "~")];
  }
  const { $ref: _, ...besides } = schema;
  return { ...resolve(found, root, depth + 1), ...besides };
}

/** A value or null is an optional value. @param {any} schema @param {any} root */
function withoutNull(schema, root) {
  const given = schema.anyOf ?? schema.oneOf;
  if (Array.isArray(schema.type) && schema.type.includes("null") && schema.type.length === 2) {
    const type = schema.type.find((/** @type {string} */ each) => each !== "null");
    return { schema: { ...schema, type }, optional: true };
  }
  if (!Array.isArray(given)) return { schema, optional: false };
  const others = given.filter((each) => each.type !== "null");
  if (others.length === given.length) return { schema, optional: false };
  const { anyOf: _, oneOf: __, ...besides } = schema;
  const plain = others.length === 1 ? resolve(others[0], root) : { anyOf: others };
  return { schema: { ...plain, ...besides }, optional: true };
}

/** "max_cost" reads as "Max cost". @param {string} name */
function titled(name) {
  const words = name.replaceAll("_", " ");
  return words.charAt(0).toUpperCase() + words.slice(1);
}

/**
 * What was written into a field, as JSON.
 * @param {Field} field
 * @param {string | boolean} written
 * @returns {any} undefined where nothing was written into a field that may be left empty
 * @throws {Error} whose message says what is wrong
 */
export function valueOf(field, written) {
  if (typeof written === "boolean") return written;
  const text = field.kind === "text" ? written : written.trim();
  if (text === "") {
    if (!field.required) return undefined; // its default holds
    if (field.nullable) return null;
    if (field.kind === "lines") return [];
    if (field.kind !== "text") throw new Error(`${field.title || "This"} is needed.`);
    return "";
  }
  switch (field.kind) {
    case "number":
      return numberOf(field, text);
    case "choice":
      return field.options[Number(text)];
    case "lines":
      return text.split("\n").filter((line) => line.trim())
        .map((line) => valueOf({ ...field.fields[0], title: field.title, required: true }, line));
    case "json":
      return jsonOf(field, text);
    default:
      return text;
  }
}

/** @param {Field} field @param {string} text */
function numberOf(field, text) {
  const value = Number(text);
  if (!Number.isFinite(value) || (field.integer && !Number.isInteger(value))) {
    throw new Error(`${field.title} is not a ${field.integer ? "whole number" : "number"}.`);
  }
  if (field.least !== null && value < field.least) throw new Error(`${field.title} is at least ${field.least}.`);
  if (field.most !== null && value > field.most) throw new Error(`${field.title} is at most ${field.most}.`);
  return value;
}

/** @param {Field} field @param {string} text */
function jsonOf(field, text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(`${field.title || "The value"} is no JSON. A text needs quotation marks.`);
  }
}
