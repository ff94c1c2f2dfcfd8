"""Waiting in a cell, durably: `sleep`, `wait_signal`, `approval`, alike for sync and async code.

    call ─ counted and looked up as a step is (slot, key, ordinal) ─ begun, recorded ─> Wait
    await wait | wait.result() ─ until it is over (waitlist.py) ─ recorded, durable ─> its value

A wait has an absolute deadline, and goes on over restarts. In the code of a workflow the same calls
go to the workflow.
"""

from __future__ import annotations

import asyncio
import sys
import threading
import warnings
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, NoReturn, Protocol, TypeVar, cast

import msgspec

from evercell.codec import canonical, values
from evercell.engine import clear
from evercell.engine.commands import arguments
from evercell.engine.context import current_attempt
from evercell.engine.control import Canceled
from evercell.engine.conversion import convert, json_schema
from evercell.engine.current import calling_workflow
from evercell.engine.durations import Duration, seconds
from evercell.engine.scope import current_scope
from evercell.engine.waitlist import Replied, Taken
from evercell.errors import NotInKernelError, StepCanceledError, UsageError
from evercell.events import ApprovalRequested, SignalAwaited, TimerStarted

if TYPE_CHECKING:
    from collections.abc import Generator

    from evercell.engine.scope import Scope
    from evercell.engine.waitlist import Begun, Key, Outcome, Pending, WaitList

__all__ = ["Wait", "approval", "sleep", "wait_signal"]

T = TypeVar("T")
_SECOND = 1_000_000_000


class _AskAgainError(Exception):
    """A person's answer is not what the code takes."""


@dataclass(frozen=True, slots=True)
class _Head:
    """What every beginning of a wait holds."""

    run_id: str
    at: int
    activity_id: str
    slot: str
    cell: str
    key: bytes
    ordinal: int


class _Kind(Protocol):
    """What is waited for."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes two waits the same."""
        ...

    def begun(self, head: _Head, since: int) -> Begun:
        """The event of its beginning."""
        ...

    def value(self, outcome: Outcome, scope: Scope) -> Any:
        """What the code gets, unless the wait was cancelled. Raises TimeoutError, UsageError for a
        signal of another kind, _AskAgainError."""
        ...


class Wait(Generic[T]):
    """Something that a cell waits for: `await` it, or call `result()` in code that is not async.

    It began when it was made. What came of it stays: it can be asked for again.
    """

    def __init__(self, scope: Scope, waits: WaitList, kind: _Kind, pending: Pending, call: Key):
        self._scope = scope
        self._waits = waits
        self._kind = kind
        self._pending = pending
        self._call = call
        self._durable = pending.outcome is not None
        self._asked = False

    def __repr__(self) -> str:
        return f"<{self._kind.name}: await it, or call .result()>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("what a cell waits for can't be stored; wait for it in its cell")

    def __del__(self) -> None:
        if not getattr(self, "_asked", True) and not sys.is_finalizing():
            warnings.warn(
                f"{self._kind.name} was begun and never waited for: await it, or call .result().",
                RuntimeWarning,
                stacklevel=2,
            )

    @property
    def run_id(self) -> str:
        """The run that waits."""
        return self._waits.run_id

    @property
    def activity_id(self) -> str:
        """The wait's id, for those who answer it, skip it or cancel it."""
        return self._pending.activity_id

    def result(self) -> T:
        """Block until it is over; an interrupt (Ctrl-C) ends that, and the wait itself goes on when
        the cell is run again. Returns and raises what awaiting it does."""
        __tracebackhide__ = True
        self._asked = True
        while True:
            if not self._durable:
                wake = threading.Event()
                with self._waits.waiting(self._pending, wake.set):
                    wake.wait()
                    self._waits.claim(self._pending)
                    self._waits.history.commit()
                self._durable = True
            try:
                return self._value()
            except _AskAgainError as why:
                self._ask_again(why)

    def __await__(self) -> Generator[Any, None, T]:
        self._asked = True
        return self._wait().__await__()

    async def _wait(self) -> T:
        __tracebackhide__ = True
        while True:
            if not self._durable:
                with _Waking() as waking, self._waits.waiting(self._pending, waking.wake):
                    await waking.future
                    self._waits.claim(self._pending)
                    try:
                        await self._waits.history.commit_async()
                    except asyncio.CancelledError:
                        self._waits.give_back(self._pending)
                        raise
                self._durable = True
            try:
                return self._value()
            except _AskAgainError as why:
                self._ask_again(why)

    def _value(self) -> T:
        __tracebackhide__ = True
        outcome = self._pending.outcome
        assert outcome is not None  # noqa: S101 - it was waited for
        if isinstance(outcome, Canceled):
            raise StepCanceledError(f"{self._kind.name} was cancelled: {outcome.reason}.")
        return cast("T", self._kind.value(outcome, self._scope))

    def _ask_again(self, why: _AskAgainError) -> None:
        self._scope.notes.append(f"{self._kind.name} asks again: {why}")
        self._durable = False
        self._pending = _enter(self._scope, self._waits, self._kind, self._call, anew=True)


class _Waking:
    """A future of the running loop that any thread can settle."""

    def __enter__(self) -> _Waking:
        self._loop = asyncio.get_running_loop()
        self.future: asyncio.Future[None] = self._loop.create_future()
        return self

    def __exit__(self, *_: object) -> None:
        self.future.cancel()

    def wake(self) -> None:
        """Settle it."""
        with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        if not self.future.done():
            self.future.set_result(None)


# -- what is waited for ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Sleep:
    name: str
    length: float  # seconds

    @property
    def identity(self) -> tuple[object, ...]:
        return ("sleep", self.length)

    def begun(self, head: _Head, since: int) -> Begun:
        return TimerStarted(
            run_id=head.run_id,
            at=head.at,
            activity_id=head.activity_id,
            slot=head.slot,
            name="sleep",
            fire_at=since + int(self.length * _SECOND),
            cell=head.cell,
            key=head.key,
            ordinal=head.ordinal,
        )

    def value(self, outcome: Outcome, scope: Scope) -> None:  # noqa: ARG002 - see _Kind
        return None


@dataclass(frozen=True, slots=True)
class _Signal:
    name: str
    signal: str
    kind: Any
    limit: float | None

    @property
    def identity(self) -> tuple[object, ...]:
        return ("signal", self.signal)

    def begun(self, head: _Head, since: int) -> Begun:
        return SignalAwaited(
            run_id=head.run_id,
            at=head.at,
            activity_id=head.activity_id,
            slot=head.slot,
            name=self.signal,
            expires_at=_expires(since, self.limit),
            cell=head.cell,
            key=head.key,
            ordinal=head.ordinal,
        )

    def value(self, outcome: Outcome, scope: Scope) -> Any:
        match outcome:
            case Taken(signal):
                args, kwargs = arguments(scope.history, signal.payload, scope.live)
                several = kwargs or len(args) > 1
                given = (*args, *kwargs.values()) if several else next(iter(args), None)
                return convert(given, self.kind, f"signal {self.signal!r}")
            case _:
                raise TimeoutError(f"no signal {self.signal!r} came in time.")


@dataclass(frozen=True, slots=True)
class _Approval:
    name: str
    prompt: str
    schema: Any
    form: str | None  # the schema as JSON
    limit: float | None

    @property
    def identity(self) -> tuple[object, ...]:
        return ("approval", self.prompt)

    def begun(self, head: _Head, since: int) -> Begun:
        return ApprovalRequested(
            run_id=head.run_id,
            at=head.at,
            activity_id=head.activity_id,
            slot=head.slot,
            prompt=clear.text(self.prompt),
            schema=self.form,
            expires_at=_expires(since, self.limit),
            cell=head.cell,
            key=head.key,
            ordinal=head.ordinal,
        )

    def value(self, outcome: Outcome, scope: Scope) -> Any:
        match outcome:
            case Replied(answer):
                if self.schema is None:
                    return answer.approved
                return self._filled_in(answer.payload, scope) if answer.approved else None
            case _:
                raise TimeoutError(f"nobody answered {self.prompt!r} in time.")

    def _filled_in(self, payload: Any, scope: Scope) -> Any:
        if payload is None:
            raise _AskAgainError("the form was not filled in.")
        value = values.decode(payload.encoding, scope.history.get(payload), scope.live)
        if isinstance(self.schema, dict):
            return value
        try:
            return convert(value, self.schema, "the form")
        except UsageError as error:  # a validator of the model, or a form that was edited since
            raise _AskAgainError(error.message) from error


def _expires(since: int, limit: float | None) -> int | None:
    return None if limit is None else since + int(limit * _SECOND)


# -- beginning ------------------------------------------------------------------------------------


def _begin(kind: _Kind) -> Wait[Any]:
    scope = current_scope()
    waits = None if scope is None else scope.waits
    if scope is None or waits is None:
        raise NotInKernelError(
            f"{kind.name} waits durably, for which a cell has to be recorded, and none is here. "
            "Run it in a notebook on the Evercell kernel; in workflow code, in the workflow itself."
        )
    attempt = current_attempt.get()
    within = attempt.activity_id if attempt is not None and attempt.book.recording else None
    key = canonical.digest(("evercell wait", within, *kind.identity), scope.live)
    call = scope.slot, key, scope.count(key)
    scope.flush()  # keeps the log in the order of what happened
    pending = _enter(scope, waits, kind, call)
    if isinstance(pending.outcome, Taken) and not scope.resuming:
        try:
            kind.value(pending.outcome, scope)
        except UsageError:  # a signal of another kind failed the cell; its user runs it again
            pending = _enter(scope, waits, kind, call, anew=True)
    return Wait(scope, waits, kind, pending, call)


def _enter(scope: Scope, waits: WaitList, kind: _Kind, call: Key, *, anew: bool = False) -> Pending:
    slot, key, ordinal = call

    def make(activity_id: str, since: int) -> Begun:
        now = scope.clock.now()
        head = _Head(scope.run_id, now, activity_id, slot, scope.cell, key, ordinal)
        return kind.begun(head, since)

    return waits.enter(call, make, resuming=scope.resuming, anew=anew)


def sleep(duration: Duration) -> Any:
    """A durable timer: `await` what is returned, or call its `result()` in code that is not async.

    It ends `duration` (seconds, a timedelta, "3d") after the call, whether or not a kernel lived in
    between: a cell that is resumed sleeps on until then. Raises StepCanceledError where somebody
    cancelled it, NotInKernelError outside a recorded cell and a workflow, UsageError.
    """
    length = seconds(duration)
    workflow = calling_workflow()
    if workflow is not None:
        return workflow.sleep(duration)
    return _begin(_Sleep(f"sleep({duration!r})", length))


def wait_signal(name: str, kind: Any = Any, *, timeout: Duration | None = None) -> Any:
    """The argument of the next signal of this name that no other wait took, also of one that came
    early; a tuple for several arguments, None without any. `await` what is returned, or call its
    `result()` in code that is not async.

    `kind`: what it is made into, such as a pydantic model. Raises TimeoutError after `timeout`,
    UsageError for a signal of another kind, and what `sleep` raises.
    """
    limit = None if timeout is None else seconds(timeout)
    workflow = calling_workflow()
    if workflow is not None:
        return workflow.wait_signal(name, kind, timeout)
    return _begin(_Signal(f"wait_signal({name!r})", name, kind, limit))


def approval(prompt: str, schema: Any = None, *, timeout: Duration | None = None) -> Any:
    """A person's answer: True or False; with `schema` (a pydantic model, a dataclass or a JSON
    schema) the filled-in form, or None where it was rejected. `await` what is returned, or call its
    `result()` in code that is not async.

    It is answered with `evercell.answer()`, with `evercell approve` in a shell, or in the widget.
    Raises TimeoutError after `timeout`, and what `sleep` raises.
    """
    limit = None if timeout is None else seconds(timeout)
    form = None if schema is None else msgspec.json.encode(json_schema(schema)).decode()
    workflow = calling_workflow()
    if workflow is not None:
        return workflow.approval(prompt, schema, timeout)
    return _begin(_Approval(f"approval({prompt!r})", prompt, schema, form, limit))
