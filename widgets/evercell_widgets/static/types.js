// What the kernel sends, as `rows.py`, `counts.py`, `snapshot.py`, `details.py` and `frames.py`
// make it. Types only: nothing imports this file but JSDoc.

/**
 * @typedef {{total: number, completed: number, restored: number, running: number,
 *   retrying: number, failed: number, canceled: number, in_doubt: number, planned: number}} Counts
 *
 * @typedef {{run_id: string, name: string, notebook: string | null, state: string, generation: number,
 *   now: number, began_at: number, last_at: number, busy: number, running_since: number | null,
 *   eta: number | null, steps: Counts, cells: number, cells_restored: number, runs: Counts,
 *   waiting: number, approvals: number,
 *   input_tokens: number, output_tokens: number, cost: number, saved: number,
 *   saved_tokens: number, saved_cost: number}} Header
 *
 * @typedef {{id: string, kind: "cell" | "group" | "step" | "workflow" | "workflows" | "wait",
 *   depth: number, among: boolean, open: boolean | null,
 *   index: string, label: string, text: string, result: string, status: string,
 *   decision: string, counts: Counts | null, attempts: number, restored: number,
 *   error: string | null, started_at: number, ended_at: number | null, duration: number,
 *   retry_at: number | null, saved: number, tokens: number}} RowData
 *
 * @typedef {{id: string, title: string, status: string, facts: [string, string][],
 *   texts: {title: string, text: string}[], error: string | null, actions: ActionData[]}} Details
 *
 * @typedef {{deed: string, run: string, activity: string | null, label: string,
 *   ask: string | null, form: string | null, name: string, value: string}} ActionData
 *
 * What came of an action: an error, where `word` is what may be accepted, to have it done all the
 * same; or it is durable, and `note` is what the person should know.
 * @typedef {{error: string | null, word: string | null, note: string | null}} Outcome
 * @typedef {{name?: string, value?: string, accepted?: boolean}} Said
 *
 * @typedef {{run: string, activity: string, prompt: string, schema: string | null, since: number,
 *   due: number | null, asker: string, acts: boolean}} ApprovalData
 *
 * @typedef {{revision: number, number: number, asked: number,
 *   header: Header, total: number, first: number, order: string[],
 *   rows: RowData[], details: Details | null, approvals: ApprovalData[]}} Frame
 *
 * @typedef {{get(name: string): any, on(name: string, listener: (...args: any[]) => void): void,
 *   off(name: string, listener: (...args: any[]) => void): void,
 *   send?: (content: any) => void}} Model
 *
 * @typedef {{first: number, count: number, open: Record<string, boolean>, status: string,
 *   search: string, inspect: string | null}} Look
 */
export {};
