"""Messages between runs, and to runs from outside: recorded where they arrive, then told.

For the worker's thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell import events as e
from evercell.engine.failures import recorded_error
from evercell.engine.workflow.messages import message_id
from evercell.errors import (
    EvercellError,
    NotStorableError,
    RunNotFoundError,
    UsageError,
    WorkflowClosedError,
)

if TYPE_CHECKING:
    from concurrent.futures import Future

    from evercell.engine.workflow.instance import Instance
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event

__all__ = ["Messenger"]


class Messenger:
    """Finds the run that a message is for, and records it there."""

    def __init__(self, worker: WorkflowWorker) -> None:
        self._worker = worker
        self.updates: dict[str, tuple[str, Future[e.UpdateCompleted]]] = {}  # with the run_id

    def _send_again(
        self, instance: Instance, event: e.SignalSent | e.CancelSent, message: Any
    ) -> None:
        """An earlier process sent it, and died before it said so; perhaps before it sent it. The
        run that it is for may have gone on meanwhile, or ended."""
        if self._worker.history.workflows.message(event.activity_id) is None:
            self._send(instance, event, message)
        else:
            self._report(instance, event, None)

    def _send(self, instance: Instance, event: e.SignalSent | e.CancelSent, message: Any) -> None:
        """Record a message at the run that it is for, then say so in the run that sent it."""
        error: EvercellError | None = None
        try:
            target = self.target(event.target)
            reached = self._message(instance, event, message, target)
        except (RunNotFoundError, WorkflowClosedError, UsageError, NotStorableError) as failed:
            error = failed
        else:
            self.record_message(target, reached)
        self._report(instance, event, error)

    def _report(
        self, instance: Instance, event: e.SignalSent | e.CancelSent, error: EvercellError | None
    ) -> None:
        worker = self._worker
        info = None if error is None else recorded_error(error, worker.history, worker.live)
        report = e.DeliveryReported(instance.run_id, worker.clock.now(), event.activity_id, info)
        worker.record_input(instance.run_id, report)

    def _message(
        self, instance: Instance, event: e.SignalSent | e.CancelSent, message: Any, target: str
    ) -> Event:
        """What reaches the run `target`. Raises UsageError for what it does not take,
        NotStorableError."""
        now = self._worker.clock.now()
        if isinstance(event, e.CancelSent):
            return e.CancelRequested(target, now, event.activity_id, None, event.reason)
        other = self._worker.instances.get(target)
        if other is not None:
            args, kwargs = message
            other.messages.check_signal(event.name, args, kwargs)
        payload, view = instance.encode(message)
        return e.SignalReceived(
            target, now, event.activity_id, event.name, payload, view, instance.run_id
        )

    def target(self, name: str) -> str:
        """The open run with this run id or workflow id. Raises RunNotFoundError,
        WorkflowClosedError."""
        worker = self._worker
        run_id = self.latest(worker.ids.get(name, name))
        if run_id in worker.instances or run_id in worker.open or run_id in worker.starting:
            return run_id
        if run_id in worker.ending or worker.find_end(run_id) is not None:
            raise WorkflowClosedError(
                f"run {name} is closed: nothing can reach it any more. Start another run."
            )
        raise RunNotFoundError(
            f"No open workflow run {name!r} here. List runs with: evercell ls --all."
        )

    def latest(self, run_id: str) -> str:
        """The last run of the chain of runs that goes on from this one."""
        worker = self._worker
        while run_id not in worker.instances and run_id not in worker.open:
            end = worker.ending.get(run_id) or worker.find_end(run_id)
            if end is None or end.next_run is None:
                break
            run_id = end.next_run
        return run_id

    def record_message(self, run_id: str, event: Event) -> None:
        """Record an input from outside once: a second one with the same id is dropped."""
        worker = self._worker
        instance = worker.instances.get(run_id)
        identity = message_id(event)
        if instance is not None and identity is not None:
            if identity in instance.messages.taken:
                return
            instance.messages.taken.add(identity)
        worker.record_input(run_id, event)

    def _updated(self, event: e.UpdateCompleted) -> None:
        """Tell who waits for the update, once its result is durable."""
        worker = self._worker
        _, future = self.updates.pop(event.update_id, (None, None))
        if future is None:
            return
        worker.flush()  # the event itself is part of what is waited for

        def tell() -> None:
            if future.set_running_or_notify_cancel():
                future.set_result(event)

        worker.outage.commit_then((), tell)

    def wait_for_update(
        self, run_id: str, update_id: str, future: Future[e.UpdateCompleted]
    ) -> None:
        """Have `future` settled with the end of an update that was accepted earlier, perhaps by
        another process."""
        worker = self._worker
        worker.flush()
        ended = worker.history.workflows.update_end(update_id)
        if ended is not None:
            future.set_result(ended)
        elif worker.knows(run_id):
            self.updates[update_id] = run_id, future
        else:
            future.set_exception(
                WorkflowClosedError(f"run {run_id} ended before its update {update_id} did.")
            )

    def give_up_updates(self, run_id: str, error: EvercellError) -> None:
        """Tell who waits for an update that it does not come."""
        given_up = [it for it, (run, _) in self.updates.items() if run == run_id]
        for update_id in given_up:
            _, future = self.updates.pop(update_id)
            if future.set_running_or_notify_cancel():
                future.set_exception(error)
