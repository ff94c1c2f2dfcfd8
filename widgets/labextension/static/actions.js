// What the toolbar, the menu and the command palette can do with a notebook's run.

import { chooseRun, confirmFork, confirmNewRun, confirmStop } from "./dialogs.js";
import { showPreview } from "./preview.js";
import { apputils, notebook } from "./shared.js";

/** @typedef {import("@jupyterlab/notebook").NotebookPanel} NotebookPanel */
/** @typedef {import("./channel.js").Channel} Channel */

/** @typedef {import("./types").Run} Run */

/** A notebook and the talk with its kernel.
 * @typedef {{panel: NotebookPanel, channel: Channel}} Target
 */

/**
 * Restart the kernel and run all cells: what finished comes back, the rest goes on.
 * @param {Target} target
 */
export async function resume({ panel, channel }) {
  if (channel.isBusy && !(await confirmStop())) return;
  await restartAndRun(panel);
}

/**
 * Show what Resume would do, and what that had cost; nothing is run.
 * @param {Target} target
 */
export async function preview(target) {
  if (await showPreview(target)) await resume(target);
}

/**
 * Begin another run of this notebook, in which nothing is restored.
 * @param {Target} target
 */
export async function beginRun({ panel, channel }) {
  if (await confirmNewRun(channel)) await beginWith(panel, "%evercell new-run");
}

/**
 * Go on with an earlier run of this notebook.
 * @param {Target} target
 */
export async function resumeEarlier({ panel, channel }) {
  try {
    const run = await chooseRun(otherRuns(await channel.ask("runs"), channel.run?.run_id));
    if (run) await beginWith(panel, `%evercell resume ${run.run_id}`);
  } catch (error) {
    await apputils.showErrorMessage("The runs can't be listed", /** @type {Error} */ (error));
  }
}

/**
 * The notebook's other runs, of which the kernel could resume any: those with the same parameters.
 * @param {Run[]} runs
 * @param {string | undefined} current the run_id of the run that the kernel has
 */
export function otherRuns(runs, current) {
  const here = runs.find((run) => run.run_id === current);
  const kind = (/** @type {Run} */ run) => JSON.stringify([run.notebook, Object.entries(run.parameters).sort()]);
  return here ? runs.filter((run) => run !== here && kind(run) === kind(here)) : [];
}

/**
 * Begin another run of this notebook that knows what this one has finished.
 * @param {Target} target
 */
export async function forkRun({ panel, channel }) {
  const run = channel.run?.run_id;
  if (run && (await confirmFork())) await beginWith(panel, `%evercell fork ${run}`);
}

/**
 * @param {NotebookPanel} panel
 * @param {string} magic
 */
async function beginWith(panel, magic) {
  const kernel = panel.sessionContext.session?.kernel;
  if (!kernel) return;
  // As a cell, so that it waits for the one that runs; the magic is no part of any run.
  const { done } = kernel.requestExecute({ code: magic, store_history: false });
  const { content } = await done;
  if (content.status === "error") await apputils.showErrorMessage("The run did not change", content.evalue);
  if (content.status === "ok") await restartAndRun(panel);
}

/** @param {NotebookPanel} panel */
async function restartAndRun(panel) {
  await panel.sessionContext.restartKernel();
  await notebook.NotebookActions.runAll(panel.content, panel.sessionContext);
}
