"""What would happen to each cell if the kernel were restarted and all cells run, from the history.

    preview_cells(run's state, cells) -> CellPreview for each: action, reason, recorded cost

Nothing is executed, so where a cell's fate hangs on what an earlier cell makes by running, that is
said: the action is "depends", or the reason names what an earlier cell could still change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from evercell.cell.project import Project
from evercell.cell.source import parse_source
from evercell.cell.versions import LINEAGE
from evercell.engine.decide import Execute, Postpone, Recompute, Restore, decide_cell, explained
from evercell.engine.forecast import Forecast
from evercell.engine.host import CellRequest
from evercell.engine.places import Places
from evercell.history import Cost

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from evercell.cell.source import Source
    from evercell.engine.decide import CellRecord
    from evercell.engine.forecast import Doubt
    from evercell.engine.places import Place
    from evercell.engine.state import RunState

__all__ = ["Action", "CellPreview", "Looked", "NotebookCell", "Previewer", "preview_cells"]

Action = Literal["restore", "recompute", "execute", "depends"]
LastRun = Literal["never", "running", "in doubt", "completed", "failed", "forgotten", "overridden"]

_NAMED = 3  # inputs that a reason names


class NotebookCell(msgspec.Struct, frozen=True):
    """A code cell as it stands in the notebook now."""

    source: str
    transformed: str  # what IPython's input transformer makes of it: magics are calls
    index: int  # in the notebook, from 0
    cell_id: str | None = None  # nbformat id
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CellPreview:
    """What would happen to a cell, and why. Plain data: `msgspec.json.encode` writes it."""

    cell_id: str | None
    index: int  # in the notebook, from 0
    slot: str  # the run's name of the cell
    last: LastRun  # how its last execution or restore ended
    action: Action
    reason: str
    stale: bool  # it had finished, and would run now because its record does not fit any more
    depends_on: tuple[int, ...]  # indices of the cells whose runs could still change the action
    cost: Cost  # what its latest finished execution had cost; running it repeats at most that


class Looked(msgspec.Struct, frozen=True):
    """A cell before it counts as carried out."""

    cell: NotebookCell
    source: Source
    place: Place
    decision: Restore | Postpone | Recompute | Execute
    former: CellRecord | None  # the finished execution that its place in the run had last
    volatile: bool
    left: Mapping[str, frozenset[bytes]]  # versions of files as cells further down left them


def preview_cells(
    state: RunState,
    cells: Iterable[NotebookCell],
    *,
    costs: Mapping[str, Cost] | None = None,
    project: Path | None = None,
    running: str | None = None,
) -> tuple[CellPreview, ...]:
    """What Restart and Run All would do to `cells`, given in the notebook's order.

    `costs`: of `History.cell_costs`. `project`: the folder whose files count as inputs. `running`:
    the slot of the cell that runs at this moment.
    """
    return Previewer(state, costs or {}, project, running).cells(cells)


class Previewer:
    """Goes through the cells in order; used once."""

    def __init__(
        self, state: RunState, costs: Mapping[str, Cost], project: Path | None, running: str | None
    ) -> None:
        self.state = state
        self.forecast = Forecast(state.finished(), Project(project).version)
        self._places = Places(
            dict(state.places.by_id), dict(state.places.by_source), dict(state.places.by_position)
        )
        self._costs = costs
        self._running = running

    def cells(self, cells: Iterable[NotebookCell]) -> tuple[CellPreview, ...]:
        """One preview for each cell."""
        return tuple(self.take(self.look(cell)) for cell in cells)

    def look(self, cell: NotebookCell) -> Looked:
        """The next cell, and what would happen to it as far as is known."""
        source = self._parse(cell)
        request = CellRequest(cell.source, cell.transformed, 0, cell.cell_id, cell.index, cell.tags)
        place = self._places.resolve(request, source.digest)
        self._places.finished(place.slot)
        marks = source.marks(cell.tags)
        left = self.state.left_below(place.slot, cell.index, self._places)
        decision = decide_cell(
            self.state.records(source.digest),
            ordinal=place.ordinal,
            last=self.state.status(place.slot),
            seen=False,
            volatile="volatile" in marks,
            recompute="recompute" in marks,
            differs=lambda reads: self.forecast.differs(
                explained(reads, left, self.forecast.version)
            ),
        )
        volatile = "volatile" in marks
        return Looked(cell, source, place, decision, self.state.latest(place.slot), volatile, left)

    def take(self, looked: Looked) -> CellPreview:
        """The cell's preview; it counts as carried out."""
        cell = looked.cell
        match looked.decision:
            case Execute(reason):
                self.forecast.ran(cell.index, looked.source, cell.transformed, looked.former)
                stale = looked.former is not None and not looked.volatile
                return self._preview(looked, "execute", reason, stale=stale)
            case Restore(record) | Postpone(record) | Recompute(record):
                return self._fits(looked, record)

    def _parse(self, cell: NotebookCell) -> Source:
        """The cell's source. What only a running IPython can read, such as `ls` for `%ls`, is known
        by its text."""
        source = parse_source(cell.source, cell.transformed)
        if source.syntax_error is not None:
            for event in self.state.cells():
                if event.source == cell.source:
                    return msgspec.structs.replace(source, digest=event.source_digest)
        return source

    def _fits(self, looked: Looked, record: CellRecord) -> CellPreview:
        """A record that fits as far as it can be told."""
        cell = looked.cell
        doubts = self.forecast.doubts(record.completed.reads)
        made = [doubt for doubt in doubts if doubt.makes]
        if made:
            self.forecast.ran(cell.index, looked.source, cell.transformed, record)
            reason = f"restored if {_doubted(made, 'makes')} as recorded, and else run"
            return self._preview(looked, "depends", reason, made)
        unless = f", unless {_doubted(doubts, 'changes')}" if doubts else ""
        if isinstance(looked.decision, Recompute):
            self.forecast.recomputed(cell.index, record, cell.transformed)
            return self._preview(looked, "recompute", looked.decision.reason + unless, doubts)
        self.forecast.restored(cell.index, record)
        why = record.why
        if isinstance(looked.decision, Postpone):
            why += f", and it runs when a cell needs what can't be stored ({record.unstorable})"
        return self._preview(looked, "restore", why + unless, doubts)

    def _preview(
        self,
        looked: Looked,
        action: Action,
        reason: str,
        doubts: Sequence[Doubt] = (),
        *,
        stale: bool = False,
    ) -> CellPreview:
        former, slot = looked.former, looked.place.slot
        cost = None if former is None else self._costs.get(former.completed.activity_id)
        if former is not None and cost is None:
            cost = Cost(seconds=former.completed.duration / 1e9)
        last: LastRun = self.state.status(slot) or "never"
        return CellPreview(
            cell_id=looked.cell.cell_id,
            index=looked.cell.index,
            slot=slot,
            last="running" if slot == self._running else last,
            action=action,
            reason=reason,
            stale=stale,
            depends_on=tuple(sorted({doubt.index for doubt in doubts})),
            cost=cost or Cost(),
        )


def _doubted(doubts: Sequence[Doubt], verb: str) -> str:
    """ "cell 2 makes x, y and cell 3 makes z"."""
    names: dict[int, list[str]] = {}
    for doubt in doubts:
        names.setdefault(doubt.index, []).append(doubt.name)
    parts = []
    for index, found in sorted(names.items()):
        shown = ", ".join(name.removeprefix("@") for name in found[:_NAMED])
        if LINEAGE in found:
            shown = "everything"
        elif len(found) > _NAMED:
            shown += f" and {len(found) - _NAMED} more"
        parts.append(f"cell {index + 1} {verb} {shown}")
    return " and ".join(parts)
