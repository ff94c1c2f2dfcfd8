"""A new run that shares another one's history up to a step, with results edited if asked.

    the run's events before that step ─ copied, overridden results replaced ─> a new run, replayed

Recorded steps whose code differs from today's are listed, and need a word from the user: a run in
which results of old and new code stand side by side must be no accident.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from evercell import __version__
from evercell import events as e
from evercell.codec import values
from evercell.engine import clear
from evercell.engine.run import ABI
from evercell.engine.workflow import loading
from evercell.engine.workflow.asks import ASKED, REACHED
from evercell.errors import ForkEditedError, ForkError, RunNotFoundError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evercell.engine.workflow.instance import Instance
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event, RunStarted

__all__ = ["ForkRequest", "StepPlace", "fork", "next_step"]

_NO_END = (e.RunDetached, e.RunFinished, e.RunBlocked, e.RunAttached, e.UsageRecorded)
_ENDS = (e.StepCompleted, e.StepFailed)
_OF_ATTEMPTS = (e.AttemptStarted, e.AttemptFailed, e.HeartbeatRecorded)


@dataclass(frozen=True, slots=True)
class StepPlace:
    """One step of a run."""

    activity_id: str
    name: str
    ordinal: int  # among identical calls
    number: int  # among the steps of its name, from 0


@dataclass(frozen=True, slots=True)
class ForkRequest:
    """`at`: the first step that is not shared; None shares all, up to a failure. `overrides`:
    results that stand instead of the recorded ones or of failures, by step; where `at` is one of
    them, what followed from its end is not shared. A step is named by its activity_id,
    its name (the first of that name), or "name#n" (the n-th, from 0)."""

    at: str | None
    overrides: Mapping[str, Any]
    accept_edits: bool
    workflow_id: str | None = None
    new_run: str | None = None  # the fork's run_id, where it is known already
    caller: str | None = None  # activity_id of the recorded call that asks for it


def fork(worker: WorkflowWorker, run_id: str, request: ForkRequest) -> str:
    """Begin the fork, unless it is there; its run id. For the worker's thread.

    Raises RunNotFoundError, ForkError, NondeterminismError, WorkflowNotDefinedError.
    """
    if (
        request.new_run is not None
        and worker.history.workflows.events([request.new_run])[request.new_run]
    ):
        return request.new_run  # told twice
    history = worker.history.workflows.events([run_id])[run_id]
    origin = next((event for event in history if isinstance(event, e.RunStarted)), None)
    if origin is None or origin.start is None:
        raise RunNotFoundError(f"No run {run_id!r} of a workflow is in the history.")
    places = _places(history)
    overridden = {_find(places, name): value for name, value in request.overrides.items()}
    shared = history[: _cut(history, places, request.at, overridden)]
    _check_overrides(shared, overridden, run_id)
    started = _started(worker, origin, request, len(shared), tuple(overridden))
    copied = _copied(worker, shared, started.run_id, overridden)
    # Refuses before anything is recorded.
    instance = loading.replayed(worker, started, copied, compare=True)
    if not request.accept_edits:
        given = [event for event in shared if getattr(event, "activity_id", "") not in overridden]
        _refuse_edits(instance, given, run_id)
    instance.close()
    worker.append([started, worker.attach(started.run_id), *copied])
    loading.load_recorded(worker, started, copied)
    return started.run_id


def next_step(history: list[Event], activity_id: str) -> str | None:
    """The first step that began after this one had its result; None if none did."""
    later = iter(history)
    for event in later:
        if isinstance(event, e.StepCompleted) and event.activity_id == activity_id:
            break
    return next((it.activity_id for it in later if isinstance(it, e.StepStarted)), None)


def _places(history: list[Event]) -> list[StepPlace]:
    counts: dict[str, int] = {}
    places = []
    for event in history:
        if isinstance(event, e.StepStarted):
            number = counts.get(event.name, 0)
            counts[event.name] = number + 1
            places.append(StepPlace(event.activity_id, event.name, event.ordinal, number))
    return places


def _find(places: list[StepPlace], name: str) -> str:
    """The activity_id of the step that is meant. Raises ForkError."""
    base, _, number = name.rpartition("#")
    wanted = (base, int(number)) if base and number.isdigit() else (name, 0)
    for place in places:
        names = (place.name, place.name.rpartition(".")[2])
        if place.activity_id == name or (wanted[0] in names and place.number == wanted[1]):
            return place.activity_id
    known = ", ".join(f"{place.name}#{place.number}" for place in places[:20]) or "none"
    raise ForkError(f"the run has no step {name!r}; its steps are: {known}.")


def _cut(
    history: list[Event], places: list[StepPlace], at: str | None, overridden: Mapping[str, Any]
) -> int:
    """How many events are shared."""
    if at is not None:
        activity_id = _find(places, at)
        wanted = _ENDS if activity_id in overridden else e.StepStarted
        for n, event in enumerate(history):
            if isinstance(event, wanted) and event.activity_id == activity_id:
                return n + (activity_id in overridden)
    for n, event in enumerate(history):  # up to the failure that ended it, or to its end
        if isinstance(event, e.StepFailed) and event.activity_id in overridden:
            return n + 1
        if isinstance(event, (e.StepFailed, e.RunFinished, e.CancelRequested)):
            return n
    return len(history)


def _check_overrides(shared: list[Event], overridden: dict[str, Any], run_id: str) -> None:
    done = {event.activity_id for event in shared if isinstance(event, _ENDS)}
    if missing := set(overridden) - done:
        raise ForkError(
            f"{min(missing)} of run {run_id} has no result before the place of the fork, so there "
            "is none to override. Fork at a later step, or override another one."
        )


def _started(
    worker: WorkflowWorker,
    origin: RunStarted,
    request: ForkRequest,
    shared: int,
    overrides: tuple[str, ...],
) -> RunStarted:
    assert origin.start is not None  # noqa: S101 - checked by the caller
    run_id = request.new_run or worker.new_run_id()
    definition = worker.definitions.get(origin.workflow)
    if definition is None:
        raise loading.not_defined(origin.run_id, origin.workflow)
    start = msgspec.structs.replace(
        origin.start,
        workflow_id=request.workflow_id or run_id,
        host=worker.host.run_id,
        version=definition.code_version(),
        definition=definition.pinned(worker),
        deadline=None,
        parent=None,
        first=None,
        continued_from=None,
        forked_from=origin.run_id,
        forked_at=shared,
        overrides=overrides,
        schedule=None,
        caller=request.caller,
        time=origin.start.time or origin.at,  # the shared history's times follow from it
    )
    return e.RunStarted(
        run_id, worker.clock.now(), origin.workflow, worker.host.notebook, origin.parameters,
        ABI or "", __version__, start,
    )  # fmt: skip


def _copied(
    worker: WorkflowWorker, shared: list[Event], run_id: str, overridden: dict[str, Any]
) -> list[Event]:
    """The shared events as the new run's: with ids of its own, and the edited results."""
    ended = {event.activity_id for event in shared if isinstance(event, e.ChildFinished)}
    ids: dict[str, str] = {}
    copies: list[Event] = []
    for event in shared:
        if isinstance(event, (e.RunStarted, *_NO_END)):
            continue
        if not isinstance(event, (*ASKED, *REACHED, *_OF_ATTEMPTS)):
            continue
        changes: dict[str, Any] = {"run_id": run_id}
        old: str | None = getattr(event, "activity_id", None)
        if old is not None:
            changes["activity_id"] = ids.setdefault(old, worker.new_activity_id())
        if isinstance(event, e.ChildStarted) and old not in ended:
            changes["child"] = worker.new_run_id()  # under way there: the fork has one of its own
        if isinstance(event, _ENDS) and old in overridden:
            event = _overridden(worker, event, overridden[old])  # noqa: PLW2901 - in its place
        copies.append(msgspec.structs.replace(event, **changes))
    return copies


def _overridden(
    worker: WorkflowWorker, end: e.StepCompleted | e.StepFailed, value: object
) -> e.StepCompleted:
    """The end of a step with another result."""
    encoded = values.encode(value, worker.live)
    payload = worker.history.put(encoded.data, encoded.codec)
    view = clear.view(value, encoded, payload)
    return e.StepCompleted(
        end.run_id, end.at, end.activity_id, end.attempt, payload, view, end.duration
    )


def _refuse_edits(instance: Instance, shared: list[Event], run_id: str) -> None:
    """Raise ForkEditedError if results that are shared came from other code than today's."""
    recorded = {
        (event.name, event.key[:16]): event.key[16:]
        for event in shared
        if isinstance(event, e.StepStarted)
    }
    today = instance.step_versions or {}
    edited = {call[0] for call, version in recorded.items() if today.get(call, version) != version}
    if edited:
        raise ForkEditedError(
            f"these steps have other code today than when run {run_id} recorded their results: "
            f"{', '.join(sorted(edited))}. To share the old results all the same: "
            "accept_edits=True (--accept-edits); to run them again, fork before them: at=..."
        )
