// A run in a tab, drawn by the run widget's own script. The script is the kernel's: it draws what
// that kernel sends, whatever release this extension is of.

import { h } from "./dom.js";
import { runIcon } from "./icons.js";
import { apputils, widgets } from "./shared.js";

/** @typedef {import("./channel.js").Channel} Channel */
/** @typedef {import("./types").Run} Run */
/** @typedef {import("@lumino/widgets").Widget} Widget */
/** @typedef {{render(context: {model: RunModel, el: HTMLElement, signal: AbortSignal}): unknown}} Script */

/** What the script takes for a widget's model: its messages go through the channel. */
class RunModel {
  /**
   * @param {Channel} channel
   * @param {string} view
   * @param {any} picture
   */
  constructor(channel, view, picture) {
    this.channel = channel;
    this.view = view;
    /** @type {Record<string, any>} */
    this.state = { key: "", picture };
    /** @type {Map<string, Set<Function>>} */
    this.listeners = new Map();
  }

  /** @param {string} name */
  get(name) {
    return this.state[name];
  }

  /** @param {string} event @param {Function} listener */
  on(event, listener) {
    if (!this.listeners.has(event)) this.listeners.set(event, new Set());
    this.listeners.get(event)?.add(listener);
  }

  /** @param {string} event @param {Function} listener */
  off(event, listener) {
    this.listeners.get(event)?.delete(listener);
  }

  /** @param {any} content */
  send(content) {
    if (this.channel.isOpen) this.channel.tell("tell", { view: this.view, content });
  }

  /** @param {any} data @param {DataView[]} buffers what came for this view */
  take(data, buffers) {
    if (data.picture) {
      this.state.picture = data.picture;
      this.emit("change:picture");
    } else {
      this.emit("msg:custom", data.content, buffers);
    }
  }

  /** @param {string} event @param {...any} details */
  emit(event, ...details) {
    for (const listener of this.listeners.get(event) ?? []) listener(...details);
  }
}

/** @type {WeakMap<Channel, Promise<Script>>} */
const scripts = new WeakMap();

/**
 * @param {Channel} channel
 * @returns {Promise<Script>}
 */
function scriptOf(channel) {
  let script = scripts.get(channel);
  if (!script) {
    script = load(channel);
    script.catch(() => scripts.delete(channel));
    scripts.set(channel, script);
  }
  return script;
}

/** @param {Channel} channel */
async function load(channel) {
  const { esm, css } = await channel.ask("widget");
  const style = h("style", "", css);
  document.head.append(style);
  const url = URL.createObjectURL(new Blob([esm], { type: "text/javascript" }));
  try {
    return (await import(url)).default;
  } finally {
    URL.revokeObjectURL(url);
  }
}

let views = 0;

/** The content of the tab. */
class RunView extends widgets.Widget {
  /**
   * @param {Channel} channel of the notebook from which it was opened
   * @param {Run} run
   */
  constructor(channel, run) {
    super({ node: h("div", "evercell-RunView") });
    this.channel = channel;
    this.run = run;
    this.view = `view-${++views}`;
    /** @type {AbortController | null} */
    this.shown = null;
    /** @type {AbortController | null} of what is drawn, which stays while there is no kernel */
    this.drawn = null;
    this.isOpening = false;
    this.message = h("p", "evercell-RunView-message");
    this.message.setAttribute("role", "status");
    this.place = h("div");
    this.node.append(this.message, this.place);
    channel.changed.connect(this.onChannel, this);
    void this.show_();
  }

  /** The kernel was restarted: it has forgotten this view. */
  onChannel() {
    if (!this.channel.isOpen) this.leave("The notebook's kernel is not running. This is what was known last.");
    else if (!this.shown) void this.show_();
  }

  async show_() {
    if (this.isOpening || !this.channel.isOpen) return;
    this.isOpening = true;
    try {
      const script = await scriptOf(this.channel);
      const picture = await this.channel.ask("open", { view: this.view, run: this.run.run_id });
      if (this.isDisposed) return;
      const model = new RunModel(this.channel, this.view, picture);
      this.channel.views.set(this.view, (data, buffers) => model.take(data, buffers));
      this.drawn?.abort(); // its questions are no one's any more
      this.shown = this.drawn = new AbortController();
      this.message.textContent = "";
      this.place.replaceChildren();
      script.render({ model, el: this.place, signal: this.shown.signal });
    } catch (error) {
      this.message.textContent = /** @type {Error} */ (error).message;
    } finally {
      this.isOpening = false;
    }
  }

  /** @param {string} why */
  leave(why) {
    this.shown = null; // what it drew stays
    this.message.textContent = why;
    this.channel.views.delete(this.view);
  }

  dispose() {
    if (this.isDisposed) return;
    this.drawn?.abort();
    this.channel.changed.disconnect(this.onChannel, this);
    this.channel.views.delete(this.view);
    if (this.channel.isOpen) this.channel.tell("close", { view: this.view });
    super.dispose();
  }
}

/** @type {Map<string, import("@jupyterlab/apputils").MainAreaWidget>} by the run's id */
const tabs = new Map();

/**
 * Open a run beside the notebook, or show the tab that has it.
 * @param {import("@jupyterlab/application").JupyterFrontEnd} app
 * @param {Channel} channel
 * @param {Run} run
 */
export function openRun(app, channel, run) {
  let tab = tabs.get(run.run_id);
  if (!tab) {
    tab = new apputils.MainAreaWidget({ content: new RunView(channel, run) });
    tab.id = `evercell-run-${run.run_id}`;
    tab.title.label = `${run.name} · ${run.run_id.slice(0, 5)}`;
    tab.title.caption = `Run ${run.run_id} of ${run.notebook}`;
    tab.title.icon = runIcon;
    tab.title.closable = true;
    tab.toolbar.hide();
    tabs.set(run.run_id, tab);
    tab.disposed.connect(() => tabs.delete(run.run_id));
    const [other] = [...tabs.values()].filter((it) => it !== tab);
    /** @type {import("@jupyterlab/docregistry").DocumentRegistry.IOpenOptions} */
    const place = other ? { ref: other.id, mode: "tab-after" } : { mode: "split-right" };
    // Notebook 7 has one document to a page; its other tabs are below.
    app.shell.add(tab, app.name === "JupyterLab" ? "main" : "down", place);
  }
  app.shell.activateById(tab.id);
  giveRoom(tab);
}

/**
 * The area below the document has no height of its own in Notebook 7: its first tab would be a
 * line. A height that a person gave it stays.
 * @param {Widget} tab
 */
function giveRoom(tab) {
  for (let area = tab.parent; area; area = area.parent) {
    if (area.id !== "jp-main-vsplit-panel" || !(area instanceof widgets.SplitPanel)) continue;
    const [above, below] = area.relativeSizes();
    if (below < 0.2 * (above + below)) area.setRelativeSizes([3, 2]);
  }
}
