"""The main path: what happens to a cell from the request to the reply.

    execute ─ parse ─ place ─ decide ─┬─ Restore ── decode ─ apply ─ replay outputs ─ CellRestored
                                      ├─ Postpone ─ the same, and its code runs when it is needed
                                      ├─ Recompute ┐
                                      └─ Execute ──┴─ CellStarted ─ run ─ capture ─ CellCompleted
                                                                               └──── CellFailed

Nothing else takes this path. Decisions are pure (decide.py), the namespace is touched only by
`cell.Namespace`, the wire only by the `Host`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.cell.namespace import Namespace
from evercell.cell.source import parse_source
from evercell.engine import parts
from evercell.engine.accept import accept_cells, forget_cells
from evercell.engine.decide import Execute, Postpone, Recompute, Restore, decide_cell, explained
from evercell.engine.execution import CellExecution
from evercell.engine.explain import explain_cell
from evercell.engine.postponed import PostponedCells
from evercell.engine.preview import Previewer
from evercell.engine.verifying import Verifying
from evercell.errors import HistoryError, PayloadError, RestoreError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path
    from typing import Any

    from evercell.engine.accept import Accepted
    from evercell.engine.explain import Explanation
    from evercell.engine.host import CellRequest, Host
    from evercell.engine.preview import CellPreview, NotebookCell
    from evercell.engine.run import Run
    from evercell.events import CellForgotten, Decision

__all__ = ["NotebookRun"]


class NotebookRun:
    """A kernel's cells under history."""

    def __init__(self, run: Run, live: dict[str, Any], project: Path | None = None) -> None:
        """`live` is the user's namespace, an exact dict; `project` the folder whose modules count
        as the user's own code."""
        self.run = run
        self.namespace = Namespace(live, project)
        self.postponed = PostponedCells(run, self.namespace)
        self.verifying = Verifying(run, self.namespace)
        self._project = project
        self._executing: CellExecution | None = None

    async def execute(self, request: CellRequest, host: Host) -> dict[str, Any]:
        """Restore the cell or run it; returns the content of the execute_reply."""
        self.verifying.take()
        source = parse_source(request.source, request.transformed)
        place = self.run.state.places.resolve(request, source.digest)
        marks = source.marks(request.tags)
        volatile = "volatile" in marks
        index, places = parts.cell_index(request, place), self.run.state.places
        left = self.run.state.left_below(place.slot, index, places)
        decision = decide_cell(
            self.run.state.records(source.digest),
            ordinal=place.ordinal,
            last=self.run.state.status(place.slot),
            seen=place.seen,
            volatile=volatile,
            recompute="recompute" in marks,
            differs=lambda reads: self.namespace.lookup(
                explained(reads, left, self.namespace.version)
            ),
        )
        self.postponed.host = host
        self.run.tell = lambda line: host.note(f"evercell: {line}\n")
        cell = CellExecution(
            self.run, self.namespace, request, source, place, host, self.postponed, self.verifying
        )
        self._executing = cell
        try:
            match decision:
                case Restore(record) | Postpone(record):
                    lost = decision.reason if isinstance(decision, Postpone) else None
                    try:
                        return cell.restore(record, lost)
                    except (RestoreError, PayloadError) as error:
                        why = f"its record can't be used: {error.message}"
                        return await cell.execute("executed", why, as_recorded=True)
                case Recompute(record, reason):
                    overlay = record if record.lacks_only_variables else None
                    key = record.completed.key
                    return await cell.execute(
                        "recomputed", reason, overlay, key=key, as_recorded=True
                    )
                case Execute(reason, unchanged):
                    kind: Decision = "volatile" if volatile else "executed"
                    return await cell.execute(kind, reason, as_recorded=unchanged)
        except (HistoryError, RestoreError) as error:
            return host.refuse(error)
        finally:
            self._executing = None
            for line in self.run.history.take_notices():
                host.note(f"evercell: {line}\n")

    def provide(self, names: Iterable[str] | None, *, run: bool) -> None:
        """Load what the names wait for; None: all. `run`: also what takes a cell's run to make.

        Raises PayloadError, RestoreError.
        """
        pending = self.namespace.pending
        for waiting in pending.all() if names is None else pending.of(names):
            if run or not self.postponed.owns(waiting):
                self.namespace.load(waiting)

    def preview(self, cells: Iterable[NotebookCell]) -> tuple[CellPreview, ...]:
        """What Restart and Run All would do to the notebook's cells as they stand now; from any
        thread. Raises what `History.cell_costs` raises."""
        return self._previewer().cells(cells)

    def explain(self, cells: Iterable[NotebookCell], chosen: int) -> Explanation | None:
        """Why the cell with the index `chosen` would be restored or run."""
        return explain_cell(self.run, self._previewer(), cells, chosen)

    def accept(self, cells: Iterable[NotebookCell], chosen: int | None = None) -> Accepted:
        """Keep recorded results on the user's word; see `accept_cells`."""
        return accept_cells(self.run, self._previewer(), cells, chosen)

    def forget(
        self, cells: Iterable[NotebookCell], chosen: int | None = None
    ) -> tuple[CellForgotten, ...]:
        """Take records out of use for good; see `forget_cells`."""
        return forget_cells(self.run, self._previewer(), cells, chosen)

    def _previewer(self) -> Previewer:
        run, executing = self.run, self._executing
        running = None if executing is None else executing.place.slot
        return Previewer(run.state, run.history.cell_costs(run.run_id), self._project, running)

    @property
    def running(self) -> bool:
        """Whether a cell runs now."""
        return self._executing is not None

    def mark_volatile(self, reason: str) -> None:
        """Say that the cell that runs now shows something live, so that it must run each time."""
        if self._executing is not None:
            self._executing.volatile = reason
