// Drawn for this extension on JupyterLab's 24 px grid, in its toolbar's colour.

import { ui } from "./shared.js";

/** @param {string} name @param {string} path */
const icon = (name, path) =>
  new ui.LabIcon({
    name: `evercell:${name}`,
    svgstr: `<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24"><path class="jp-icon3" fill="#616161" d="${path}"/></svg>`,
  });

/** A turn back to the start, and on from there. */
export const resumeIcon = icon(
  "resume",
  "M12 4a8 8 0 1 1-7.75 6h2.08A6 6 0 1 0 12 6v3.2L7.2 5 12 .8V4zm-1.8 4.8 5.2 3.2-5.2 3.2V8.8z",
);
/** A list, with a question at its end. */
export const previewIcon = icon(
  "preview",
  "M3 5h13v2H3V5zm0 5h9v2H3v-2zm0 5h7v2H3v-2zm13.3 2.3c0-2.1 2.2-2.3 2.2-3.8 0-.9-.7-1.4-1.5-1.4-.9 0-1.5.6-1.5 1.5h-1.9c0-1.9 1.5-3.2 3.4-3.2s3.4 1.1 3.4 3c0 2.2-2.2 2.6-2.2 4h-1.9zm-.1 1.4h2.1v2.1h-2.1v-2.1z",
);
/** A clock: what was. */
export const runIcon = icon(
  "run",
  "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18zm0 2a7 7 0 1 0 0 14 7 7 0 0 0 0-14zm-1 2.5h2v4.1l2.9 2.9-1.4 1.4-3.5-3.5V7.5z",
);
