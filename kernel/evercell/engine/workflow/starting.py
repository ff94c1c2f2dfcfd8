"""How runs begin: from a cell, as children, as continuations, as forks.

StartRequest ─ RunStarted, RunAttached ─ recorded ─ instance ─ first activation
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from evercell import __version__
from evercell import events as e
from evercell.codec import values
from evercell.engine.recordable import check_recordable
from evercell.engine.run import ABI
from evercell.engine.workflow.instance import Instance
from evercell.engine.workflow.messages import message_id
from evercell.errors import NotStorableError, WorkflowAlreadyStartedError, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event, ParentClosePolicy, Payload, RunStarted

__all__ = [
    "Beginning",
    "ConflictPolicy",
    "ReusePolicy",
    "StartRequest",
    "begin",
    "choose_id",
    "encode_input",
    "refuse_cycle",
]

ConflictPolicy = Literal["fail", "use_existing", "terminate_existing"]
ReusePolicy = Literal["allow_duplicate", "allow_duplicate_failed_only", "reject_duplicate"]
_SECOND = 1_000_000_000
_DEPTH = 100  # of children of children


@dataclass(frozen=True, slots=True)
class StartRequest:
    """A run that is to begin."""

    definition: Workflow[..., Any]
    input: Payload
    arguments: dict[str, Any]  # by name, for people
    workflow_id: str
    execution_timeout: float | None = None  # seconds
    memo: str | None = None
    search_attributes: str | None = None
    parent_close_policy: ParentClosePolicy = "terminate"
    schedule: str | None = None
    caller: str | None = None


@dataclass(frozen=True, slots=True)
class Beginning:
    """A run's first events, and what carries it."""

    started: RunStarted
    definition: Workflow[..., Any]
    events: list[Event]


def encode_input(
    worker: WorkflowWorker, definition: Workflow[..., Any], args: tuple[Any, ...], kwargs: Any
) -> Payload:
    """The arguments as they are recorded. Raises NotStorableError."""
    try:
        encoded = values.encode([list(args), dict(kwargs)], worker.live)
        check_recordable(encoded.data)
    except NotStorableError as why:
        raise NotStorableError(
            f"the arguments of workflow {definition.name!r} can't be recorded: {why.message} Give "
            "a workflow plain data, and make clients and the like in its steps."
        ) from None
    return worker.history.put(encoded.data, encoded.codec)


def started_event(
    worker: WorkflowWorker,
    run_id: str,
    request: StartRequest,
    *,
    parent: Instance | None = None,
) -> RunStarted:
    """The event with which the run begins."""
    now, definition = worker.clock.now(), request.definition
    limit = request.execution_timeout
    return e.RunStarted(
        run_id=run_id,
        at=now,
        workflow=definition.name,
        notebook=worker.host.notebook,
        parameters=request.arguments,
        python=ABI or "",
        evercell=__version__,
        start=e.WorkflowStart(
            workflow_id=request.workflow_id,
            host=worker.host.run_id,
            input=request.input,
            seed=secrets.token_bytes(16),
            version=definition.code_version(),
            definition=definition.pinned(worker),
            deadline=None if limit is None else now + int(limit * _SECOND),
            parent=None if parent is None else parent.run_id,
            parent_close_policy=request.parent_close_policy,
            memo=request.memo,
            search_attributes=request.search_attributes,
            schedule=request.schedule,
            caller=request.caller,
        ),
    )


def begin(
    worker: WorkflowWorker, started: RunStarted, definition: Workflow[..., Any], *besides: Event
) -> None:
    """Record the run, with `besides` in the same moment, and let it begin. For the worker's
    thread."""
    beginning = Beginning(started, definition, [started, worker.attach(started.run_id), *besides])
    worker.append(beginning.events)
    load_new(worker, beginning)


def load_new(worker: WorkflowWorker, beginning: Beginning) -> None:
    """Let a recorded run begin. For the worker's thread."""
    started = beginning.started
    instance = Instance(started, beginning.definition, worker)
    worker.took(instance)
    deadline = started.start.deadline if started.start is not None else None
    if deadline is not None:
        end = partial(worker.carrier.impose_end, started.run_id, "timed out", "execution_timeout")
        worker.timers.put(deadline, end)
    inputs = [event for event in beginning.events if message_id(event) is not None]
    worker.go_on(instance, partial(instance.begin, inputs))


def continued(worker: WorkflowWorker, instance: Instance, run_id: str) -> Beginning:
    """The run that goes on where `instance` continued as new; signals that nobody took go with
    it."""
    again = instance.again
    assert again is not None  # noqa: S101 - called for that
    old, definition = instance.start, instance.definition
    now = worker.clock.now()
    start = e.WorkflowStart(
        workflow_id=old.workflow_id,
        host=old.host,
        input=again.input,
        seed=secrets.token_bytes(16),
        version=definition.code_version(),
        definition=definition.pinned(worker),
        deadline=old.deadline,
        parent=old.parent,
        parent_close_policy=old.parent_close_policy,
        memo=instance.memo,
        search_attributes=instance.search_attributes,
        first=old.first or instance.run_id,
        continued_from=instance.run_id,
        schedule=old.schedule,
    )
    started = e.RunStarted(
        run_id, now, definition.name, worker.host.notebook, again.named,
        ABI or "", __version__, start,
    )  # fmt: skip
    inputs = [
        msgspec.structs.replace(event, run_id=run_id, at=now)
        for event in _handed_on(instance, worker.coming.get(instance.run_id, ()))
    ]
    return Beginning(started, definition, [started, worker.attach(run_id), *inputs])


def _handed_on(instance: Instance, coming: Iterable[Event]) -> list[Event]:
    """The messages that the run leaves to the one that goes on: signals that nobody took, and what
    came, or is being recorded, when its code had ended."""
    late = [
        event
        for event in (*instance.messages.left, *coming)
        if isinstance(event, e.SignalReceived)
        or (isinstance(event, e.CancelRequested) and event.activity_id is None)
    ]
    once = {message_id(event): event for event in (*instance.messages.unhandled, *late)}
    return list(once.values())


def choose_id(
    worker: WorkflowWorker,
    workflow_id: str,
    conflict: ConflictPolicy,
    reuse: ReusePolicy,
) -> str | None:
    """The open run to use instead of a new one, if the policies say so. For the worker's thread.

    Raises WorkflowAlreadyStartedError.
    """
    run_id = worker.ids.get(workflow_id)
    if run_id is not None:
        match conflict:
            case "use_existing":
                return run_id
            case "terminate_existing":
                worker.carrier.impose_end(run_id, "terminated", "a new run replaced it")
                return None
            case "fail":
                raise WorkflowAlreadyStartedError(
                    f"workflow id {workflow_id!r} is in use by the open run {run_id}. Take another "
                    "id, or id_conflict_policy='use_existing' or 'terminate_existing'."
                )
    ended = worker.last_end(workflow_id) if reuse != "allow_duplicate" else None
    if ended is None or (reuse == "allow_duplicate_failed_only" and ended.status != "completed"):
        return None
    raise WorkflowAlreadyStartedError(
        f"workflow id {workflow_id!r} was used by run {ended.run_id}, which {ended.status}, and "
        f"id_reuse_policy={reuse!r} forbids another."
    )


def refuse_cycle(worker: WorkflowWorker, parent: RunStarted, request: StartRequest) -> None:
    """Raise WorkflowError for a workflow that starts itself with the same arguments, directly or
    through others, as it would for ever. What its ancestors are depends on the moment, so this is
    asked once, and its answer is part of the history."""
    ancestor: RunStarted | None = parent
    depth = 0
    while ancestor is not None and ancestor.start is not None:
        depth += 1
        again = ancestor.workflow == request.definition.name and (
            ancestor.start.input.id == request.input.id
        )
        if again or depth > _DEPTH:
            raise WorkflowError(
                f"workflow {request.definition.name!r} would start itself for ever: it is among "
                f"its own ancestors, {depth} up, with the same arguments. Give the child other "
                "arguments, or end the recursion."
            )
        above = ancestor.start.parent
        ancestor = None if above is None else worker.started(above)
