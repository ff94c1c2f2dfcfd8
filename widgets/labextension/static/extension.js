// The plugins: what JupyterLab starts.

import { Badges } from "./badges.js";
import { Channel } from "./channel.js";
import { application, apputils, notebook, settingregistry } from "./shared.js";
import { beginRun, forkRun, preview, resume, resumeEarlier } from "./actions.js";
import { Foresight } from "./foresight.js";
import { RunsPanel } from "./runs.js";
import { openRun } from "./viewer.js";
import { previewButton, resumeButton, runPicker } from "./toolbar.js";

/** @typedef {import("@jupyterlab/application").JupyterFrontEnd} App */
/** @typedef {import("@jupyterlab/notebook").NotebookPanel} NotebookPanel */

const PLUGIN = "evercell:plugin";

/** @type {WeakMap<NotebookPanel, Channel>} */
const channels = new WeakMap();

/** The talk with a notebook's kernel, which lasts as long as the notebook is open. */
function channelOf(/** @type {NotebookPanel} */ panel) {
  let channel = channels.get(panel);
  if (!channel) {
    channel = new Channel(panel);
    channels.set(panel, channel);
    panel.disposed.connect(() => channels.get(panel)?.dispose());
  }
  return channel;
}

/** @type {import("@jupyterlab/application").JupyterFrontEndPlugin<void>} */
const plugin = {
  id: PLUGIN,
  description: "Shows what became of each cell, resumes runs, and lists them.",
  autoStart: true,
  requires: [notebook.INotebookTracker],
  optional: [
    settingregistry.ISettingRegistry,
    apputils.IToolbarWidgetRegistry,
    apputils.ICommandPalette,
    application.ILayoutRestorer,
  ],
  activate,
};

/**
 * @param {App} app
 * @param {import("@jupyterlab/notebook").INotebookTracker} tracker
 * @param {import("@jupyterlab/settingregistry").ISettingRegistry | null} settings
 * @param {import("@jupyterlab/apputils").IToolbarWidgetRegistry | null} toolbars
 * @param {import("@jupyterlab/apputils").ICommandPalette | null} palette
 * @param {import("@jupyterlab/application").ILayoutRestorer | null} restorer
 */
function activate(app, tracker, settings, toolbars, palette, restorer) {
  showBadges(tracker, settings);
  const target = (/** @type {any} */ panel) => ({ panel, channel: channelOf(panel) });
  const showRuns = () => app.shell.activateById("evercell-runs");
  toolbars?.addFactory("Notebook", "evercell-resume", (panel) => resumeButton(target(panel)));
  toolbars?.addFactory("Notebook", "evercell-preview", (panel) => previewButton(target(panel)));
  toolbars?.addFactory("Notebook", "evercell-run", (panel) => runPicker(target(panel), showRuns));
  addCommands(app, tracker, palette);
  const current = () => tracker.currentWidget && channelOf(tracker.currentWidget);
  const runs = new RunsPanel(current, (run) => {
    const channel = current();
    if (channel) openRun(app, channel, run);
  });
  const refresh = () => runs.isVisible && void runs.refresh();
  tracker.currentChanged.connect(refresh);
  tracker.widgetAdded.connect((_, panel) => {
    channelOf(panel).changed.connect((_, cells) => cells === null && refresh());
  });
  app.shell.add(runs, "left", { rank: 650, type: "Evercell Runs" });
  restorer?.add(runs, runs.id);
}

/**
 * @param {import("@jupyterlab/notebook").INotebookTracker} tracker
 * @param {import("@jupyterlab/settingregistry").ISettingRegistry | null} settings
 */
function showBadges(tracker, settings) {
  /** @type {Set<Badges>} */
  const all = new Set();
  let isShown = true;
  const onPanel = (/** @type {NotebookPanel} */ panel) => {
    const channel = channelOf(panel);
    const foresight = new Foresight({ panel, channel });
    const badges = new Badges(panel.content, channel, foresight);
    badges.show(isShown);
    all.add(badges);
    panel.disposed.connect(() => {
      all.delete(badges);
      badges.dispose();
      foresight.dispose();
    });
  };
  tracker.forEach(onPanel);
  tracker.widgetAdded.connect((_, panel) => onPanel(panel));
  void settings?.load(PLUGIN).then((loaded) => {
    const apply = () => {
      isShown = loaded.get("badges").composite !== false;
      for (const badges of all) badges.show(isShown);
    };
    loaded.changed.connect(apply);
    apply();
  });
}

/**
 * @param {App} app
 * @param {import("@jupyterlab/notebook").INotebookTracker} tracker
 * @param {import("@jupyterlab/apputils").ICommandPalette | null} palette
 */
function addCommands(app, tracker, palette) {
  const current = () => {
    const panel = tracker.currentWidget;
    const channel = panel && channelOf(panel);
    return panel && channel?.isEvercell ? { panel, channel } : null;
  };
  const add = (
    /** @type {string} */ name,
    /** @type {string} */ label,
    /** @type {(target: import("./actions.js").Target) => Promise<void>} */ act,
  ) => {
    app.commands.addCommand(`evercell:${name}`, {
      label,
      isEnabled: () => current() !== null,
      execute: () => {
        const target = current();
        return target && act(target);
      },
    });
    palette?.addItem({ command: `evercell:${name}`, category: "Evercell" });
  };
  add("resume", "Resume: Restart the Kernel and Run All Cells", resume);
  add("preview", "What Would Run?", preview);
  add("resume-earlier", "Resume an Earlier Run…", resumeEarlier);
  add("new-run", "Begin a New Run…", beginRun);
  add("fork", "Fork This Run…", forkRun);
}

export const plugins = [plugin];
