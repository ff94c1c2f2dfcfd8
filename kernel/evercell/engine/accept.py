"""A user's word on recorded results: to keep one though its inputs changed, or never to use it.

accept_cells -> CellAccepted for each: the record counts with today's source and versions
forget_cells -> CellForgotten: its records are never hits again; its steps are answered still
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import msgspec

from evercell.engine import clear
from evercell.engine.decide import Execute
from evercell.errors import UsageError
from evercell.events import CellAccepted, CellForgotten
from evercell.history import user_name

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.engine.decide import CellRecord
    from evercell.engine.preview import Looked, NotebookCell, Previewer
    from evercell.engine.run import Run

__all__ = ["Accepted", "accept_cells", "forget_cells"]


class Accepted(msgspec.Struct, frozen=True):
    """What came of accepting."""

    kept: tuple[CellAccepted, ...]
    refused: tuple[tuple[int, str], ...]  # index of a stale cell, and why it has to run


def accept_cells(
    run: Run, previewer: Previewer, cells: Iterable[NotebookCell], chosen: int | None
) -> Accepted:
    """Keep the recorded results of the stale cells, or of the one whose index is `chosen`; durable
    on return. Raises UsageError if `chosen` can't be kept."""
    kept: list[CellAccepted] = []
    refused: list[tuple[int, str]] = []
    for cell in cells:
        looked = previewer.look(cell)
        former = looked.former
        if chosen == cell.index or (chosen is None and _is_stale(run, looked)):
            objection = _objection(run, previewer, looked)
            if objection is None and former is not None:
                kept.append(_accepted(run, previewer, looked, former))
                previewer.forecast.restored(cell.index, former.accept(kept[-1]))
                continue
            if chosen is not None:
                raise UsageError(f"Cell {cell.index + 1} can't be accepted: {objection}.")
            refused.append((cell.index, objection or ""))
        previewer.take(looked)
    if kept:
        run.history.commit(*kept)
        for event in kept:
            run.state.apply(event)
    return Accepted(tuple(kept), tuple(refused))


def _is_stale(run: Run, looked: Looked) -> bool:
    """Whether it would run though it had finished. A cell that failed or was cut off since then is
    another matter: to keep what was before takes its name."""
    return (
        isinstance(looked.decision, Execute)
        and looked.former is not None
        and not looked.volatile
        and run.state.status(looked.place.slot) == "completed"
    )


def _objection(run: Run, previewer: Previewer, looked: Looked) -> str | None:
    """Why the cell's recorded result can't be kept; None if it can."""
    former = looked.former
    if looked.volatile:
        return "it is volatile, and runs each time"
    if former is None:
        return "it has no recorded result"
    doubts = previewer.forecast.doubts({*former.completed.reads, *looked.source.reads})
    made = [doubt for doubt in doubts if doubt.makes]
    reasons = {
        "its record was forgotten": run.state.is_forgotten(former),
        "its record fits already": not isinstance(looked.decision, Execute) and not made,
        former.completed.reason or "its effects could not be tracked": (
            not former.completed.restorable
        ),
        f"it has to run, since this can't be stored: {former.unstorable}": (
            former.unstorable is not None
        ),
    }
    for doubt in made[:1]:
        reasons[f"cell {doubt.index + 1}, which it depends on, has to run or be accepted first"] = (
            True
        )
    return next((reason for reason, holds in reasons.items() if holds), None)


def _accepted(run: Run, previewer: Previewer, looked: Looked, former: CellRecord) -> CellAccepted:
    decision = looked.decision
    return CellAccepted(
        run_id=run.run_id,
        at=run.clock.now(),
        activity_id=run.history.new_activity_id(),
        origin=former.completed.activity_id,
        slot=looked.place.slot,
        cell_index=looked.cell.index,
        cell_id=looked.cell.cell_id,
        source=clear.source(looked.cell.source),
        source_digest=looked.source.digest,
        ordinal=looked.place.ordinal,
        reads=previewer.forecast.inputs(looked.source, former),
        reason=clear.text(decision.reason if isinstance(decision, Execute) else ""),
        user=user_name(),
        host=socket.gethostname(),
    )


def forget_cells(
    run: Run, previewer: Previewer, cells: Iterable[NotebookCell], chosen: int | None
) -> tuple[CellForgotten, ...]:
    """Take all records of the cell whose index is `chosen` (None: of every cell) out of use;
    durable on return. Raises UsageError if there is nothing to forget."""
    events = []
    for cell in cells:
        looked = previewer.look(cell)
        previewer.take(looked)
        if chosen not in (None, cell.index):
            continue
        origins = _origins(run, looked)
        if origins:
            events.append(
                CellForgotten(
                    run_id=run.run_id,
                    at=run.clock.now(),
                    activity_id=run.history.new_activity_id(),
                    origins=origins,
                    slot=looked.place.slot,
                    cell_index=cell.index,
                    cell_id=cell.cell_id,
                    source=clear.source(cell.source),
                    user=user_name(),
                    host=socket.gethostname(),
                )
            )
    if not events:
        raise UsageError("There is no recorded result to forget.")
    run.history.commit(*events)
    for event in events:
        run.state.apply(event)
    return tuple(events)


def _origins(run: Run, looked: Looked) -> tuple[str, ...]:
    """The executions that could be hits for this cell, with whatever source it had."""
    slot, digest = looked.place.slot, looked.source.digest
    found = [
        record
        for record in run.state.finished()
        if record.started.slot == slot
        or (record.started.source_digest, record.started.ordinal) == (digest, looked.place.ordinal)
    ]
    return tuple(r.completed.activity_id for r in found if not run.state.is_forgotten(r))
