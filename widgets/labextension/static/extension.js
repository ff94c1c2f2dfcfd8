// The plugins: what JupyterLab starts.

import { Badges } from "./badges.js";
import { Channel } from "./channel.js";
import { apputils, notebook, settingregistry } from "./shared.js";
import { resumeButton } from "./toolbar.js";

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
  description: "Shows what became of each cell, and resumes runs.",
  autoStart: true,
  requires: [notebook.INotebookTracker],
  optional: [settingregistry.ISettingRegistry, apputils.IToolbarWidgetRegistry],
  activate,
};

/**
 * @param {App} app
 * @param {import("@jupyterlab/notebook").INotebookTracker} tracker
 * @param {import("@jupyterlab/settingregistry").ISettingRegistry | null} settings
 * @param {import("@jupyterlab/apputils").IToolbarWidgetRegistry | null} toolbars
 */
function activate(app, tracker, settings, toolbars) {
  /** @type {Set<Badges>} */
  const all = new Set();
  let isShown = true;
  const onPanel = (/** @type {NotebookPanel} */ panel) => {
    const badges = new Badges(panel.content, channelOf(panel));
    badges.show(isShown);
    all.add(badges);
    panel.disposed.connect(() => {
      all.delete(badges);
      badges.dispose();
    });
  };
  tracker.forEach(onPanel);
  tracker.widgetAdded.connect((_, panel) => onPanel(panel));
  toolbars?.addFactory("Notebook", "evercell-resume", (/** @type {any} */ panel) => resumeButton(panel, channelOf(panel)));
  void settings?.load(PLUGIN).then((loaded) => {
    const apply = () => {
      isShown = loaded.get("badges").composite !== false;
      for (const badges of all) badges.show(isShown);
    };
    loaded.changed.connect(apply);
    apply();
  });
}

export const plugins = [plugin];
