// The live layer of a run. Plain ESM, no build step; types in JSDoc, checked by `tsc --checkJs`.
//
//   initialize ── finds every <div class="evercell-view KEY"> on the page, hides the static table
//                 in it and draws a Picture there; a MutationObserver follows when JupyterLab
//                 replaces the output's HTML or attaches it again
//   render     ── the same Picture where the widget is displayed as a widget
//
// Text from a run goes through textContent only.

/**
 * @typedef {{total: number, completed: number, restored: number, running: number,
 *   retrying: number, failed: number, canceled: number, in_doubt: number}} Counts
 * @typedef {{run_id: string, notebook: string | null, state: string, generation: number,
 *   now: number, busy: number, running_since: number | null, steps: Counts, cells: number,
 *   cells_restored: number, input_tokens: number, output_tokens: number, cost: number,
 *   saved: number, saved_tokens: number, saved_cost: number}} Header
 * @typedef {{id: string, name: string, ordinal: number, status: string, attempts: number,
 *   restored: number, started_at: number, duration: number, retry_at: number | null,
 *   error: string | null, arguments: string}} Step
 * @typedef {{slot: string, index: number | null, position: number, execution_count: number,
 *   preview: string, status: string, decision: string, reason: string, started_at: number,
 *   duration: number, saved: number, tokens: number, error: string | null, steps: Counts,
 *   groups: {name: string, counts: Counts}[], shown: Step[]}} Cell
 * @typedef {{revision: number, since: number, header: Header, cells: Cell[]}} Snapshot
 * @typedef {{get(name: string): any, on(name: string, listener: () => void): void,
 *   off(name: string, listener: () => void): void}} Model
 */

/** @type {Record<string, string>} */
const MARKS = {
  running: "▸", retrying: "▸", completed: "✓", restored: "↺", failed: "✗",
  interrupted: "✗", canceled: "-", "in doubt": "?",
};

/** @param {number} ns nanoseconds */
export function duration(ns) {
  if (ns < 1e6) return "<1 ms";
  if (ns < 999.5e6) return `${Math.round(ns / 1e6)} ms`;
  const seconds = ns / 1e9;
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  const two = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
}

/** @param {number} value */
export function number(value) {
  return String(value).replace(/\B(?=(\d{3})+$)/g, "\u202f");
}

/** @param {Cell} cell */
function label(cell) {
  if (cell.status !== "completed") return cell.status;
  return cell.decision === "recomputed" ? "recomputed" : "ran";
}

/**
 * @param {string} tag
 * @param {string} [className]
 * @param {string} [text]
 */
function h(tag, className = "", text = "") {
  const el = document.createElement(tag);
  if (className) el.className = className;
  if (text) el.textContent = text;
  return el;
}

/**
 * @param {HTMLElement} el
 * @param {Counts} counts
 */
function drawBar(el, counts) {
  const parts = [
    ["ec-restored", counts.restored], ["ec-completed", counts.completed],
    ["ec-failed", counts.failed], ["ec-doubt", counts.in_doubt], ["ec-canceled", counts.canceled],
    ["ec-running", counts.running],
  ];
  parts.forEach(([name, value], i) => {
    let part = /** @type {HTMLElement | undefined} */ (el.children[i]);
    if (!part) el.append((part = h("span", String(name))));
    part.hidden = !value;
    part.style.flexGrow = String(value);
  });
}

/** @param {Counts} counts */
const ended = (counts) => counts.total - counts.running - counts.in_doubt;

/** One cell's line, and its steps below it. */
class Row {
  constructor() {
    this.el = h("div", "ec-cell");
    this.el.setAttribute("role", "listitem");
    this.row = h("button", "ec-row");
    this.fold = h("span", "ec-fold");
    this.fold.setAttribute("aria-hidden", "true");
    this.index = h("span", "ec-index");
    this.source = h("span", "ec-source");
    this.steps = h("span", "ec-steps");
    this.bar = h("span", "ec-bar");
    this.done = h("span", "ec-done");
    this.status = h("span", "ec-status");
    this.mark = h("span", "ec-mark");
    this.mark.setAttribute("aria-hidden", "true");
    this.word = h("span");
    this.time = h("span", "ec-time");
    this.more = h("div", "ec-more");
    this.steps.append(this.bar, this.done);
    this.status.append(this.mark, this.word);
    this.row.append(this.fold, this.index, this.source, this.steps, this.status, this.time);
    this.el.append(this.row, this.more);
    /** @type {boolean | null} what the user chose; null: open while there is something to see */
    this.open = null;
    this.row.addEventListener("click", () => {
      this.open = this.more.hidden;
      this.unfold();
    });
    /** @type {Cell | null} */
    this.cell = null;
  }

  /** @param {Cell} cell */
  draw(cell) {
    this.cell = cell;
    this.index.textContent = `[${cell.execution_count}]`;
    this.source.textContent = this.source.title = cell.preview;
    this.status.dataset.status = cell.status;
    this.status.title = cell.reason;
    this.mark.textContent = MARKS[cell.status] ?? "·";
    this.word.textContent = label(cell);
    this.steps.style.visibility = cell.steps.total ? "" : "hidden";
    drawBar(this.bar, cell.steps);
    this.done.textContent = `${number(ended(cell.steps))} / ${number(cell.steps.total)}`;
    this.more.replaceChildren(...this.details(cell));
    this.unfold();
    this.tick(0);
  }

  /** @param {Cell} cell */
  details(cell) {
    const lines = [];
    if (cell.error) lines.push(h("div", "ec-error", cell.error));
    if (cell.groups.length > 1) {
      for (const { name, counts } of cell.groups) {
        const failed = counts.failed ? `, ${number(counts.failed)} failed` : "";
        const restored = counts.restored ? `, ${number(counts.restored)} restored` : "";
        const text = `${name}: ${number(ended(counts))} of ${number(counts.total)} ended`;
        lines.push(h("div", "ec-note", text + restored + failed));
      }
    }
    const list = h("div");
    list.setAttribute("role", "list");
    for (const step of cell.shown) list.append(this.step(step));
    if (cell.shown.length) lines.push(list);
    const rest = cell.steps.total - cell.shown.length;
    if (rest > 0 && cell.shown.length) lines.push(h("div", "ec-note", `and ${number(rest)} more`));
    return lines;
  }

  /** @param {Step} step */
  step(step) {
    const el = h("div", "ec-step");
    el.setAttribute("role", "listitem");
    const call = h("span", "ec-call", `${step.name}  `);
    call.append(h("span", "ec-args", step.arguments));
    call.title = step.arguments;
    const status = h("span", "ec-status");
    status.dataset.status = step.status;
    const mark = h("span", "ec-mark", MARKS[step.status] ?? "·");
    mark.setAttribute("aria-hidden", "true");
    const tries = step.attempts > 1 ? ` (${step.attempts})` : "";
    const word = step.status === "completed" ? "ran" : step.status;
    status.append(mark, h("span", "", word + tries));
    if (tries) status.title = `${step.attempts} attempts`;
    el.append(call, status, h("span", "ec-time", step.duration ? duration(step.duration) : ""));
    if (step.error && step.status !== "completed") el.append(h("span", "ec-error", step.error));
    return el;
  }

  unfold() {
    const cell = this.cell;
    const something = this.more.childElementCount > 0;
    const lively = cell !== null && ["running", "failed", "in doubt"].includes(cell.status);
    const open = something && (this.open ?? lively);
    this.more.hidden = !open;
    this.row.setAttribute("aria-expanded", String(open));
    this.row.toggleAttribute("disabled", !something);
    this.fold.style.visibility = something ? "" : "hidden";
  }

  /** @param {number} now the kernel's clock, ns; 0 leaves a running time as it is */
  tick(now) {
    const cell = this.cell;
    if (!cell) return;
    if (cell.status === "running") {
      if (now) this.time.textContent = `${Math.max(0, Math.floor((now - cell.started_at) / 1e9))} s`;
      return;
    }
    this.time.textContent = duration(cell.duration);
    this.time.title = cell.decision === "restored" ? `had taken ${duration(cell.saved)}` : "";
  }
}

/** The whole picture of a run, in one element. */
class Picture {
  constructor() {
    this.el = h("section", "evercell-run");
    this.name = h("span", "ec-name");
    this.state = h("span", "ec-state");
    this.elapsed = h("span", "ec-elapsed");
    this.bar = h("div", "ec-bar");
    this.facts = h("div", "ec-facts");
    this.spoken = h("div", "ec-quiet"); // what a screen reader hears: changes of state, no ticking
    this.spoken.setAttribute("role", "status");
    this.spoken.setAttribute("aria-live", "polite");
    this.list = h("div");
    this.list.setAttribute("role", "list");
    this.list.setAttribute("aria-label", "Cells");
    const head = h("header", "ec-head");
    const title = h("div", "ec-title");
    title.append(this.name, this.state, this.elapsed);
    head.append(title, this.bar, this.facts, this.spoken);
    this.el.append(head, this.list);
    /** @type {Map<string, Row>} */
    this.rows = new Map();
    this.revision = -1;
    this.offset = 0; // the kernel's clock minus this page's, ns
    /** @type {Header | null} */
    this.header = null;
    this.timer = 0;
  }

  /** @param {Snapshot} picture a whole one, or a delta; one that leaves a gap is passed over */
  draw(picture) {
    if (!picture.header || picture.revision < this.revision) return;
    if (picture.since !== 0 && picture.since > this.revision) return;
    this.revision = picture.revision;
    this.header = picture.header;
    this.offset = picture.header.now - Date.now() * 1e6;
    for (const cell of picture.cells) this.row(cell).draw(cell);
    this.place();
    this.drawHeader(picture.header);
    this.tick();
    this.keepTime(picture.header.running_since !== null);
  }

  /** @param {Cell} cell */
  row(cell) {
    const known = this.rows.get(cell.slot);
    if (known) return known;
    const row = new Row();
    this.rows.set(cell.slot, row);
    return row;
  }

  place() {
    const at = (/** @type {Row} */ row) => row.cell?.index ?? row.cell?.position ?? 0;
    const rows = [...this.rows.values()].sort((a, b) => at(a) - at(b));
    rows.forEach((row, i) => {
      if (this.list.children[i] !== row.el) this.list.insertBefore(row.el, this.list.children[i] ?? null);
    });
  }

  /** @param {Header} header */
  drawHeader(header) {
    const name = header.notebook?.split(/[\\/]/).pop() || `run ${header.run_id}`;
    this.el.dataset.state = header.state;
    this.el.setAttribute("aria-label", `Evercell run of ${name}`);
    this.name.textContent = name;
    this.state.textContent = header.state;
    const { steps } = header;
    this.bar.hidden = !steps.total;
    drawBar(this.bar, steps);
    const tokens = header.input_tokens + header.output_tokens;
    const saved = header.saved >= 1e6 ? [duration(header.saved)] : [];
    if (header.saved_tokens) saved.push(`${number(header.saved_tokens)} tokens`);
    if (header.saved_cost) saved.push(`cost ${header.saved_cost.toPrecision(3)}`);
    /** @type {[string, number, string][]} */
    const kinds = [
      ["restored", steps.restored, "--ec-restored"], ["ran", steps.completed, "--ec-ran"],
      ["running", steps.running, "--ec-ran"], ["failed", steps.failed, "--ec-failed"],
      ["in doubt", steps.in_doubt, "--ec-doubt"],
    ];
    const facts = kinds.filter(([, value]) => value).map(([word, value, colour]) => {
      const fact = this.fact(number(value), word);
      fact.classList.add("ec-key");
      fact.style.setProperty("--ec-key", `var(${colour})`);
      return fact;
    });
    const all = `of ${number(header.cells)} cells restored`;
    if (header.cells_restored) facts.push(this.fact(number(header.cells_restored), all));
    if (tokens) facts.push(this.fact(number(tokens), "tokens"));
    if (header.cost) facts.push(this.fact(header.cost.toPrecision(3), "cost"));
    if (saved.length) facts.push(h("span", "", `saved ${saved.join(", ")}`));
    this.facts.replaceChildren(...facts);
    const spoken = `${name}: ${header.state}`
      + (steps.failed ? `, ${steps.failed} failed` : "")
      + (header.state !== "running" && steps.total ? `, ${ended(steps)} of ${steps.total} steps` : "");
    if (this.spoken.textContent !== spoken) this.spoken.textContent = spoken;
  }

  /**
   * @param {string} value
   * @param {string} word
   */
  fact(value, word) {
    const fact = h("span");
    fact.append(h("b", "", value), ` ${word}`);
    return fact;
  }

  tick() {
    if (!this.header) return;
    const now = Date.now() * 1e6 + this.offset;
    const since = this.header.running_since;
    const live = since === null ? 0 : Math.max(0, now - since);
    this.elapsed.textContent = duration(this.header.busy + live);
    for (const row of this.rows.values()) if (row.cell?.status === "running") row.tick(now);
  }

  /** @param {boolean} running */
  keepTime(running) {
    if (running === (this.timer !== 0)) return;
    window.clearInterval(this.timer);
    this.timer = running ? window.setInterval(() => this.tick(), 500) : 0;
  }

  dispose() {
    this.keepTime(false);
    this.el.remove();
  }
}

/**
 * A picture that follows the model until `signal` says stop.
 * @param {Model} model
 * @param {AbortSignal} signal
 */
function follow(model, signal) {
  const picture = new Picture();
  const whole = () => picture.draw(model.get("snapshot"));
  const changed = () => picture.draw(model.get("delta"));
  whole();
  changed();
  model.on("change:snapshot", whole);
  model.on("change:delta", changed);
  signal.addEventListener("abort", () => {
    model.off("change:snapshot", whole);
    model.off("change:delta", changed);
    picture.dispose();
  });
  return picture;
}

/**
 * Draw in each static view of this run on the page, wherever it is now.
 * @param {{model: Model, signal: AbortSignal}} context
 */
function initialize({ model, signal }) {
  const places = document.getElementsByClassName(model.get("key"));
  /** @type {Map<Element, Picture>} */
  const drawn = new Map();
  const settle = () => {
    const lost = [...drawn].filter(([place]) => !place.isConnected);
    for (const place of places) {
      if (drawn.has(place)) continue;
      const [from, picture] = lost.shift() ?? [null, follow(model, signal)];
      if (from) drawn.delete(from);
      drawn.set(place, picture);
      for (const child of place.children) /** @type {HTMLElement} */ (child).hidden = true;
      place.append(picture.el);
    }
  };
  const observer = new MutationObserver(settle);
  observer.observe(document.body, { childList: true, subtree: true });
  settle();
  // The kernel died, or closed the display: the table beneath is what remains.
  const leave = () => {
    observer.disconnect();
    for (const [place, picture] of drawn) {
      picture.dispose();
      for (const child of place.children) /** @type {HTMLElement} */ (child).hidden = false;
    }
  };
  signal.addEventListener("abort", leave);
  model.on("comm_live_update", leave);
}

/** @param {{model: Model, el: HTMLElement, signal: AbortSignal}} context */
function render({ model, el, signal }) {
  el.append(follow(model, signal).el);
}

export default { initialize, render };
