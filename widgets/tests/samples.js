// Rows, counts and frames, short to write.

/** @typedef {import("../evercell_widgets/static/types.js").RowData} RowData */

/** @param {Partial<import("../evercell_widgets/static/types.js").Counts>} some */
export function counts(some = {}) {
  return {
    total: 0, completed: 0, restored: 0, running: 0, retrying: 0, failed: 0, canceled: 0,
    in_doubt: 0, planned: 0, ...some,
  };
}

/** @param {string} id @param {Partial<RowData>} some @returns {RowData} */
export function row(id, some = {}) {
  return {
    id, kind: "step", depth: 1, among: false, open: null, index: "", label: "ask", text: "why?", result: "",
    status: "running", decision: "executed", counts: null, attempts: 1, restored: 0, error: null,
    started_at: 1, ended_at: null, duration: 0, retry_at: null, saved: 0, tokens: 0, ...some,
  };
}

/** @param {Partial<import("../evercell_widgets/static/types.js").Header>} some */
export function header(some = {}) {
  return {
    run_id: "r", name: "a.ipynb", notebook: null, state: "running", generation: 1, now: 5e9, began_at: 1e9,
    last_at: 4e9, busy: 0, running_since: 1e9, eta: null, steps: counts(), cells: 1,
    cells_restored: 0, runs: counts(), waiting: 0, approvals: 0, input_tokens: 0, output_tokens: 0, cost: 0, saved: 0, saved_tokens: 0,
    saved_cost: 0, ...some,
  };
}

/**
 * @param {string[]} order
 * @param {RowData[]} rows
 * @param {Partial<import("../evercell_widgets/static/types.js").Frame>} some
 */
export function frame(order, rows, some = {}) {
  return { revision: 1, asked: 0, number: 0, header: header(), total: order.length, first: 0, order, rows, details: null, approvals: [], ...some };
}
