"""The schedules of a host run, on the worker's thread: each due time starts a run, or is skipped.

set ─ ScheduleSet ─ timer ─ due ─ choose ─┬─ ScheduleFired with the run's RunStarted, or a reason
                                          └─ ScheduleFired that it waits ─ the run before ends ─┘
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from evercell import events as e
from evercell.engine.workflow import starting
from evercell.engine.workflow.schedules import ScheduleSpec, choose, times_after
from evercell.errors import (
    RunNotFoundError,
    WorkflowAlreadyStartedError,
    WorkflowNotDefinedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event, Payload

__all__ = ["ScheduleState", "Scheduler"]

_SECOND = 1_000_000_000


@dataclass(slots=True)
class ScheduleState:
    """A schedule and what came of it: a fold of its events."""

    schedule_id: str
    workflow: str
    spec: ScheduleSpec
    input: Payload
    arguments: dict[str, Any]  # by name, for people
    paused: bool = False
    note: str | None = None
    last: int = 0  # the latest time that was dealt with
    open: set[str] = field(default_factory=set)  # run_ids that it started and that are not closed
    recent: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=10))
    buffered: deque[int] = field(default_factory=deque)  # times that wait for the run before
    edition: int = 0  # timers of earlier editions are void


class Scheduler:
    """The host run's schedules."""

    def __init__(self, worker: WorkflowWorker) -> None:
        self._worker = worker
        self._states: dict[str, ScheduleState] = {}

    def adopt(self, events: Iterable[Event]) -> None:
        """Take up what earlier processes recorded."""
        for event in events:
            match event:
                case e.ScheduleSet():
                    self._fold_set(event)
                case e.ScheduleFired() if event.schedule_id in self._states:
                    self._fold_fired(self._states[event.schedule_id], event)
                case _:
                    pass
        for state in self._states.values():
            self._arm(state)

    def _fold_set(self, event: e.ScheduleSet) -> None:
        if event.spec is None or event.input is None:
            self._states.pop(event.schedule_id, None)
            return
        told = msgspec.json.decode(event.spec)
        spec = msgspec.convert(told["spec"], ScheduleSpec)
        state = self._states.get(event.schedule_id)
        if state is None:
            state = ScheduleState(
                event.schedule_id, event.workflow, spec, event.input, told["arguments"]
            )
            self._states[event.schedule_id] = state
        state.workflow, state.spec, state.input = event.workflow, spec, event.input
        state.arguments, state.paused, state.note = told["arguments"], event.paused, event.note

    def _fold_fired(self, state: ScheduleState, event: e.ScheduleFired) -> None:
        state.last = max(state.last, event.due)
        if event.child is not None:
            if event.due in state.buffered:
                state.buffered.remove(event.due)
            state.recent.append((event.due, event.child))
            if self._worker.knows(event.child):
                state.open.add(event.child)
        elif event.reason is None:
            state.buffered.append(event.due)

    # -- asked for from outside -----------------------------------------------------------------

    def set(self, state: ScheduleState) -> None:
        """Make or change a schedule. Raises WorkflowAlreadyStartedError if another workflow has
        its id."""
        known = self._states.get(state.schedule_id)
        if known is not None and known.workflow != state.workflow:
            raise WorkflowAlreadyStartedError(
                f"schedule {state.schedule_id!r} exists, for workflow {known.workflow!r}. Take "
                "another id, or delete it."
            )
        spec = msgspec.json.encode({"spec": state.spec, "arguments": state.arguments}).decode()
        event = e.ScheduleSet(
            self._worker.host.run_id, self._worker.clock.now(), state.schedule_id, state.workflow,
            spec, state.input, state.paused, state.note,
        )  # fmt: skip
        self._worker.append([event])
        self._fold_set(event)
        self._arm(self._states[state.schedule_id])

    def change(self, schedule_id: str, *, paused: bool, note: str | None) -> None:
        """Pause it or let it go on. Raises RunNotFoundError. Times that passed while it was paused
        are not caught up."""
        state = self.state(schedule_id)
        if state.paused and not paused:
            state.last = max(state.last, self._worker.clock.now())
        self.set(_copy(state, paused=paused, note=note))

    def delete(self, schedule_id: str) -> None:
        """Forget it; runs that it started go on. Raises RunNotFoundError."""
        state = self.state(schedule_id)
        now = self._worker.clock.now()
        run_id = self._worker.host.run_id
        self._worker.append([e.ScheduleSet(run_id, now, schedule_id, state.workflow, None)])
        del self._states[schedule_id]

    def trigger(self, schedule_id: str, command_id: str) -> None:
        """Start a run now, as its overlap policy says. Raises RunNotFoundError,
        WorkflowNotDefinedError."""
        state = self.state(schedule_id)
        if state.workflow not in self._worker.definitions:
            raise WorkflowNotDefinedError(
                f"schedule {schedule_id!r} starts workflow {state.workflow!r}, which is not "
                "defined in this kernel. Run the cell that defines it."
            )
        self._due(state, self._worker.clock.now(), command_id)

    def state(self, schedule_id: str) -> ScheduleState:
        """A schedule. Raises RunNotFoundError."""
        state = self._states.get(schedule_id)
        if state is None:
            known = ", ".join(sorted(self._states)) or "none"
            raise RunNotFoundError(f"No schedule {schedule_id!r}; known are: {known}.")
        return state

    # -- time -----------------------------------------------------------------------------------

    def _arm(self, state: ScheduleState) -> None:
        state.edition += 1
        if not state.paused:
            after = max(state.last, state.spec.created_at, self._oldest(state))
            at = next(times_after(state.spec, after))
            self._worker.timers.put(at, partial(self._ring, state.schedule_id, state.edition, at))

    def _oldest(self, state: ScheduleState) -> int:
        return self._worker.clock.now() - int(state.spec.catchup_window * _SECOND)

    def _ring(self, schedule_id: str, edition: int, at: int) -> None:
        state = self._states.get(schedule_id)
        if state is None or state.edition != edition:
            return
        if state.workflow not in self._worker.definitions:
            return  # `defined` arms it again
        self._due(state, at)
        self._arm(state)

    def defined(self, workflow: str) -> None:
        """A workflow's definition exists now: its schedules that waited for it go on."""
        for state in self._states.values():
            if state.workflow == workflow:
                self._arm(state)
                self._next_in_line(state)  # the run before may have ended with its process

    def _due(self, state: ScheduleState, at: int, command_id: str | None = None) -> None:
        state.last = max(state.last, at)
        choice = choose(state.spec.overlap, running=bool(state.open), buffered=len(state.buffered))
        match choice:
            case "start":
                self._start(state, at, command_id)
            case "skip":
                skipped = self._fired(state, at, None, "the run before is open", command_id)
                self._worker.append([skipped])
            case "buffer":
                self._buffer(state, at, command_id)
            case "cancel and buffer":
                self._buffer(state, at, command_id)
                for run_id in list(state.open):
                    self._cancel(run_id, at)
            case "terminate and start":
                for run_id in list(state.open):
                    self._worker.carrier.impose_end(run_id, "terminated", "its schedule is due")
                self._start(state, at, command_id)

    def closed(self, schedule_id: str, run_id: str) -> None:
        """A run of the schedule is over: one that waited for that starts."""
        state = self._states.get(schedule_id)
        if state is None:
            return
        state.open.discard(run_id)
        self._next_in_line(state)

    def _buffer(self, state: ScheduleState, at: int, command_id: str | None) -> None:
        state.buffered.append(at)
        self._worker.append([self._fired(state, at, None, None, command_id)])

    def _next_in_line(self, state: ScheduleState) -> None:
        known = state.workflow in self._worker.definitions  # else `defined` comes here again
        if state.buffered and not state.open and known:
            self._start(state, state.buffered.popleft())

    def _cancel(self, run_id: str, at: int) -> None:
        now = self._worker.clock.now()
        event = e.CancelRequested(run_id, now, f"due-{at}", None, "its schedule is due")
        self._worker.carrier.record_message(run_id, event)

    def _start(self, state: ScheduleState, at: int, command_id: str | None = None) -> None:
        worker = self._worker
        definition = worker.definitions[state.workflow]
        moment = datetime.fromtimestamp(at / _SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        request = starting.StartRequest(
            definition=definition,
            input=state.input,
            arguments=state.arguments,
            workflow_id=f"{state.schedule_id}-{moment}",
            execution_timeout=definition.execution_timeout,
            schedule=state.schedule_id,
        )
        run_id = worker.new_run_id()
        state.open.add(run_id)
        state.recent.append((at, run_id))
        fired = self._fired(state, at, run_id, None, command_id)
        starting.begin(worker, starting.started_event(worker, run_id, request), definition, fired)

    def _fired(
        self,
        state: ScheduleState,
        at: int,
        run_id: str | None,
        reason: str | None,
        command_id: str | None,
    ) -> e.ScheduleFired:
        host, now = self._worker.host.run_id, self._worker.clock.now()
        return e.ScheduleFired(host, now, state.schedule_id, at, run_id, reason, command_id)


def _copy(state: ScheduleState, *, paused: bool, note: str | None) -> ScheduleState:
    return ScheduleState(
        state.schedule_id, state.workflow, state.spec, state.input, state.arguments, paused, note
    )
