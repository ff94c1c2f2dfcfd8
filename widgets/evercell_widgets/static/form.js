// A form made of a field tree (`schema.js`), and what was written into it.

import { h } from "./dom.js";
import { valueOf } from "./schema.js";

/**
 * @typedef {import("./schema.js").Field} Field
 * @typedef {{el: HTMLElement, value: () => any}} Input value() throws an Error for people
 */

/**
 * @param {Field} field
 * @param {string} id unique on the page, for labels
 * @returns {Input}
 */
export function inputOf(field, id) {
  if (field.kind === "object") return objectInput(field, id);
  if (field.kind === "boolean") return booleanInput(field, id);
  const control = controlOf(field);
  control.id = id;
  const el = h("div", "ec-field");
  el.append(labelOf(field, id), control);
  if (field.help) el.append(helpOf(field, id, control));
  return { el, value: () => valueOf(field, control.value) };
}

/** @param {Field} field @param {string} id @returns {Input} */
function objectInput(field, id) {
  const el = h("fieldset", "ec-fields");
  if (field.title) el.append(h("legend", "", field.title));
  const inputs = field.fields.map((each) => inputOf(each, `${id}-${each.name}`));
  el.append(...inputs.map((input) => input.el));
  const value = () => {
    /** @type {Record<string, any>} */
    const found = {};
    field.fields.forEach((each, i) => {
      const written = inputs[i].value();
      if (written !== undefined) found[each.name] = written;
    });
    return found;
  };
  return { el, value };
}

/** @param {Field} field @param {string} id @returns {Input} */
function booleanInput(field, id) {
  const box = /** @type {HTMLInputElement} */ (h("input"));
  box.type = "checkbox";
  box.id = id;
  box.checked = field.initial === true;
  const el = h("div", "ec-field ec-check");
  el.append(box, labelOf(field, id));
  if (field.help) el.append(helpOf(field, id, box));
  return { el, value: () => valueOf(field, box.checked) };
}

/** @param {Field} field */
function controlOf(field) {
  if (field.kind === "choice") return choice(field);
  const initial = field.initial ?? "";
  if (field.kind === "lines" || field.kind === "json" || field.long) {
    const area = /** @type {HTMLTextAreaElement} */ (h("textarea"));
    area.rows = field.kind === "json" ? 3 : 4;
    area.value = field.kind === "lines" && Array.isArray(initial) ? initial.join("\n")
      : typeof initial === "string" ? initial : JSON.stringify(initial);
    if (field.kind === "lines") area.placeholder = "one per line";
    if (field.kind === "json") area.placeholder = "JSON";
    return area;
  }
  const input = /** @type {HTMLInputElement} */ (h("input"));
  input.type = field.kind === "number" ? "number" : "text";
  if (field.kind === "number") {
    input.step = field.integer ? "1" : "any";
    if (field.least !== null) input.min = String(field.least);
    if (field.most !== null) input.max = String(field.most);
  }
  input.value = String(initial);
  return input;
}

/** @param {Field} field */
function choice(field) {
  const select = /** @type {HTMLSelectElement} */ (h("select"));
  if (!field.required || field.initial === undefined) select.append(h("option", "", ""));
  field.options.forEach((value, i) => {
    const option = /** @type {HTMLOptionElement} */ (
      h("option", "", typeof value === "string" ? value : JSON.stringify(value))
    );
    option.value = String(i);
    option.selected = value === field.initial;
    select.append(option);
  });
  if (select.options[0]?.textContent === "") select.options[0].value = "";
  return select;
}

/** @param {Field} field @param {string} id */
function labelOf(field, id) {
  const label = /** @type {HTMLLabelElement} */ (h("label", "", field.title || "Value"));
  label.htmlFor = id;
  if (!field.required || field.nullable) label.append(h("span", "ec-optional", "optional"));
  return label;
}

/** @param {Field} field @param {string} id @param {HTMLElement} control */
function helpOf(field, id, control) {
  const help = h("div", "ec-help", field.help);
  help.id = `${id}-help`;
  control.setAttribute("aria-describedby", help.id);
  return help;
}
