// The live layer of a run. Plain ESM, no build step; types in JSDoc, checked by `tsc --checkJs`.
//
//   initialize ── finds every <div class="evercell-view KEY"> on the page, hides the static table
//                 and draws a Picture in its place; a MutationObserver follows when the output is
//                 made anew elsewhere
//   render     ── the same Picture in an element: where the widget is displayed as a widget, and
//                 for other scripts, which give it any model with get, on, off and send
//
// The kernel sends these modules joined into one (`modules.py`). There is a default export only:
// anywidget takes a named `render` for a widget of its oldest kind, and passes over `initialize`.

import { h } from "./dom.js";
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
 * What stays on the page while the table in it is shown anew. JupyterLab writes an output's HTML
 * again with each update; it keeps the output's element.
 * @param {Element} place a static view
 */
const hostOf = (place) => /** @type {HTMLElement} */ (place.closest(".jp-OutputArea-output") ?? place);

/** Show `el` instead of what is in the host: in a notebook beside it, for there an element within
 * would go with the HTML, and with it the focus, a press, what is scrolled.
 * @param {HTMLElement} host @param {HTMLElement} el */
function cover(host, el) {
  if (host.classList.contains("jp-OutputArea-output")) {
    const beside = h("div", "jp-OutputArea-output evercell-beside");
    beside.append(el);
    host.classList.add("evercell-covered");
    host.after(beside);
    return;
  }
  for (const child of host.children) /** @type {HTMLElement} */ (child).hidden = true;
  host.append(el);
}

/** @param {HTMLElement} host @param {HTMLElement} el */
function uncover(host, el) {
  (el.closest(".evercell-beside") ?? el).remove();
  host.classList.remove("evercell-covered");
  for (const child of host.children) /** @type {HTMLElement} */ (child).hidden = false;
}

/**
 * Draw over each static view of this run on the page, wherever it is now.
 * @param {{model: Model, signal: AbortSignal}} context
 */
function initialize({ model, signal }) {
  const places = document.getElementsByClassName(model.get("key"));
  /** @type {Map<HTMLElement, Picture>} by what it covers */
  const drawn = new Map();
  const settle = () => {
    const hosts = new Set([...places].map(hostOf));
    const isLost = (/** @type {HTMLElement} */ host) =>
      !hosts.has(host) && !(host.isConnected && !host.firstChild); // it is being written
    const lost = [...drawn].filter(([host]) => isLost(host));
    for (const host of hosts) {
      if (drawn.has(host)) continue;
      const [from, picture] = lost.shift() ?? [null, follow(model, signal)];
      if (from) {
        uncover(from, picture.el);
        drawn.delete(from);
      }
      drawn.set(host, picture);
      cover(host, picture.el);
    }
    for (const [host] of lost) if (host.isConnected) drop(host); // it shows something else now
  };
  const drop = (/** @type {HTMLElement} */ host) => {
    const picture = drawn.get(host);
    if (!picture) return;
    uncover(host, picture.el);
    picture.dispose();
    drawn.delete(host);
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
    for (const host of [...drawn.keys()]) drop(host);
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
