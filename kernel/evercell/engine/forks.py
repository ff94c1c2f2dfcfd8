"""A new run of a notebook that knows what another one has finished, with results edited if asked.

    record_fork ─ which steps, proved? ─ one batch, so all of it or nothing:
        RunStarted                   from which run, up to where, which of its steps were overridden
        StepStarted, StepCompleted   of each: the same call, answered with the edited value
        CellForgotten                of its cell: its record is not given back
    ─> the notebook's current run: whoever opens it next goes on there

Nothing is copied. What depends on an edited value runs again because it finds another one: the step
is answered with it, its cell makes other variables, the cells that read those are stale.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, NamedTuple

from evercell import __version__
from evercell.codec import values
from evercell.engine import clear
from evercell.engine.recordable import check_recordable
from evercell.engine.run import ABI
from evercell.engine.state import RunState
from evercell.errors import ForkError
from evercell.events import CellForgotten, RunStarted, StepCompleted, StepStarted
from evercell.history import user_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evercell.clock import Clock
    from evercell.events import Event
    from evercell.history import History
    from evercell.history.shared import NamedStep

__all__ = ["record_fork"]

_NAMED = 20  # steps that a message names


class _Edited(NamedTuple):
    """A step, and the result that it is to have."""

    step: NamedStep
    value: Any


def record_fork(
    history: History,
    clock: Clock,
    origin: str,
    overrides: Mapping[str, Any] | None = None,
    live: dict[str, Any] | None = None,
    *,
    new_run: str | None = None,
) -> str:
    """Begin the fork of the notebook's run `origin`; its run id. From any thread and any process.

    `overrides`: results by step, which is named by its activity_id, its name (the first of that
    name) or "name#n" (the n-th, from 0). `live`: the notebook's variables, where they are here.
    `new_run`: the fork's id, where it may be asked for twice and is to begin once.
    Raises ForkError, NotStorableError, HistoryWriteError and what reading the history raises; then
    nothing is recorded.
    """
    with history.reading():
        if new_run is None:
            new_run = clock.new_id()
        elif any(it.run_id == new_run for it in history.runs()):
            return new_run
        known = history.run(origin)
        edited = [_find(history, origin, name, it) for name, it in (overrides or {}).items()]
        state = RunState.fold(history.cell_events(origin)) if edited else RunState()
        place = history.forks.last_place(origin)
    started = RunStarted(
        run_id=new_run,
        at=clock.now(),
        workflow="notebook",
        notebook=known.notebook,
        parameters=known.parameters,
        python=ABI or "",
        evercell=__version__,
        forked_from=origin,
        forked_at=place,
        overrides=tuple(it.step.activity_id for it in edited),
    )
    events = list(_overriding(history, started, state, edited, live or {}))
    lock = history.attach(new_run)
    try:
        history.commit(started, *events)
    finally:
        lock.release()
    return new_run


def _overriding(
    history: History,
    started: RunStarted,
    state: RunState,
    edited: list[_Edited],
    live: dict[str, Any],
) -> Iterator[Event]:
    by_slot: dict[str, list[_Edited]] = {}
    for it in edited:
        by_slot.setdefault(it.step.slot, []).append(it)
    for slot, here in by_slot.items():
        ids = [history.new_activity_id() for _ in here]
        forgotten = _forgotten(history, started, state, slot, tuple(ids))
        for activity_id, (step, value) in zip(ids, here, strict=True):
            yield StepStarted(
                run_id=started.run_id,
                at=started.at,
                activity_id=activity_id,
                cell=forgotten.activity_id,  # what stands for an execution of the cell here
                slot=slot,
                name=step.name,
                key=step.key,
                ordinal=step.ordinal,
                arguments=step.arguments,
                at_most_once=step.at_most_once,
            )
            yield _completed(history, started, activity_id, value, live)
        yield forgotten


def _completed(
    history: History, started: RunStarted, activity_id: str, value: object, live: dict[str, Any]
) -> StepCompleted:
    encoded = values.encode(value, live)
    check_recordable(encoded.data)
    payload = history.put(encoded.data, encoded.codec)
    return StepCompleted(
        run_id=started.run_id,
        at=started.at,
        activity_id=activity_id,
        attempt=1,
        result=payload,
        view=clear.view(value, encoded, payload),
        reason=f"overridden by {user_name()}",
    )


def _forgotten(
    history: History, started: RunStarted, state: RunState, slot: str, steps: tuple[str, ...]
) -> CellForgotten:
    latest = next((cell for cell in state.cells() if cell.slot == slot), None)
    known = [*state.finished(), *filter(None, [state.latest(slot)])]  # one may have been accepted
    if latest is not None:
        known += state.records(latest.source_digest)
    alike = None if latest is None else (latest.source_digest, latest.ordinal)
    records = [
        it
        for it in known
        if it.started.slot == slot or (it.started.source_digest, it.started.ordinal) == alike
    ]
    return CellForgotten(
        run_id=started.run_id,
        at=started.at,
        activity_id=history.new_activity_id(),
        origins=tuple(dict.fromkeys(it.completed.activity_id for it in records)),
        slot=slot,
        cell_index=latest.cell_index if latest else None,
        cell_id=latest.cell_id if latest else None,
        source=latest.source if latest else "",
        user=user_name(),
        host=socket.gethostname(),
        overridden=steps,
    )


def _find(history: History, origin: str, name: str, value: object) -> _Edited:
    """The step that is meant, whose record holds. Raises ForkError."""
    steps = history.forks.steps(origin, name)
    place = 0
    base, _, number = name.rpartition("#")
    if not steps and base and number.isdigit():
        steps, place = history.forks.steps(origin, base), int(number)
    if place >= len(steps):
        raise ForkError(
            f"run {origin} has no step {name!r}"
            + (f": {len(steps)} steps have that name, from {base}#0." if steps else ".")
            + f" List its steps with: evercell show {origin}"
        )
    step = steps[place]
    record = history.step_table(origin, step.slot).get((step.key, step.ordinal))
    if record is None or record.activity_id != step.activity_id:
        raise ForkError(
            f"the record of step {name!r} of run {origin} does not hold, so there is nothing to "
            f"override. What is wrong with it: evercell verify --history {history.folder}"
        )
    if record.status not in {"completed", "failed"}:
        raise ForkError(
            f"step {name!r} of run {origin} has not ended, so it has no result to override."
        )
    return _Edited(step, value)
