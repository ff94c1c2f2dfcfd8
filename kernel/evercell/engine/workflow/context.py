"""What workflow code asks for: steps, children, signals, approvals, markers.

Each function looks for the run whose code calls it; outside workflow code it raises UsageError.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn
from uuid import UUID

import msgspec

from evercell import events as e
from evercell.codec import canonical
from evercell.engine import clear
from evercell.engine.conversion import convert, json_schema
from evercell.engine.current import calling_workflow
from evercell.engine.durations import Duration, seconds
from evercell.engine.workflow.asks import SLOT
from evercell.engine.workflow.guard import GUARD
from evercell.engine.workflow.where import first_line
from evercell.errors import HistoryError, UsageError, WorkflowCallError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from evercell.engine.function import Reached
    from evercell.engine.step import Step
    from evercell.engine.workflow.asks import Pending
    from evercell.engine.workflow.instance import Instance
    from evercell.engine.workflow.loop import WorkflowFuture
    from evercell.events import Event, Payload

__all__ = [
    "ContinueAsNew", "StepWork", "ask_approval", "ask_signal", "ask_step", "continue_as_new",
    "deprecate_patch", "instance_here", "json_text", "now", "patched", "registering", "send_cancel",
    "send_signal", "set_attributes", "side_effect", "sleep", "unsafe", "uuid4",
    "wait_condition", "watched",
]  # fmt: skip

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class StepWork(msgspec.Struct, frozen=True, gc=False):  # nothing that it holds knows it
    """A step's call, to be carried out."""

    step: Step[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


class ContinueAsNew(BaseException):
    """Ends this run and begins another with these arguments."""

    def __init__(self, payload: Payload, named: dict[str, Any]) -> None:
        super().__init__("continue as new")
        self.input = payload
        self.named = named


def instance_here(call: str) -> Instance:
    """The run whose code is calling. Raises UsageError outside workflow code."""
    instance: Instance | None = calling_workflow()
    if instance is None:
        raise UsageError(
            f"workflow.{call} is for the code of an @workflow function, and none is running here."
        )
    return instance


def registering(decorator: str) -> Instance:
    """As `instance_here`, for what registers a handler. Raises QueryMutatedError in a query's."""
    instance = instance_here(decorator)
    if instance.querying is not None:
        raise instance.messages.mutated()
    return instance


def now(instance: Instance) -> datetime:
    """The run's time."""
    return _EPOCH + timedelta(microseconds=instance.at // 1000)


def uuid4(instance: Instance) -> UUID:
    """A random UUID that a replay repeats."""
    return UUID(int=instance.random.getrandbits(128), version=4)


async def sleep(instance: Instance, duration: Duration, summary: str | None) -> None:
    """A timer that is called `summary`."""
    delay = seconds(duration)
    if delay > 0:
        instance.timers.name = summary  # for the timer that the next line starts, at once
    await asyncio.sleep(delay)


# -- steps --------------------------------------------------------------------------------------


def ask_step(
    instance: Instance, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Awaitable[Any]:
    """Ask for a step; its result comes with what is returned."""
    name = step.name
    arguments = step.normal_form(args, kwargs)
    key = canonical.digest((name, *arguments), instance.services.live)
    if instance.step_versions is not None:
        instance.step_versions[name, key] = _version(instance, step).version

    work = StepWork(step, args, kwargs)
    known = instance.known_step(name, key, work)
    if known is not None:
        future: WorkflowFuture[Any] = known.future  # type: ignore[assignment] # a step has one
        future.on_cancel = (_cancel_step, instance, known.event)
        return future

    def make() -> Event:
        reached = _version(instance, step)
        return e.StepStarted(
            run_id=instance.run_id,
            at=instance.at,
            activity_id=instance.services.new_activity_id(),
            cell="",
            slot=SLOT,
            name=name,
            key=key + reached.version,
            ordinal=instance.asks.next_ordinal(key),
            arguments=clear.arguments(step.view(args, kwargs)),
            at_most_once=step.at_most_once,
        )

    pending = instance.ask(("step", name, key), make, work=work)
    return watched(instance, pending, _cancel_step)


def _version(instance: Instance, step: Step[..., Any]) -> Reached:
    known = instance.versions.get(step.function_version)
    if known is None or not known.holds():
        known = step.function_version.compute(lambda _: None)
        instance.versions[step.function_version] = known
    return known


def watched(
    instance: Instance, pending: Pending, cancel: Callable[[Instance, Event], None]
) -> asyncio.Future[Any]:
    """The future of what was asked for; when the code cancels it, `cancel` says so."""
    assert pending.future is not None  # noqa: S101 - it was asked with waits=True
    pending.future.on_cancel = (cancel, instance, pending.event)
    return pending.future


def _cancel_step(instance: Instance, event: Event) -> None:
    if instance.finished is not None:
        return
    activity_id: str = event.activity_id  # type: ignore[attr-defined] # what waits has one
    if activity_id not in instance.pending:
        return
    instance.drop(activity_id)
    instance.tell(
        ("cancel of step", activity_id),
        lambda: e.StepCanceled(instance.run_id, instance.at, activity_id, 1, "canceled"),
    )


# -- signals, conditions, approvals -------------------------------------------------------------


async def ask_signal(instance: Instance, name: str, kind: Any, timeout: Duration | None) -> Any:
    """The argument of the next signal that can be made into `kind`; see `signal_value`."""
    messages = instance.messages
    future = messages.next_signal(name, kind)
    limit = None if timeout is None else seconds(timeout)
    wait = None if future.done() else messages.awaiting.begin("signal", name, instance.at, limit)
    taken = None
    try:
        async with asyncio.timeout(limit):
            event = await future
        taken = event.signal_id
    except (asyncio.CancelledError, TimeoutError):
        if future.done() and not future.cancelled():  # it came at the same time: not lost
            messages.unhandled.insert(0, future.result())
        raise
    finally:
        messages.awaiting.end(wait, taken)
    return messages.signal_value(event, kind)


async def wait_condition(
    instance: Instance, predicate: Callable[[], object], timeout: Duration | None
) -> None:
    """Wait until `predicate()` is true. Raises TimeoutError."""
    if predicate():
        return
    limit = None if timeout is None else seconds(timeout)
    awaiting = instance.messages.awaiting
    code = getattr(predicate, "__code__", None)
    place = repr(predicate) if code is None else first_line(code)
    wait = awaiting.begin("condition", place, instance.at, limit)
    try:
        async with asyncio.timeout(limit):
            await instance.messages.condition(predicate)
    finally:
        awaiting.end(wait)


async def ask_approval(
    instance: Instance, prompt: str, schema: Any, timeout: Duration | None
) -> Any:
    """A person's answer: a bool, or with `schema` the filled-in form, None where it was rejected.
    Raises TimeoutError."""
    form = None if schema is None else msgspec.json.encode(json_schema(schema)).decode()
    limit = None if timeout is None else seconds(timeout)

    def make() -> Event:
        return e.ApprovalRequested(
            run_id=instance.run_id,
            at=instance.at,
            activity_id=instance.services.new_activity_id(),
            slot=SLOT,
            prompt=clear.text(prompt),
            schema=form,
            expires_at=None if limit is None else instance.at + int(limit * 1e9),
        )

    pending = instance.ask(("approval", clear.text(prompt), form), make, work=schema)
    async with asyncio.timeout(limit):
        approved, answer = await watched(instance, pending, _cancel_step)
    if schema is None:
        return approved
    if not approved:
        return None
    return answer if isinstance(schema, dict) else convert(answer, schema, repr(prompt))


# -- markers ------------------------------------------------------------------------------------


def side_effect(instance: Instance, function: Callable[[], Any], name: str | None) -> Any:
    """What `function()` gave the first time."""
    label = name or str(getattr(function, "__qualname__", "side effect"))

    def make() -> Event:
        instance.settle()
        try:
            with GUARD.allowing():
                payload, view = instance.encode(function())
        except HistoryError:
            raise
        except Exception as error:
            why = WorkflowCallError(
                f"side effect {label!r} raised {type(error).__name__}: {error!s:.500}. That is not "
                "recorded, so a replay could not repeat it. Catch it in the side effect and return "
                "what is to be known of it, or make it a @step, whose failures are recorded."
            )
            instance.broken = instance.broken or why
            raise why from error
        activity_id = instance.services.new_activity_id()
        return e.MarkerRecorded(
            instance.run_id, instance.at, activity_id, "side effect", label, payload, view
        )

    event = instance.tell(("side effect", label), make)
    assert isinstance(event, e.MarkerRecorded)  # noqa: S101 - identity says so
    assert event.payload is not None  # noqa: S101 - see make()
    return instance.decode(event.payload)


def patched(instance: Instance, patch: str) -> bool:
    """Whether this run takes the new way: it comes here for the first time, or has taken it."""
    known = instance.patches.get(patch)
    if known is None:
        known = patch in instance.asks.markers or not instance.asks.replaying
        if known:
            old = instance.asks.next_is(("deprecate patch", patch))
            _mark(instance, "deprecate patch" if old else "patched", patch)
        instance.patches[patch] = known
    return known


def deprecate_patch(instance: Instance, patch: str) -> None:
    """Runs that took the old way are over: the marker is kept only where it stands."""
    if instance.patches.get(patch) is not None:
        return
    instance.patches[patch] = True
    if instance.asks.next_is(("patched", patch)):
        _mark(instance, "patched", patch)
    elif instance.asks.next_is(("deprecate patch", patch)) or not instance.asks.replaying:
        _mark(instance, "deprecate patch", patch)


def _mark(instance: Instance, kind: e.MarkerKind, name: str) -> None:
    instance.tell(
        (kind, name),
        lambda: e.MarkerRecorded(
            instance.run_id, instance.at, instance.services.new_activity_id(), kind, name
        ),
    )


def set_attributes(
    instance: Instance, attributes: dict[str, Any] | None, memo: dict[str, Any] | None
) -> None:
    """Merge into the run's search attributes or memo. Raises UsageError for what is not JSON."""
    texts = [None if part is None else json_text(part) for part in (attributes, memo)]
    instance.tell(
        ("attributes", *texts),
        lambda: e.AttributesSet(
            instance.run_id, instance.at, instance.services.new_activity_id(), *texts
        ),
    )
    if attributes is not None:
        instance.search_attributes = _merged(instance.search_attributes, attributes)
    if memo is not None:
        instance.memo = _merged(instance.memo, memo)


def _merged(text: str | None, news: dict[str, Any]) -> str:
    before: dict[str, Any] = {} if text is None else msgspec.json.decode(text)
    return json_text(before | news)


def json_text(value: dict[str, Any]) -> str:
    """`value` as JSON. Raises UsageError."""
    try:
        return msgspec.json.encode(value, order="sorted").decode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"{value!r:.200} is not JSON: {error}.") from error


def continue_as_new(instance: Instance, args: tuple[Any, ...], kwargs: dict[str, Any]) -> NoReturn:
    """End this run and go on in a fresh one. Raises NotStorableError."""
    payload, _ = instance.encode([list(args), kwargs])
    raise ContinueAsNew(payload, instance.definition.named(args, kwargs))


# -- other runs ---------------------------------------------------------------------------------


def send_signal(
    instance: Instance, target: str, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Awaitable[None]:
    """Signal another run; done when it is recorded there."""
    key = canonical.digest((target, name, args, kwargs), instance.services.live)
    message = [list(args), kwargs]

    def make() -> Event:
        return e.SignalSent(
            run_id=instance.run_id,
            at=instance.at,
            activity_id=instance.services.new_activity_id(),
            target=target,
            name=name,
            key=key,
            view=instance.view(message),
        )

    identity = ("signal", target, name, key)
    pending = instance.ask(identity, make, work=message)
    assert pending.future is not None  # noqa: S101 - it waits
    return pending.future


def send_cancel(instance: Instance, target: str, reason: str | None) -> Awaitable[None]:
    """Ask for another run's cancellation; done when that is recorded there."""

    def make() -> Event:
        activity_id = instance.services.new_activity_id()
        return e.CancelSent(instance.run_id, instance.at, activity_id, target, reason)

    pending = instance.ask(("cancel of run", target), make)
    assert pending.future is not None  # noqa: S101 - it waits
    return pending.future


@contextmanager
def unsafe() -> Iterator[None]:
    """Let the block call what a replay may not repeat, on the author's word."""
    instance_here("unsafe()").settle()
    with GUARD.allowing():
        yield
