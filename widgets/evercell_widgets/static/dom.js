// Elements, made with text only: nothing from a run is ever read as HTML.

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 */
export function h(tag, className = "", text = "") {
  const el = document.createElement(tag);
  if (className) el.className = className;
  if (text) el.textContent = text;
  return el;
}

/**
 * @param {string} className
 * @param {string} text what it shows
 * @param {() => void} act
 */
export function button(className, text, act) {
  const el = /** @type {HTMLButtonElement} */ (h("button", className, text));
  el.type = "button";
  el.addEventListener("click", (event) => {
    event.stopPropagation();
    act();
  });
  return el;
}

/**
 * Say it, unless it is said already: writing the same text again costs a layout.
 * @param {HTMLElement} el
 * @param {string} text
 */
export function say(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/** @type {[string, "restored" | "completed" | "failed" | "in_doubt" | "canceled" | "running"][]} */
const PARTS = [
  ["ec-restored", "restored"], ["ec-completed", "completed"], ["ec-failed", "failed"],
  ["ec-doubt", "in_doubt"], ["ec-canceled", "canceled"], ["ec-running", "running"],
];

/**
 * A bar of what became of steps; what is planned and not begun stays empty.
 * @param {HTMLElement} el
 * @param {import("./types.js").Counts} counts
 */
export function drawBar(el, counts) {
  while (el.children.length < PARTS.length) el.append(h("span", PARTS[el.children.length][0]));
  PARTS.forEach(([, kind], i) => {
    const part = /** @type {HTMLElement} */ (el.children[i]);
    part.hidden = !counts[kind];
    part.style.flexGrow = String(counts[kind]);
  });
  const whole = counts.planned || counts.total;
  el.style.setProperty("--ec-known", `${whole ? (100 * counts.total) / whole : 0}%`);
}
