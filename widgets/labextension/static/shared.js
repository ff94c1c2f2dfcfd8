// JupyterLab's own modules, as it shares them with extensions. `take` fills these exports; whatever
// uses them is imported after it.

/** @typedef {{get: () => Promise<() => any>, loaded?: boolean | number}} Shared */

/** @type {typeof import("@jupyterlab/application")} */ export let application;
/** @type {typeof import("@jupyterlab/apputils")} */ export let apputils;
/** @type {typeof import("@lumino/commands")} */ export let commands;
/** @type {typeof import("@jupyterlab/notebook")} */ export let notebook;
/** @type {typeof import("@jupyterlab/services")} */ export let services;
/** @type {typeof import("@jupyterlab/settingregistry")} */ export let settingregistry;
/** @type {typeof import("@jupyterlab/ui-components")} */ export let ui;
/** @type {typeof import("@lumino/signaling")} */ export let signaling;
/** @type {typeof import("@lumino/widgets")} */ export let widgets;

/** @param {Record<string, Record<string, Shared>>} scope */
export async function take(scope) {
  const load = (/** @type {string} */ name) => loadShared(scope, name);
  application = await load("@jupyterlab/application");
  apputils = await load("@jupyterlab/apputils");
  commands = await load("@lumino/commands");
  notebook = await load("@jupyterlab/notebook");
  services = await load("@jupyterlab/services");
  settingregistry = await load("@jupyterlab/settingregistry");
  ui = await load("@jupyterlab/ui-components");
  signaling = await load("@lumino/signaling");
  widgets = await load("@lumino/widgets");
}

/**
 * The one instance of a singleton: the one in use already, else the newest, as webpack chooses.
 * @param {Record<string, Record<string, Shared>>} scope
 * @param {string} name
 */
async function loadShared(scope, name) {
  const versions = Object.entries(scope[name] ?? {});
  if (!versions.length) throw new Error(`Evercell needs ${name}, which this page does not share`);
  const newest = versions.reduce((best, one) => {
    if (best[1].loaded) return best;
    return one[1].loaded || isNewer(one[0], best[0]) ? one : best;
  });
  const factory = await newest[1].get();
  return factory();
}

/**
 * @param {string} one a version, "4.4.5"
 * @param {string} other
 */
export function isNewer(one, other) {
  const [a, b] = [one, other].map((version) => version.split(/[.-]/).map(Number));
  for (let i = 0; i < 3; i++) if (a[i] !== b[i]) return a[i] > b[i];
  return false;
}
