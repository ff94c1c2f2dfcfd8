"""What people and other code ask of a run: signals, queries, updates, its end, its state.

Called from any thread; what touches a run happens on the worker's thread. In a recorded cell,
what changes a run is a durable call of the cell: a cell that runs again sends nothing twice, and
one whose process died before it was told goes on, also where the run has ended by then.
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from evercell import events as e
from evercell.codec import values
from evercell.engine import clear, commands
from evercell.engine.context import current_attempt
from evercell.engine.recordable import check_recordable
from evercell.engine.step import Step
from evercell.engine.workflow import forking, loading
from evercell.errors import (
    NotStorableError,
    RunNotFoundError,
    UpdateRejectedError,
    UsageError,
    WorkflowError,
)
from evercell.loading import importing

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.engine.workflow.handle import RunDescription
    from evercell.engine.workflow.instance import Instance
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event, Payload, RunStarted

__all__ = [
    "answer",
    "cancel",
    "describe",
    "find",
    "fork",
    "fork_for",
    "identity",
    "query",
    "signal",
    "terminate",
    "update",
]

T = TypeVar("T")


def signal(
    worker: WorkflowWorker, run_id: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """Record a signal; durable on return."""

    def send(run_id: str, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        signal_id, earlier = identity(worker)
        if earlier is None:
            _on_thread(worker, partial(_send, worker, run_id, signal_id, name, args, kwargs))

    # A step: in a recorded cell it is sent once for each call, elsewhere it is just called.
    Step(send, name=f"signal {name}", version=1)(run_id, name, list(args), kwargs)


def identity(worker: WorkflowWorker) -> tuple[str, Event | None]:
    """The id of the message that is being sent, and the message itself if an earlier attempt of the
    same call has sent it: that one's process died before it could say so."""
    attempt = current_attempt.get()
    if attempt is None or not attempt.book.recording:
        return worker.new_activity_id(), None
    earlier = worker.history.workflows.message(attempt.activity_id) if _again() else None
    return attempt.activity_id, earlier


def _again() -> bool:
    """Whether an earlier attempt of the same call may have done it."""
    attempt = current_attempt.get()
    return attempt is not None and attempt.book.recording and attempt.attempt > 1


def _send(  # noqa: PLR0917
    worker: WorkflowWorker,
    run_id: str,
    signal_id: str,
    name: str,
    args: list[Any],
    kwargs: dict[str, Any],
) -> None:
    target = worker.carrier.target(run_id)
    instance = worker.instances.get(target)
    if instance is not None:
        instance.messages.check_signal(name, args, kwargs)
    payload, view = _encoded(worker, f"signal {name!r}", [args, kwargs])
    event = e.SignalReceived(target, worker.clock.now(), signal_id, name, payload, view)
    worker.carrier.record_message(target, event)


def answer(
    worker: WorkflowWorker, run_id: str, value: Any, activity_id: str | None, by: str | None
) -> None:
    """Answer an approval; durable on return."""
    target, activity_id = worker.call(partial(_asked, worker, run_id, activity_id)).result()
    approved = value is not False
    payload, view = None, None
    if not isinstance(value, bool):
        payload, view = commands.enclosed(worker.history, value, worker.live)
    told = commands.Answer(target, activity_id, approved, payload, view, by or commands.user())
    worker.receiver.receive(worker.new_activity_id(), told)


def _asked(worker: WorkflowWorker, run_id: str, activity_id: str | None) -> tuple[str, str]:
    """The run, and its approval: the only one, unless `activity_id` says which."""
    target = worker.carrier.target(run_id)
    return target, activity_id or _only_approval(worker, target)


def _only_approval(worker: WorkflowWorker, run_id: str) -> str:
    instance = worker.instances.get(run_id)
    if instance is None:
        raise loading.not_defined(run_id, worker.open[run_id].workflow)
    asked = [
        pending.event
        for pending in instance.pending.values()
        if isinstance(pending.event, e.ApprovalRequested) and not pending.over
    ]
    if len(asked) != 1:
        listed = ", ".join(f"{one.activity_id} ({one.prompt!r})" for one in asked) or "none"
        raise UsageError(
            f"run {run_id} waits for {len(asked)} approvals: {listed}. Choose one: activity_id=..."
        )
    return asked[0].activity_id


def cancel(worker: WorkflowWorker, run_id: str, reason: str | None) -> None:
    """Record the wish that the run be cancelled; durable on return."""

    def send(run_id: str, reason: str | None) -> None:
        command, earlier = identity(worker)
        if earlier is None:
            _on_thread(worker, partial(_cancel, worker, run_id, command, reason))

    Step(send, name="cancel", version=1)(run_id, reason)  # as in `signal`


def _cancel(worker: WorkflowWorker, run_id: str, command: str, reason: str | None) -> None:
    target = worker.carrier.target(run_id)
    event = e.CancelRequested(target, worker.clock.now(), command, None, reason)
    worker.carrier.record_message(target, event)


def terminate(worker: WorkflowWorker, run_id: str, reason: str | None) -> None:
    """End the run at once; durable on return."""

    def end(run_id: str, reason: str | None) -> None:
        _on_thread(worker, partial(_terminate, worker, run_id, reason, again=_again()))

    Step(end, name="terminate", version=1)(run_id, reason)  # as in `signal`


def _terminate(worker: WorkflowWorker, run_id: str, reason: str | None, *, again: bool) -> None:
    latest = worker.carrier.latest(worker.ids.get(run_id, run_id))
    ended = worker.find_end(latest) if again else None
    if ended is None or ended.status != "terminated":
        worker.carrier.impose_end(worker.carrier.target(run_id), "terminated", reason)


def fork(worker: WorkflowWorker, run_id: str, request: forking.ForkRequest) -> str:
    """Begin a fork, in a recorded cell once for each call; its run id."""

    def begin(*_: object) -> str:
        attempt = current_attempt.get()
        caller = attempt.activity_id if attempt is not None and attempt.book.recording else None
        earlier = worker.history.workflows.started_by(caller) if caller and _again() else None
        return earlier or _fork(worker, run_id, replace(request, caller=caller))

    call = Step(begin, name=f"fork {run_id}", version=1)
    return call(run_id, request.at, dict(request.overrides))


def fork_for(worker: WorkflowWorker, command: commands.Fork) -> None:
    """Begin the fork that a command asks for, once; durable on return. Raises what `forking.fork`
    raises."""
    overrides = {}
    if command.overrides is not None:
        data = worker.history.get(command.overrides)
        overrides = values.decode(command.overrides.encoding, data, worker.live)
    request = forking.ForkRequest(
        command.at, overrides, command.accept_edits, command.workflow_id, command.new_run
    )
    _fork(worker, command.origin, request)


def _fork(worker: WorkflowWorker, run_id: str, request: forking.ForkRequest) -> str:
    forked = worker.call(partial(forking.fork, worker, run_id, request)).result()
    worker.call(worker.flush).result()
    worker.history.commit()
    return forked


def query(
    worker: WorkflowWorker, run_id: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    """The query handler's answer."""

    def ask() -> Any:
        latest = worker.carrier.latest(run_id)
        instance = loading.inspect(worker, latest)
        if instance is None:
            raise loading.not_defined(latest, None)
        try:
            answer = instance.messages.query(name, list(args), kwargs)
            encoded = values.encode(answer, worker.live)  # its own data is not to be changed
        finally:
            loading.restore(worker, instance)
            if instance is not worker.instances.get(latest):
                instance.close()
        return values.decode(encoded.codec, bytes(encoded.data), worker.live)

    return worker.call(ask).result()


def update(
    worker: WorkflowWorker, run_id: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Future[e.UpdateCompleted]:
    """Validate and record an update; durable on return. Its end is to come."""
    done: Future[e.UpdateCompleted] = Future()
    accepted: list[str] = []  # by this process, which waits for its end

    def send(run_id: str, name: str, args: list[Any], kwargs: dict[str, Any]) -> list[str]:
        update_id, earlier = identity(worker)
        if earlier is not None:
            return [earlier.run_id, update_id]
        accept = partial(_accept, worker, run_id, update_id, name, args, kwargs, done)
        target = worker.call(accept).result()
        worker.history.commit()
        accepted.append(update_id)
        return [target, update_id]

    # A step, as in `signal`.
    call = Step(send, name=f"update {name}", version=1)
    target, update_id = call(run_id, name, list(args), kwargs)
    if not accepted:
        worker.call(partial(worker.carrier.wait_for_update, target, update_id, done)).result()
    return done


def _accept(  # noqa: PLR0917
    worker: WorkflowWorker,
    run_id: str,
    update_id: str,
    name: str,
    args: list[Any],
    kwargs: dict[str, Any],
    done: Future[e.UpdateCompleted],
) -> str:
    """Record the update at the run that takes it, whose id is returned; `done` gets its end."""
    target = worker.carrier.target(run_id)
    instance = worker.instances.get(target)
    if instance is None:
        raise loading.not_defined(target, worker.open[target].workflow)
    try:
        _validate(instance, name, args, kwargs)
    finally:
        loading.restore(worker, instance)
    payload, view = _encoded(worker, f"update {name!r}", [args, kwargs])
    worker.carrier.updates[update_id] = target, done
    event = e.UpdateAccepted(target, worker.clock.now(), update_id, name, payload, view)
    worker.record_input(target, event)
    return target


def _validate(instance: Instance, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
    try:
        instance.messages.check_update(name, args, kwargs)
    except WorkflowError:
        raise
    except Exception as error:
        raise UpdateRejectedError(
            f"update {name!r} was rejected, and nothing was recorded: {error}"
        ) from error


def find(worker: WorkflowWorker, name: str) -> str:
    """The run with this run id or workflow id: an open one, else the latest closed one. Raises
    RunNotFoundError."""

    def look() -> str:
        run_id = worker.ids.get(name, name)
        if worker.knows(run_id):
            return run_id
        if worker.find_end(name) is not None:
            return name
        closed = worker.history.workflows.last_closed(worker.host.run_id, name)
        if closed is None:
            raise RunNotFoundError(
                f"No workflow run {name!r} belongs to this notebook's run {worker.host.run_id}. "
                "The view runs lists them."
            )
        return closed

    return worker.call(look).result()


def describe(worker: WorkflowWorker, run_id: str) -> RunDescription:
    """What is known of the run. Raises RunNotFoundError."""
    return worker.call(partial(_describe, worker, run_id)).result()


def _describe(worker: WorkflowWorker, run_id: str) -> RunDescription:
    with importing:
        from evercell.engine.workflow.handle import RunDescription  # noqa: PLC0415 - it imports this

    events = worker.history.workflows.events([run_id])[run_id]
    started: RunStarted | None = None
    attributes: dict[str, Any] = {}
    memo: dict[str, Any] = {}
    end = worker.outcomes.get(run_id)
    for event in events:
        match event:
            case e.RunStarted(start=e.WorkflowStart() as start):
                started = event
                attributes.update(_json(start.search_attributes))
                memo.update(_json(start.memo))
            case e.AttributesSet():
                attributes.update(_json(event.search_attributes))
                memo.update(_json(event.memo))
            case e.RunFinished():
                end = event
            case _:
                pass
    if started is None or started.start is None:
        raise RunNotFoundError(
            f"No run {run_id!r} of a workflow is in the history. List runs with: evercell ls"
        )
    status, error = _status(worker, run_id, end)
    return RunDescription(
        run_id, started.workflow, started.start.workflow_id, status, started.at,
        started.start.parent, memo, attributes, error,
    )  # fmt: skip


def _status(
    worker: WorkflowWorker, run_id: str, end: e.RunFinished | None
) -> tuple[str, str | None]:
    if end is not None:
        why = end.reason if end.error is None else f"{end.error.type}: {end.error.message}"
        return end.status, why
    if run_id in worker.blocked:
        return "blocked", str(worker.blocked[run_id])
    return ("running" if run_id in worker.instances else "not defined"), None


def _json(text: str | None) -> dict[str, Any]:
    data: dict[str, Any] = {} if text is None else msgspec.json.decode(text)
    return data


def _encoded(worker: WorkflowWorker, what: str, message: object) -> tuple[Payload, str | None]:
    try:
        encoded = values.encode(message, worker.live)
        check_recordable(encoded.data)
    except NotStorableError as why:
        raise NotStorableError(
            f"{what} was not sent: {why.message.rstrip('.')}. Send plain data."
        ) from None
    return worker.history.put(encoded.data, encoded.codec), clear.json_view(message, encoded)


def _on_thread(worker: WorkflowWorker, work: Callable[[], None]) -> None:
    """Do it on the worker's thread, and wait until what it recorded is durable."""
    worker.call(work).result()
    worker.history.commit()
