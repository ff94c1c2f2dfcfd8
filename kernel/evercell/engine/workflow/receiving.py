"""What people and other processes tell workflows: commands, recorded once and carried out.

Post ─ receive(command_id, command) ─ on the worker's thread ─ an event with the id ─ durable
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from evercell import events as e
from evercell.codec import values
from evercell.engine import commands
from evercell.engine.conversion import convert
from evercell.engine.workflow import loading
from evercell.errors import UsageError, WorkflowClosedError

if TYPE_CHECKING:
    from evercell.engine.control import Control
    from evercell.engine.workflow.instance import Instance
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event, Payload

__all__ = ["WorkflowReceiver"]


class WorkflowReceiver:
    """Takes the commands of all open runs of a worker."""

    def __init__(self, worker: WorkflowWorker) -> None:
        self._worker = worker

    def receive(self, command_id: str, command: commands.Command) -> None:
        """See `engine.commands.Receiver`. Raises UsageError, WorkflowClosedError,
        HistoryWriteError."""
        self._worker.call(partial(self._receive, command_id, command)).result()
        self._worker.call(self._worker.flush).result()
        self._worker.history.commit()

    def _receive(self, command_id: str, command: commands.Command) -> None:
        run_id = command.run_id
        if not self._worker.knows(run_id):
            if self._worker.history.workflows.message(command_id) is not None:
                return  # it ended the run
            raise WorkflowClosedError(f"run {run_id} is closed: nothing can reach it any more.")
        if command_id in self._taken(run_id):
            return
        match command:
            case commands.Signal():
                self._signal(command_id, command)
            case commands.Answer():
                self._answer(command_id, command)
            case commands.CancelRun(reason=reason, by=by):
                now = self._worker.clock.now()
                event = e.CancelRequested(run_id, now, command_id, None, reason, by)
                self._worker.carrier.record_message(run_id, event)
            case commands.Terminate(reason=reason):
                received = self._received(command_id, "terminate", None, command)
                self._worker.carrier.impose_end(run_id, "terminated", reason, received)
            case commands.CancelActivity() | commands.RetryNow() | commands.Skip():
                self._step(command_id, command)
                self._take(command_id, run_id)
            case _:
                raise UsageError(f"a workflow takes no {type(command).__name__}.")

    def _taken(self, run_id: str) -> set[str]:
        """The ids of messages that the run has."""
        instance = self._worker.instances.get(run_id)
        if instance is not None:
            return instance.messages.taken
        events = self._worker.history.workflows.events([run_id])[run_id]
        ids = (getattr(event, name, "") for event in events for name in ("signal_id", "command_id"))
        return set(ids)

    def _take(self, command_id: str, run_id: str) -> None:
        instance = self._worker.instances.get(run_id)
        if instance is not None:
            instance.messages.taken.add(command_id)

    def _signal(self, command_id: str, command: commands.Signal) -> None:
        worker, run_id = self._worker, command.run_id
        args, kwargs = commands.arguments(worker.history, command.payload, worker.live)
        instance = worker.instances.get(run_id)
        if instance is not None:
            instance.messages.check_signal(command.name, list(args), kwargs)
        payload = None if command.payload is None else self._opened(command.payload)
        event = e.SignalReceived(
            run_id, worker.clock.now(), command_id, command.name, payload, command.view, command.by
        )
        worker.carrier.record_message(run_id, event)

    def _answer(self, command_id: str, command: commands.Answer) -> None:
        worker, run_id = self._worker, command.run_id
        instance = self._loaded(run_id)
        pending = None if instance is None else instance.pending.get(command.activity_id)
        asked = None if pending is None else pending.event
        if pending is None or pending.over or not isinstance(asked, e.ApprovalRequested):
            raise UsageError(
                f"run {run_id} waits for no approval {command.activity_id!r} now. The view "
                "approvals lists what is waited for."
            )
        payload = None if command.value is None else self._opened(command.value)
        if command.approved and asked.schema is not None:
            value = None if payload is None else self._decoded(payload)
            _check(value, asked.schema, pending.work)
        pending.over = True
        event = e.ApprovalAnswered(
            run_id, worker.clock.now(), command.activity_id, command.approved, payload,
            command.view, command.by, command_id,
        )  # fmt: skip
        self._take(command_id, run_id)
        worker.record_input(run_id, event)

    def _loaded(self, run_id: str) -> Instance | None:
        """The run, if it has not ended. What it asks for is not known before its code is here:
        raises WorkflowNotDefinedError or WorkflowBlockedError, and the command waits for it."""
        worker = self._worker
        if run_id in worker.open:
            loading.refuse_standing(worker, run_id)
        if run_id in worker.open:
            raise loading.not_defined(run_id, worker.open[run_id].workflow)
        return worker.instances.get(run_id)

    def _step(
        self, command_id: str, command: commands.CancelActivity | commands.RetryNow | commands.Skip
    ) -> None:
        worker, run_id, activity_id = self._worker, command.run_id, command.activity_id
        self._loaded(run_id)
        control: Control | None = worker.runner.controls.get(activity_id)
        if control is None:
            raise UsageError(f"run {run_id} has no step {activity_id!r} under way.")
        now = worker.clock.now()
        if isinstance(command, commands.Skip):
            result = self._opened(command.value)
            reason = f"skipped by {command.by}" if command.by else "skipped"

            skipped = self._received(command_id, "skip", activity_id, command)

            def complete(attempt: int) -> None:
                done = e.StepCompleted(
                    run_id, now, activity_id, attempt, result, command.view, reason=reason
                )
                worker.record_input(run_id, skipped, done)

            control.skip(result, complete)
            return
        if isinstance(command, commands.CancelActivity):
            event: Event = e.CancelRequested(
                run_id, now, command_id, activity_id, command.reason, command.by
            )
            control.cancel(command.reason or "canceled", lambda: worker.append([event]))
        else:
            received = self._received(command_id, "retry now", activity_id, command)
            control.retry_now(lambda: worker.append([received]))

    def _received(
        self,
        command_id: str,
        kind: e.CommandKind,
        activity_id: str | None,
        command: commands.RetryNow | commands.Skip | commands.Terminate,
    ) -> Event:
        now = self._worker.clock.now()
        return e.CommandReceived(command.run_id, now, command_id, kind, activity_id, command.by)

    def _opened(self, payload: Payload) -> Payload:
        return commands.opened(self._worker.history, payload)

    def _decoded(self, payload: Payload) -> Any:
        worker = self._worker
        return values.decode(payload.encoding, worker.history.get(payload), worker.live)


def _check(value: Any, schema: str, kind: Any) -> None:
    """Raise UsageError for an answer that does not fit the form."""
    if kind is not None and not isinstance(kind, dict):
        convert(value, kind, "the approval")
        return
    told = msgspec.json.decode(schema)
    missing = [name for name in told.get("required", ()) if name not in (value or {})]
    if missing:
        raise UsageError(f"the answer lacks {', '.join(missing)}; its schema is {schema:.500}")
