"""Schedules, seen from outside: made, paused, triggered, described."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from evercell.engine.step import Step
from evercell.engine.workflow import outside, starting
from evercell.engine.workflow.holder import current_worker
from evercell.engine.workflow.schedules import make_spec, times_after
from evercell.engine.workflow.scheduling import ScheduleState

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.engine.durations import Duration
    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.schedules import OverlapPolicy
    from evercell.engine.workflow.worker import WorkflowWorker

__all__ = ["ScheduleDescription", "ScheduleHandle", "Timetable", "schedule"]


@dataclass(frozen=True, slots=True)
class Timetable:
    """A schedule's times as its author gave them."""

    cron: str | None
    every: Duration | None
    offset: Duration
    timezone: str
    overlap: OverlapPolicy
    catchup_window: Duration


@dataclass(frozen=True, slots=True)
class ScheduleDescription:
    """What is known of a schedule; times in nanoseconds since the epoch."""

    schedule_id: str
    workflow: str
    paused: bool
    note: str | None
    next_times: tuple[int, ...]
    recent: tuple[tuple[int, str], ...]  # (due, run_id), the latest last
    open: tuple[str, ...]  # run_ids
    buffered: int


@dataclass(frozen=True)
class ScheduleHandle:
    """A schedule. Plain data: it can be stored, and works after a restart."""

    schedule_id: str

    def pause(self, note: str | None = None) -> None:
        """Start nothing until `unpause`. Raises RunNotFoundError."""
        self._do(lambda w: w.scheduler.change(self.schedule_id, paused=True, note=note))

    def unpause(self, note: str | None = None) -> None:
        """Go on; times that passed meanwhile are not caught up. Raises RunNotFoundError."""
        self._do(lambda w: w.scheduler.change(self.schedule_id, paused=False, note=note))

    def trigger(self) -> None:
        """Start a run now, as the overlap policy says. In a recorded cell it does so once for each
        call, also over restarts. Raises RunNotFoundError, WorkflowNotDefinedError."""

        def fire(schedule_id: str) -> None:
            command, earlier = outside.identity(current_worker())
            if earlier is None:
                self._do(lambda w: w.scheduler.trigger(schedule_id, command))

        Step(fire, name=f"trigger {self.schedule_id}", version=1)(self.schedule_id)

    def delete(self) -> None:
        """Forget the schedule; runs that it started go on. Raises RunNotFoundError."""
        self._do(lambda w: w.scheduler.delete(self.schedule_id))

    def describe(self) -> ScheduleDescription:
        """What is known of it. Raises RunNotFoundError."""
        worker = current_worker()
        return worker.call(partial(_describe, worker, self.schedule_id)).result()

    def _do(self, work: Callable[[WorkflowWorker], None]) -> None:
        worker = current_worker()
        worker.call(partial(work, worker)).result()
        worker.call(worker.flush).result()
        worker.history.commit()


def schedule(
    definition: Workflow[..., Any],
    schedule_id: str,
    times: Timetable,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    *,
    paused: bool,
    note: str | None,
) -> ScheduleHandle:
    """Make or change a schedule; durable on return."""
    worker = current_worker()
    arguments = definition.named(args, kwargs)
    spec = make_spec(
        cron=times.cron,
        every=times.every,
        offset=times.offset,
        timezone=times.timezone,
        overlap=times.overlap,
        catchup_window=times.catchup_window,
        created_at=worker.clock.now(),
    )
    payload = starting.encode_input(worker, definition, args, kwargs)
    state = ScheduleState(
        schedule_id, definition.name, spec, payload, arguments, paused=paused, note=note
    )
    worker.define(definition)
    handle = ScheduleHandle(schedule_id)
    handle._do(lambda w: w.scheduler.set(state))
    return handle


def _describe(worker: WorkflowWorker, schedule_id: str) -> ScheduleDescription:
    state = worker.scheduler.state(schedule_id)
    after = max(state.last, worker.clock.now())
    return ScheduleDescription(
        schedule_id=schedule_id,
        workflow=state.workflow,
        paused=state.paused,
        note=state.note,
        next_times=() if state.paused else tuple(islice(times_after(state.spec, after), 5)),
        recent=tuple(state.recent),
        open=tuple(sorted(state.open)),
        buffered=len(state.buffered),
    )
