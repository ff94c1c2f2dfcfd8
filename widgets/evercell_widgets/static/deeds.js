// Actions: buttons that ask where it costs, forms where something is to be said, and what came of it.
//
//   button ─ asks? ─ form? ─> sent ─ "Saving…" ─> answer: accepted, or what is wrong, perhaps
//                              └── "all the same" <── with what would have it done
//
// What was accepted is durable; that it is done is seen by the row, when its event has come.

import { button, h, say } from "./dom.js";
import { inputOf } from "./form.js";
import { planOf } from "./schema.js";

/**
 * @typedef {import("./types.js").ActionData} ActionData
 * @typedef {import("./types.js").Said} Said
 * @typedef {(action: ActionData, said: Said, late: (why: string) => void) =>
 *   Promise<import("./types.js").Outcome>} Act `late` hears why there is no answer yet
 */

let forms = 0;

/** The buttons of some actions, and below them what the pressed one asks. */
export class Deeds {
  /** @param {ActionData[]} actions @param {Act} act */
  constructor(actions, act) {
    this.el = h("div", "ec-deeds");
    this.row = h("div", "ec-buttons");
    this.asked = h("div", "ec-asked");
    this.said = h("p", "ec-said");
    this.said.setAttribute("role", "status");
    this.act = act;
    for (const action of actions) {
      const el = button(`ec-deed ec-${action.deed}`, action.label, () => this.press(action));
      this.row.append(el);
    }
    this.el.append(this.row, this.asked, this.said);
  }

  /** @param {ActionData} action */
  press(action) {
    say(this.said, "");
    if (action.ask === null && action.form === null) {
      void this.send(action, {});
      return;
    }
    const form = /** @type {HTMLFormElement} */ (h("form", "ec-form"));
    form.noValidate = true; // the fields say what is wrong, in the form
    if (action.ask) form.append(h("p", "", action.ask));
    const read = fieldsOf(form, action);
    const yes = button(`ec-deed ec-primary ec-${action.deed}`, action.label.replace("…", ""), () => {
      form.requestSubmit();
    });
    const no = button("ec-deed", "Don't", () => this.close());
    const buttons = h("div", "ec-buttons");
    buttons.append(yes, no);
    form.append(buttons);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      try {
        void this.send(action, read());
      } catch (error) {
        this.wrong(error instanceof Error ? error.message : String(error));
      }
    });
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.close();
    });
    this.asked.replaceChildren(form);
    const first = form.querySelector("input, select, textarea, button");
    /** @type {HTMLElement | null} */ (first)?.focus();
  }

  close() {
    this.asked.replaceChildren();
    /** @type {HTMLElement | null} */ (this.row.firstElementChild)?.focus();
  }

  /** @param {ActionData} action @param {Said} said */
  async send(action, said) {
    this.lock(true);
    this.said.classList.remove("ec-wrong");
    say(this.said, "Saving…");
    const { error, word, note } = await this.act(action, said, (why) => say(this.said, why));
    this.lock(false);
    if (error !== null) {
      if (word !== null) this.offer(word, action, said);
      return this.wrong(error);
    }
    this.asked.replaceChildren();
    say(this.said, note ?? "Saved: it takes effect as soon as the kernel comes to it.");
  }

  /**
   * Ask for the person's word.
   * @param {string} word @param {ActionData} action @param {Said} said
   */
  offer(word, action, said) {
    const again = { ...said, accepted: true };
    const yes = button(`ec-deed ec-primary ec-${action.deed}`, word, () => void this.send(action, again));
    const buttons = h("div", "ec-buttons");
    buttons.append(yes, button("ec-deed", "Don't", () => this.close()));
    this.asked.replaceChildren(buttons);
    yes.focus();
  }

  /** @param {boolean} locked */
  lock(locked) {
    for (const el of this.el.querySelectorAll("button")) el.disabled = locked;
  }

  /** @param {string} message */
  wrong(message) {
    this.said.classList.add("ec-wrong");
    say(this.said, message);
  }
}

/**
 * Put an action's fields into the form.
 * @param {HTMLElement} form
 * @param {ActionData} action
 * @returns {() => {name?: string, value?: string}} what was written; throws an Error for people
 */
function fieldsOf(form, action) {
  if (action.form === null) return () => ({});
  const id = `ec-form-${++forms}`;
  const any = (/** @type {string} */ title, /** @type {boolean} */ required) =>
    inputOf({ ...planOf({ default: action.value }), title, required }, `${id}-value`);
  if (action.form === "signal") {
    const name = inputOf({ ...planOf({ type: "string", default: action.name }), title: "Signal" }, `${id}-name`);
    const value = any("Argument (JSON)", false);
    form.append(name.el, value.el);
    return () => ({ name: name.value(), ...asText(value.value()) });
  }
  if (action.form === "value") {
    const value = any("Result (JSON)", true);
    form.append(value.el);
    return () => asText(value.value());
  }
  const input = inputOf(planOf(JSON.parse(action.form)), id);
  form.append(input.el);
  return () => asText(input.value());
}

/** @param {any} value @returns {{value?: string}} */
function asText(value) {
  return value === undefined ? {} : { value: JSON.stringify(value) };
}
