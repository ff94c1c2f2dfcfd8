"""Starting runs: from a cell, as a durable call of it; and from workflow code, as children."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, get_args

from evercell import events as e
from evercell.codec import canonical
from evercell.engine import clear
from evercell.engine.scope import Answered, Raised, current_scope
from evercell.engine.workflow import forking, starting
from evercell.engine.workflow.carrying import ChildWork
from evercell.engine.workflow.context import watched
from evercell.engine.workflow.handle import ChildHandle, WorkflowHandle
from evercell.engine.workflow.holder import current_worker
from evercell.engine.workflow.starting import ConflictPolicy, ReusePolicy
from evercell.errors import ForkError, HistoryError, NondeterminismError, UsageError
from evercell.events import ParentClosePolicy
from evercell.history import StepRecord

if TYPE_CHECKING:
    from evercell.engine.function import FunctionVersion
    from evercell.engine.scope import Call, Scope
    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.instance import Instance
    from evercell.engine.workflow.starting import StartRequest
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event

__all__ = ["StartOptions", "start", "start_child"]

_UNHAPPY = ("failed", "timed out", "canceled", "terminated")


@dataclass(frozen=True, slots=True)
class StartOptions:
    """How a run is to be started."""

    id: str | None
    conflict: ConflictPolicy
    reuse: ReusePolicy
    execution_timeout: float | None
    memo: str | None
    search_attributes: str | None
    parent_close_policy: ParentClosePolicy

    def __post_init__(self) -> None:
        _check("id_conflict_policy", self.conflict, ConflictPolicy)
        _check("id_reuse_policy", self.reuse, ReusePolicy)
        _check("parent_close_policy", self.parent_close_policy, ParentClosePolicy)


def _check(option: str, given: str, policies: Any) -> None:
    known = get_args(policies)
    if given not in known:
        listed = ", ".join(map(repr, known))
        raise UsageError(f"{option} is one of {listed}, not {given!r}.")


def _request(  # noqa: PLR0917
    worker: WorkflowWorker,
    definition: Workflow[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: StartOptions,
    workflow_id: str,
    caller: str | None = None,
) -> StartRequest:
    return starting.StartRequest(
        definition=definition,
        input=starting.encode_input(worker, definition, args, kwargs),
        arguments=definition.named(args, kwargs),
        workflow_id=workflow_id,
        execution_timeout=options.execution_timeout,
        memo=options.memo,
        search_attributes=options.search_attributes,
        parent_close_policy=options.parent_close_policy,
        caller=caller,
    )


# -- from a cell --------------------------------------------------------------------------------


@dataclass(slots=True)
class _StartIdentity:
    """A start as a cell's durable call."""

    name: str
    at_most_once: bool
    function_version: FunctionVersion


def start(
    definition: Workflow[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: StartOptions,
) -> WorkflowHandle[Any]:
    """Begin a run; in a recorded cell, once for each of its calls."""
    worker = current_worker()
    scope = current_scope()
    run_id = worker.new_run_id()
    if scope is None or scope.run_id != worker.host.run_id:
        request = _request(worker, definition, args, kwargs, options, options.id or run_id)
        return _begin(worker, definition, run_id, request, options, None)
    identity = _StartIdentity(f"{definition.name}.start", False, definition.start_version)
    failed: list[str] = []

    def again(value: object) -> bool:
        end = worker.find_end(str(value))
        if end is not None and end.status in _UNHAPPY:
            failed.append(str(value))
        return bool(failed)

    call_key = (options.id, *args, tuple(sorted(kwargs.items())))
    entered = scope.enter(identity, call_key, again=again)
    match entered:
        case Answered(value):
            worker.define(definition)  # of this very cell, perhaps edited: the run goes on with it
            return WorkflowHandle(str(value))
        case Raised(error):
            raise error
        case call:
            request = _request(
                worker, definition, args, kwargs, options, options.id or run_id, call.activity_id
            )
            recorded = _Recorded(scope, call, identity.name, definition, args, kwargs)
            if failed:
                return _retry(worker, definition, failed[0], request, recorded)
            return _begin(worker, definition, run_id, request, options, recorded)


@dataclass(frozen=True, slots=True)
class _Recorded:
    """The cell's call that starts the run: recorded in the same moment as the run itself."""

    scope: Scope
    call: Call
    name: str
    definition: Workflow[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def events(self, run_id: str) -> list[Event]:
        scope, call, now = self.scope, self.call, self.scope.clock.now()
        view = clear.arguments(self.definition.view(self.args, self.kwargs))
        begun: Event
        if call.first:
            begun = e.StepStarted(
                scope.run_id, now, call.activity_id, scope.cell, scope.slot, self.name, call.key,
                call.ordinal, view,
            )  # fmt: skip
        else:
            begun = e.AttemptStarted(scope.run_id, now, call.activity_id, scope.cell, call.attempt)
        payload = scope.history.put(b'"' + run_id.encode() + b'"', "json")
        return [
            begun,
            e.StepCompleted(scope.run_id, now, call.activity_id, call.attempt, payload),
        ]

    def remember(self, events: list[Event]) -> None:
        completed = events[-1]
        assert isinstance(completed, e.StepCompleted)  # noqa: S101 - see above
        call = self.call
        self.scope.remember(
            StepRecord(
                call.activity_id, call.key, call.ordinal, "completed", call.attempt, False,
                completed.result, None,
            )
        )  # fmt: skip


def _begin(  # noqa: PLR0917
    worker: WorkflowWorker,
    definition: Workflow[..., Any],
    run_id: str,
    request: StartRequest,
    options: StartOptions,
    recorded: _Recorded | None,
) -> WorkflowHandle[Any]:
    def work() -> str:
        used = starting.choose_id(worker, request.workflow_id, options.conflict, options.reuse)
        besides = [] if recorded is None else recorded.events(used or run_id)
        if used is None:
            started = starting.started_event(worker, run_id, request)
            starting.begin(worker, started, definition, *besides)
        elif besides:
            worker.append(besides)
        if recorded is not None:
            recorded.remember(besides)
        return used or run_id

    worker.define(definition)
    if options.id is not None:
        return WorkflowHandle(worker.call(work).result())
    # A made-up id meets no other run: nothing to wait for.
    started = starting.started_event(worker, run_id, request)
    besides = [] if recorded is None else recorded.events(run_id)
    beginning = starting.Beginning(started, definition, [started, worker.attach(run_id), *besides])
    worker.starting[run_id] = started
    try:
        worker.history.append(*beginning.events)
    except HistoryError:
        worker.forget(run_id)
        raise
    if recorded is not None:
        recorded.remember(besides)
    worker.soon(partial(starting.load_new, worker, beginning))
    return WorkflowHandle(run_id)


def _retry(
    worker: WorkflowWorker,
    definition: Workflow[..., Any],
    failed: str,
    request: StartRequest,
    recorded: _Recorded,
) -> WorkflowHandle[Any]:
    """Its user runs the cell once more whose run failed: a fork goes on at the failure, so that
    nothing is paid twice; code that no longer fits begins anew."""

    def work() -> str:
        fork = forking.ForkRequest(None, {}, accept_edits=False, workflow_id=request.workflow_id)
        try:
            run_id = forking.fork(worker, failed, fork)
        except (ForkError, NondeterminismError) as why:
            worker.notice(f"run {failed} failed and can't be gone on with, so a new one: {why}")
            run_id = worker.new_run_id()
            starting.begin(worker, starting.started_event(worker, run_id, request), definition)
        besides = recorded.events(run_id)
        worker.append(besides)
        recorded.remember(besides)
        return run_id

    worker.define(definition)
    return WorkflowHandle(worker.call(work).result())


# -- from workflow code -------------------------------------------------------------------------


def start_child(
    instance: Instance,
    definition: Workflow[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: StartOptions,
) -> ChildHandle:
    """Ask for a child. Raises UsageError, NotStorableError; awaiting it raises WorkflowError where
    a workflow would start itself for ever."""
    if options.conflict == "use_existing":
        raise UsageError(
            "a child is a run of its own: id_conflict_policy is 'fail' or 'terminate_existing'."
        )
    worker: Any = instance.services
    live = worker.live
    key = canonical.digest((definition.name, options.id, args, sorted(kwargs.items())), live)
    with worker.guard.allowing(), instance.storing():
        request = _request(worker, definition, args, kwargs, options, "")

    def make() -> Event:
        run_id = worker.new_run_id()
        return e.ChildStarted(
            run_id=instance.run_id,
            at=instance.at,
            activity_id=worker.new_activity_id(),
            child=run_id,
            workflow=definition.name,
            workflow_id=options.id or run_id,
            key=key,
            parent_close_policy=options.parent_close_policy,
        )

    pending = instance.ask(("child", definition.name, key), make)
    event = pending.event
    assert isinstance(event, e.ChildStarted)  # noqa: S101 - identity says so
    request = replace(request, workflow_id=event.workflow_id)
    pending.work = ChildWork(request, options.conflict, options.reuse)
    worker.meet(definition)
    return ChildHandle(event.child, watched(instance, pending, _cancel_child))


def _cancel_child(instance: Instance, event: Event) -> None:
    assert isinstance(event, e.ChildStarted)  # noqa: S101 - asked as one
    if instance.finished is not None or event.activity_id not in instance.pending:
        return
    instance.drop(event.activity_id)
    instance.ask(
        ("cancel of run", event.child),
        lambda: e.CancelSent(
            instance.run_id, instance.at, instance.services.new_activity_id(), event.child,
            "its parent cancelled it",
        ),
    )  # fmt: skip
