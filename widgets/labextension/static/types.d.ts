// What the kernel sends, as widgets/evercell_widgets/badges.py and kernel/evercell/jupyter/lab.py
// make it. For `tsc --checkJs` only: nothing of this is on the page.

/** A cell's latest execution or restore. Times are nanoseconds. */
export interface Badge {
  slot: string; cell_id: string | null; status: string; decision: string; reason: string;
  duration: number; saved: number; saved_tokens: number; saved_cost: number; tokens: number;
  cost: number; error: string | null; steps: number; ended: number; restored: number;
  failed: number;
}

export interface RunFacts {
  run_id: string; notebook: string | null; state: string; generation: number; tokens: number;
  cost: number;
}

export interface Run {
  run_id: string; notebook: string; name: string; parameters: Record<string, any>; status: string;
  started_at: number; last_activity: number; cells: number; steps: number; tokens: number;
  cost: number; forked_from: string | null;
}

/** What Restart and Run All would do to a cell, as kernel/evercell/engine/preview.py makes it. */
export interface Preview {
  cell_id: string | null; index: number; slot: string; last: string;
  action: "restore" | "recompute" | "execute" | "depends"; reason: string; stale: boolean;
  depends_on: number[];
  cost: { seconds: number; steps: number; input_tokens: number; output_tokens: number; money: number | null };
}
