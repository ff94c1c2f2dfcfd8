// The notebook's toolbar: Resume, what would run, and which run this is.

import { resumeIcon } from "./icons.js";
import { apputils, notebook, ui } from "./shared.js";

/** @typedef {import("@jupyterlab/notebook").NotebookPanel} NotebookPanel */
/** @typedef {import("./channel.js").Channel} Channel */

/**
 * Restart the kernel and run all cells: what finished comes back, the rest goes on.
 * @param {NotebookPanel} panel
 * @param {Channel} channel
 */
export async function resume(panel, channel) {
  const running = channel.isBusy;
  if (running && !(await confirmStop())) return;
  const { sessionContext } = panel;
  await sessionContext.restartKernel();
  await notebook.NotebookActions.runAll(panel.content, sessionContext);
}

async function confirmStop() {
  const { button } = await apputils.showDialog({
    title: "Resume while a cell is running?",
    body: "Restarting stops it. Its finished steps are kept; the step that runs now is begun again.",
    buttons: [apputils.Dialog.cancelButton(), apputils.Dialog.warnButton({ label: "Stop and Resume" })],
  });
  return button.accept;
}

/**
 * @param {NotebookPanel} panel
 * @param {Channel} channel
 */
export function resumeButton(panel, channel) {
  return shownWithKernel(
    channel,
    new ui.ToolbarButton({
      className: "evercell-Resume",
      icon: resumeIcon,
      label: "Resume",
      tooltip: "Resume: restart the kernel and run all cells. What finished is restored.",
      onClick: () => void resume(panel, channel),
    }),
  );
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
