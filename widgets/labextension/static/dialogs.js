// Questions before something is stopped or paid for again.

import { h } from "./dom.js";
import { apputils, widgets } from "./shared.js";
import { facts, moment, spent } from "./words.js";

/** @typedef {import("./channel.js").Channel} Channel */

export async function confirmStop() {
  const { Dialog, showDialog } = apputils;
  const { button } = await showDialog({
    title: "Resume while a cell is running?",
    body: text("Restarting stops it. Its finished steps are kept; a step that runs now begins again."),
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: "Stop and Resume" })],
  });
  return button.accept;
}

/** @param {Channel} channel */
export async function confirmNewRun(channel) {
  const { Dialog, showDialog } = apputils;
  const cost = spent(channel.run ?? {});
  const price = cost && ` This run has used ${cost} so far.`;
  const { button } = await showDialog({
    title: "Begin a new run?",
    body: text(
      `The kernel restarts and all cells run: nothing is restored, every step is called again.${price} ` +
        "The earlier run stays in the history.",
    ),
    buttons: [Dialog.cancelButton(), Dialog.warnButton({ label: "New Run" })],
  });
  return button.accept;
}

export async function confirmFork() {
  const { Dialog, showDialog } = apputils;
  const { button } = await showDialog({
    title: "Fork this run?",
    body: text(
      "A new run begins that knows what this one has finished: the kernel restarts and all cells run, " +
        "finished ones come back, finished steps are not called again. This run stays as it is.",
    ),
    buttons: [Dialog.cancelButton(), Dialog.okButton({ label: "Fork" })],
  });
  return button.accept;
}

/**
 * @param {import("./types").Run[]} runs
 * @returns {Promise<import("./types").Run | null>} the one that was chosen
 */
export async function chooseRun(runs) {
  const { Dialog, InputDialog, showDialog } = apputils;
  const title = "Resume an earlier run";
  if (!runs.length) {
    const body = text("This notebook has no other run: New Run or Fork begins one.");
    await showDialog({ title, body, buttons: [Dialog.cancelButton({ label: "Close" })] });
    return null;
  }
  const names = runs.map((run) => `${run.run_id.slice(0, 5)} · ${moment(run.started_at)} · ${facts(run)} · ${run.status}`);
  const label = "The kernel restarts and all cells run: what that run had finished comes back. The run you leave stays as it is.";
  const { button, value } = await InputDialog.getItem({ title, label, items: names, okLabel: "Resume" });
  return button.accept ? runs[names.indexOf(value ?? "")] ?? null : null;
}

/** @param {string} words */
function text(words) {
  return new widgets.Widget({ node: h("div", "evercell-Dialog", words) });
}
