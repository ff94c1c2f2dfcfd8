"""What code asked for, carried out: steps, timers, children, messages to other runs, its end.

For the worker's thread. `carry_out` follows an activation; `resume` follows a replay, where only
what has not come yet is carried out.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from evercell import events as e
from evercell.engine.failures import recorded_error
from evercell.engine.workflow import starting
from evercell.engine.workflow.delivering import Messenger
from evercell.engine.workflow.job import Job, RunScope
from evercell.errors import HistoryError, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.engine.workflow.asks import Pending
    from evercell.engine.workflow.context import StepWork
    from evercell.engine.workflow.instance import Instance
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event, Payload, RunStarted

__all__ = ["Carrier", "ChildWork"]


@dataclass(frozen=True, slots=True)
class ChildWork:
    """A child that is to begin."""

    request: starting.StartRequest
    conflict: starting.ConflictPolicy
    reuse: starting.ReusePolicy


class Carrier(Messenger):
    """Carries out what the worker's runs ask for."""

    def __init__(self, worker: WorkflowWorker) -> None:
        super().__init__(worker)
        self._parents: dict[str, tuple[str, str]] = {}  # child -> (parent, activity_id there)

    def carry_out(self, instance: Instance, fresh: list[Event], work: list[Pending]) -> None:
        """Record the new asks of an activation, and carry them out."""
        if instance.finished is not None:
            self._end(instance, fresh, work)
            return
        if fresh:
            self._worker.append(fresh)
        for pending in work:
            self._start(instance, pending)

    def make_ready(self, instance: Instance) -> None:
        """Have the steps that an activation asked for begin at the next `flush`, if they are all
        that is to be carried out."""
        for pending in instance.work:
            if type(pending.event) is not e.StepStarted:
                return
        work, instance.work = instance.work, []
        for pending in work:
            self._start(instance, pending)

    def resume(self, instance: Instance, history: Iterable[Event]) -> None:
        """After a replay: record what the code asked for beyond it, and carry out all that has not
        come."""
        fresh, work = instance.take()
        if instance.finished is not None:
            self._end(instance, fresh, work)
            return
        if fresh:
            self._worker.append(fresh)
        tried, beats = _tried(history)
        new = {id(event) for event in fresh}
        for pending in list(instance.pending.values()):
            if id(pending.event) in new:
                self._start(instance, pending)
            else:
                self._start_again(instance, pending, tried, beats)
        for pending in work:  # what nobody waits for
            if pending.future is None and id(pending.event) in new:
                self._start(instance, pending)
        deadline = instance.start.deadline
        if deadline is not None:
            self._worker.timers.put(deadline, partial(self._time_out, instance.run_id))

    # -- asks -----------------------------------------------------------------------------------

    def _start(self, instance: Instance, pending: Pending) -> None:
        match pending.event:
            case e.StepStarted() as event:
                self._worker.runner.start(self._job(instance, event, pending.work, 1))
            case e.TimerStarted() as event:
                fire = partial(self._fire, instance.run_id, event.activity_id)
                self._worker.timers.put(event.fire_at, fire)
            case e.StepCanceled() as event:
                self._worker.runner.cancel(event.activity_id)
            case e.ChildStarted() as event:
                self._start_child(instance, event, pending.work)
            case e.SignalSent() | e.CancelSent() as event:
                self._send(instance, event, pending.work)
            case e.UpdateCompleted() as event:
                self._updated(event)
            case _:
                pass  # recorded, and that is all

    def _start_again(
        self,
        instance: Instance,
        pending: Pending,
        tried: dict[str, Event],
        beats: dict[str, Payload | None],
    ) -> None:
        """Carry out what an earlier process was asked for."""
        match pending.event:
            case e.StepStarted() as event:
                details = beats.get(event.activity_id)
                last = tried[event.activity_id]
                self._step_again(instance, event, pending.work, last, details)
            case e.ChildStarted() as event:
                self._child_again(instance, event, pending.work)
            case e.SignalSent() | e.CancelSent() as event:
                self._send_again(instance, event, pending.work)
            case _:
                self._start(instance, pending)

    def _job(
        self,
        instance: Instance,
        event: e.StepStarted,
        work: StepWork,
        attempt: int,
        details: Payload | None = None,
    ) -> Job:
        scope = instance.scope
        if scope is None:
            worker = self._worker
            controls = worker.runner.controls
            scope = instance.scope = RunScope(
                worker.history, worker.clock, instance.run_id, worker.live, activities=controls,
                no_room=worker.no_room,
            )  # fmt: skip
        return Job(scope, event.activity_id, event.key, event.ordinal, attempt, work, details)

    def _step_again(
        self,
        instance: Instance,
        event: e.StepStarted,
        work: StepWork,
        last: Any,
        details: Payload | None,
    ) -> None:
        runner = self._worker.runner
        if runner.has(event.activity_id):
            return  # it goes on in this process
        attempt = 1 if isinstance(last, e.StepStarted) else last.attempt
        job = self._job(instance, event, work, attempt + 1, details)
        if event.at_most_once and not isinstance(last, e.AttemptFailed):
            runner.refuse(job)
        else:
            runner.start(job)

    def _fire(self, run_id: str, activity_id: str) -> None:
        instance = self._worker.instances.get(run_id)
        pending = None if instance is None else instance.pending.get(activity_id)
        if pending is None or pending.over:
            return
        pending.over = True
        event = e.TimerFired(run_id, self._worker.clock.now(), activity_id)
        self._worker.record_input(run_id, event)

    # -- children -------------------------------------------------------------------------------

    def _start_child(self, instance: Instance, event: e.ChildStarted, work: ChildWork) -> None:
        worker = self._worker
        self._parents[event.child] = instance.run_id, event.activity_id
        try:
            starting.refuse_cycle(worker, instance.started, work.request)
            starting.choose_id(worker, event.workflow_id, work.conflict, work.reuse)
        except WorkflowError as refused:
            info = recorded_error(refused, worker.history, worker.live)
            end = e.RunFinished(event.child, worker.clock.now(), "failed", error=info)
            self._report_child(end, event.child)
            return
        started = starting.started_event(worker, event.child, work.request, parent=instance)
        starting.begin(worker, started, work.request.definition)

    def _child_again(self, instance: Instance, event: e.ChildStarted, work: ChildWork) -> None:
        worker = self._worker
        self._parents[event.child] = instance.run_id, event.activity_id
        end = worker.find_end(event.child)
        while end is not None and end.next_run is not None:
            end = worker.find_end(end.next_run)
        if end is not None:
            self._report_child(end, event.child)
        elif not worker.knows_chain(event.child):  # its parent's process died between the two
            self._start_child(instance, event, work)

    def _report_child(self, end: e.RunFinished, first: str) -> None:
        """Tell the parent of a child's end."""
        parent, activity_id = self._parents.pop(first, (None, ""))
        instance = self._worker.instances.get(parent) if parent is not None else None
        if parent is None or instance is None or activity_id not in instance.pending:
            return
        event = e.ChildFinished(
            run_id=parent,
            at=self._worker.clock.now(),
            activity_id=activity_id,
            child=end.run_id,
            status=end.status,
            result=end.result,
            view=end.view,
            error=end.error,
        )
        self._worker.record_input(parent, event)

    # -- ends -----------------------------------------------------------------------------------

    def _end(self, instance: Instance, fresh: list[Event], work: list[Pending]) -> None:
        """Record the run's end with all that it asked for last; then tell everybody."""
        end = instance.finished
        assert end is not None  # noqa: S101 - called for that
        events = [event for event in fresh if event is not end]
        self._worker.append(events)
        self._worker.flush()  # before what comes of them
        new = {id(event) for event in events}
        for pending in work:
            asked = pending.event
            if not _outlives(asked):
                continue
            if id(asked) in new:
                self._start(instance, pending)
            elif getattr(asked, "activity_id", "") in instance.pending:  # not known to be done
                self._start_again(instance, pending, {}, {})
        events = [end]
        following = None
        if instance.again is not None and end.next_run is not None:
            following = starting.continued(self._worker, instance, end.next_run)
            events += following.events
        self.close_run(instance.started, end, events)
        if following is not None:
            starting.load_new(self._worker, following)

    def close_run(self, started: RunStarted, end: e.RunFinished, events: list[Event]) -> None:
        """Record `events`, with `end` among them, and let go of the run."""
        worker = self._worker
        worker.let_go(end.run_id, cancel=True)
        worker.ending[end.run_id] = end
        if started.start is not None and worker.ids.get(started.start.workflow_id) == end.run_id:
            del worker.ids[started.start.workflow_id]
        worker.flush()
        assert started.start is not None  # noqa: S101 - a workflow's run has it
        first = started.start.first or started.run_id
        schedule = started.start.schedule

        def done() -> None:
            worker.ending.pop(end.run_id, None)
            worker.finished(end, started)
            if end.status != "continued as new":
                self._report_child(end, first)
                if schedule is not None:
                    worker.scheduler.closed(schedule, first)

        if worker.children.get(end.run_id):
            # Its children's ends follow from it: they stand behind it, and nobody is told before.
            worker.history.commit_then(events, lambda _: None)
            self.close_children(end.run_id)
            events = []
        worker.outage.commit_then(events, done)

    def impose_end(
        self, run_id: str, status: e.RunEnd, reason: str | None, *because: Event
    ) -> None:
        """End a run without asking its code, `because` of what is recorded in the same moment. Runs
        that are not loaded are ended as well."""
        worker = self._worker
        end = e.RunFinished(run_id, worker.clock.now(), status, reason=reason)
        instance = worker.instances.get(run_id)
        started = worker.open.get(run_id)
        if instance is not None:
            self.close_run(instance.started, end, [*because, end])
        elif started is not None:
            self.close_run(started, end, [*worker.ensure_attached(run_id), *because, end])

    def _time_out(self, run_id: str) -> None:
        self.impose_end(run_id, "timed out", "execution_timeout")

    def close_children(self, parent: str) -> None:
        """What happens to the open children of a run that is over: their parent-close policy."""
        for run_id in self._worker.children.pop(parent, ()):
            started = self._worker.started(run_id)
            start = None if started is None else started.start
            if start is None:
                continue  # closed
            first = start.first or run_id
            self._parents.pop(first, None)
            match start.parent_close_policy:
                case "terminate":
                    self.impose_end(run_id, "terminated", "its parent is closed")
                case "request_cancel":
                    self._ask_to_cancel(run_id, f"parent-closed-{first}")
                case "abandon":
                    pass

    def _ask_to_cancel(self, run_id: str, command: str) -> None:
        worker = self._worker
        if run_id in worker.open:
            with suppress(HistoryError):  # told twice, it reaches the code once
                if worker.history.workflows.message(command) is not None:
                    return  # an earlier process did
        reason = "its parent is closed"
        event = e.CancelRequested(run_id, worker.clock.now(), command, None, reason)
        self.record_message(run_id, event)


def _tried(history: Iterable[Event]) -> tuple[dict[str, Event], dict[str, Payload | None]]:
    """How far each step's attempts came, and the details of its latest heartbeat."""
    tried: dict[str, Event] = {}
    beats: dict[str, Payload | None] = {}
    for event in history:
        match event:
            case e.StepStarted() | e.AttemptStarted() | e.AttemptFailed():
                tried[event.activity_id] = event
            case e.HeartbeatRecorded():
                beats[event.activity_id] = event.payload
            case _:
                pass
    return tried, beats


def _outlives(asked: Event) -> bool:
    """Whether what a run asked for last is carried out although the run is over."""
    if isinstance(asked, e.ChildStarted):
        return asked.parent_close_policy == "abandon"
    return isinstance(asked, (e.SignalSent, e.CancelSent, e.StepCanceled, e.UpdateCompleted))
