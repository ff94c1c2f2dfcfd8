// The live layer of a run. Plain ESM, no build step; types in JSDoc, checked by `tsc --checkJs`.
//
//   initialize ── finds every <div class="evercell-view KEY"> on the page, hides the static table
//                 in it and draws a Picture there; a MutationObserver follows when JupyterLab
//                 replaces the output's HTML or attaches it again
//   render     ── the same Picture in an element: where the widget is displayed as a widget, and
//                 for other scripts, which give it any model with get, on, off and send
//
// The kernel sends these modules joined into one (`modules.py`). There is a default export only:
// anywidget takes a named `render` for a widget of its oldest kind, and passes over `initialize`.

import { Picture } from "./picture.js";

/** @typedef {import("./types.js").Model} Model */

/**
 * A picture that follows the model until `signal` says stop.
 * @param {Model} model
 * @param {AbortSignal} [signal]
 */
function follow(model, signal) {
  const picture = new Picture(model);
  picture.link.open();
  signal?.addEventListener("abort", () => picture.dispose());
  return picture;
}

/**
 * Draw in each static view of this run on the page, wherever it is now.
 * @param {{model: Model, signal: AbortSignal}} context
 */
function initialize({ model, signal }) {
  const places = document.getElementsByClassName(model.get("key"));
  /** @type {Map<Element, Picture>} */
  const drawn = new Map();
  const settle = () => {
    const lost = [...drawn].filter(([place]) => !place.isConnected);
    for (const place of places) {
      if (drawn.has(place)) continue;
      const [from, picture] = lost.shift() ?? [null, follow(model, signal)];
      if (from) drawn.delete(from);
      drawn.set(place, picture);
      for (const child of place.children) /** @type {HTMLElement} */ (child).hidden = true;
      place.append(picture.el);
    }
  };
  const observer = new MutationObserver(settle);
  let here = false;
  const come = () => {
    if (here || signal.aborted) return;
    here = true;
    observer.observe(document.body, { childList: true, subtree: true });
    settle();
  };
  // The kernel died, or closed the display: the table beneath is what remains.
  const leave = () => {
    here = false;
    observer.disconnect();
    for (const [place, picture] of drawn) {
      picture.dispose();
      for (const child of place.children) /** @type {HTMLElement} */ (child).hidden = false;
    }
    drawn.clear();
  };
  signal.addEventListener("abort", leave);
  model.on("comm_live_update", leave);
  // Whom the kernel still tells something, lives: the manager may have said so of an earlier kernel.
  model.on("change:picture", come);
  come();
}

/** @param {{model: Model, el: HTMLElement, signal?: AbortSignal}} context */
function render({ model, el, signal }) {
  const picture = follow(model, signal);
  el.append(picture.el);
  return () => picture.dispose();
}

export default { initialize, render };
