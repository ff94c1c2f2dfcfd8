// The notebook's toolbar: Resume, what would run, and which run this is.

import { beginRun, forkRun, preview, resume, resumeEarlier } from "./actions.js";
import { h } from "./dom.js";
import { previewIcon, resumeIcon } from "./icons.js";
import { commands, ui, widgets } from "./shared.js";

/** @typedef {import("./actions.js").Target} Target */
/** @typedef {import("./channel.js").Channel} Channel */

/** @param {Target} target */
export function resumeButton(target) {
  const button = new ui.ToolbarButton({
    className: "evercell-Resume",
    icon: resumeIcon,
    label: "Resume",
    tooltip: "Resume: restart the kernel and run all cells. What finished is restored.",
    onClick: () => void resume(target),
  });
  return shownWithKernel(target.channel, button);
}

/** @param {Target} target */
export function previewButton(target) {
  const button = new ui.ToolbarButton({
    className: "evercell-PreviewButton",
    icon: previewIcon,
    tooltip: "What would run?",
    onClick: () => void preview(target),
  });
  return shownWithKernel(target.channel, button);
}

/**
 * The run's name, with a menu of what can be done with it.
 * @param {Target} target
 * @param {() => void} showRuns
 */
export function runPicker(target, showRuns) {
  const { channel } = target;
  const label = h("span", "jp-ToolbarButtonComponent-label");
  const button = h("jp-button", "jp-ToolbarButtonComponent evercell-Picker", label);
  button.append(ui.caretDownEmptyIcon.element({ tag: "span" }));
  button.setAttribute("appearance", "stealth");
  button.setAttribute("aria-haspopup", "menu");
  button.addEventListener("click", () => {
    const { left, bottom } = button.getBoundingClientRect();
    runMenu(target, showRuns).open(left, bottom);
  });
  const draw = () => {
    const id = channel.run?.run_id;
    label.textContent = id ? `run ${id.slice(0, 5)}` : "no run yet";
    button.title = id ? `Run ${id}, kernel ${channel.run?.generation}` : "The first cell begins a run";
  };
  const widget = new widgets.Widget({ node: h("div", "", button) });
  channel.changed.connect(draw);
  widget.disposed.connect(() => channel.changed.disconnect(draw));
  draw();
  return shownWithKernel(channel, widget);
}

/**
 * @param {Target} target
 * @param {() => void} showRuns
 */
function runMenu(target, showRuns) {
  const registry = new commands.CommandRegistry();
  const menu = new widgets.Menu({ commands: registry });
  const add = (/** @type {string} */ name, /** @type {string} */ label, /** @type {() => void} */ execute) => {
    registry.addCommand(name, { label, execute });
    menu.addItem({ command: name });
  };
  add("resume", "Resume (Restart Kernel, Run All)", () => void resume(target));
  add("preview", "What Would Run?", () => void preview(target));
  add("earlier", "Resume Earlier Run…", () => void resumeEarlier(target));
  add("new", "New Run…", () => void beginRun(target));
  add("fork", "Fork This Run…", () => void forkRun(target));
  menu.addItem({ type: "separator" });
  add("all", "All Runs of This Folder", showRuns);
  menu.addClass("evercell-Menu");
  return menu;
}

/**
 * Show the widget only while the notebook's kernel is one that records.
 * @template {import("@lumino/widgets").Widget} T
 * @param {Channel} channel
 * @param {T} widget
 */
function shownWithKernel(channel, widget) {
  const update = () => widget.setHidden(!channel.isEvercell);
  channel.changed.connect(update);
  widget.disposed.connect(() => channel.changed.disconnect(update));
  update();
  return widget;
}
