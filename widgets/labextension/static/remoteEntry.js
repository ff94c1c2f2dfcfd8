// What JupyterLab loads: the container of a federated extension, written by hand.
//
// JupyterLab puts this file on the page, calls `init` with the modules that it shares, and asks
// `get` for "./extension" and "./style", as package.json names them. This is all that a bundler
// would generate for an extension that brings no modules of its own; so there is none, and the
// files that users get are the files that we read.

(() => {
  const here = /** @type {HTMLScriptElement} */ (document.currentScript).src;
  /** @type {any} */
  let scope = null;

  /** @type {Record<string, () => Promise<object>>} */
  const modules = {
    "./extension": async () => {
      const shared = await import("./shared.js");
      await shared.take(scope);
      const { plugins } = await import("./extension.js"); // evaluated with the shared modules there
      return { __esModule: true, default: plugins };
    },
    "./style": async () => {
      const link = document.createElement("link");
      link.rel = "stylesheet";
      link.href = new URL("style.css", here).href;
      document.head.append(link);
      return {};
    },
  };

  const page = /** @type {any} */ (window);
  page._JUPYTERLAB ??= {};
  page._JUPYTERLAB.evercell = {
    /** @param {any} shareScope name -> version -> {get, loaded}, as webpack's runtime has it */
    init(shareScope) {
      scope = shareScope;
    },
    /** @param {string} name */
    async get(name) {
      const found = modules[name];
      if (!found) throw new Error(`evercell has no module ${name}`);
      const exported = await found();
      return () => exported;
    },
  };
})();
