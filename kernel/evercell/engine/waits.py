"""Waiting in a cell, durably: `sleep`, `wait_signal`, `approval`, alike for sync and async code.

    call ─ counted and looked up as a step is (slot, key, ordinal) ─ begun, recorded ─> Wait
    async code: await wait ┬─ until it is over (waitlist.py) ─ recorded, durable ─> its value
    sync code: at once ────┘

A wait has an absolute deadline, and goes on over restarts. In the code of a workflow the same calls
go to the workflow.
"""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
import warnings
import weakref
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, NoReturn, TypeVar, cast

import msgspec

from evercell.codec import canonical
from evercell.engine.awaited import Approval, AskAgainError, Head, Signal, Sleep
from evercell.engine.context import current_attempt
from evercell.engine.control import Canceled
from evercell.engine.conversion import json_schema
from evercell.engine.current import calling_workflow
from evercell.engine.durations import Duration, seconds
from evercell.engine.pending import Taken
from evercell.engine.scope import current_scope
from evercell.errors import NotInKernelError, StepCanceledError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from types import FrameType

    from evercell.engine.awaited import Kind
    from evercell.engine.pending import Begun, Key, Pending
    from evercell.engine.scope import Scope
    from evercell.engine.waitlist import WaitList
    from evercell.events import SignalReceived

__all__ = ["Wait", "approval", "sleep", "wait_signal"]

T = TypeVar("T")


class Wait(Generic[T]):
    """Something that async code waits for: `await` it.

    It began when it was made. What came of it stays: it can be asked for again.
    """

    def __init__(self, scope: Scope, waits: WaitList, kind: Kind, pending: Pending, call: Key):
        self._scope = scope
        self._waits = waits
        self._kind = kind
        self._pending = pending
        self._call = call
        self._durable = pending.outcome is not None
        self._asked = False
        pending.holders += 1

    def __repr__(self) -> str:
        return f"<{self._kind.name}: await it>"

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self._kind.name} is not awaited: write `await` before it")

    def __reduce__(self) -> NoReturn:
        raise TypeError("what a cell waits for can't be stored; wait for it in its cell")

    def __del__(self) -> None:
        if not hasattr(self, "_asked"):
            return
        self._pending.holders -= 1
        if not self._asked and not sys.is_finalizing():
            warnings.warn(
                f"{self._kind.name} was begun and never awaited.", RuntimeWarning, stacklevel=2
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
        """Block this thread until it is over, as code that is not async does. Returns and raises
        what awaiting it does."""
        __tracebackhide__ = True
        self._asked = True
        while True:
            if not self._durable:
                wake = threading.Event()
                with self._waits.waiting(self._pending, wake.set, self._check()):
                    wake.wait()
                    self._waits.claim(self._pending)
                    self._waits.history.commit()
                self._durable = True
            try:
                return self._value()
            except AskAgainError as why:
                self._ask_again(why)

    def __await__(self) -> Generator[Any, None, T]:
        self._asked = True
        return self._until_over().__await__()

    async def _until_over(self) -> T:
        __tracebackhide__ = True
        try:
            return await self._wait()
        except asyncio.CancelledError as stop:
            self._pending.let_go = partial(_clear_frames, weakref.ref(stop))
            raise

    async def _wait(self) -> T:
        __tracebackhide__ = True
        while True:
            if not self._durable:
                with (
                    _Waking() as waking,
                    self._waits.waiting(self._pending, waking.wake, self._check()),
                ):
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
            except AskAgainError as why:
                self._ask_again(why)

    def _check(self) -> Callable[[SignalReceived], object]:
        """What raises for a signal that the code can't take; it does not hold the wait."""
        value, scope = self._kind.value, self._scope
        return lambda signal: value(Taken(signal), scope)

    def _value(self) -> T:
        __tracebackhide__ = True
        outcome = self._pending.outcome
        assert outcome is not None  # noqa: S101 - it was waited for
        if isinstance(outcome, Canceled):
            raise StepCanceledError(f"{self._kind.name} was cancelled: {outcome.reason}.")
        return cast("T", self._kind.value(outcome, self._scope))

    def _ask_again(self, why: AskAgainError) -> None:
        self._scope.notes.append(f"{self._kind.name} asks again: {why}")
        self._durable = False
        self._pending = _enter(self._scope, self._waits, self._kind, self._call, anew=True)


def _clear_frames(stop: weakref.ref[asyncio.CancelledError]) -> None:
    """From CPython 3.12 on the error of an `await` that `wait_for` cut off may live on in asyncio,
    out of the collector's sight, and hold the Wait, as if the code still had it."""
    error = stop()
    trace = None if error is None else error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code in _FINISHED:
            trace.tb_frame.clear()
        trace = trace.tb_next


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


# -- beginning ------------------------------------------------------------------------------------


def _begin(kind: Kind) -> Wait[Any]:
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
    wait = Wait[Any](scope, waits, kind, pending, call)
    return wait if _can_await(sys._getframe(2)) else wait.result()


def _can_await(caller: FrameType) -> bool:
    """Whether the code that called is async: part of a coroutine, or of a cell with an `await`.

    A function that is not async counts as what calls it, so that `gather(*map(ask, names))` waits
    for all at once; but a step's body and a thread of its own are what they are.
    """
    frame: FrameType | None = caller
    while frame is not None:
        flags = frame.f_code.co_flags
        if flags & (inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
            return True
        if not flags & inspect.CO_OPTIMIZED:  # a cell's own code, or a module's
            return False
        if frame.f_globals.get("__name__", "").startswith("evercell.engine."):
            return False
        frame = frame.f_back
    return False


def _enter(scope: Scope, waits: WaitList, kind: Kind, call: Key, *, anew: bool = False) -> Pending:
    slot, key, ordinal = call

    def make(activity_id: str, since: int) -> Begun:
        now = scope.clock.now()
        head = Head(scope.run_id, now, activity_id, slot, scope.cell, key, ordinal)
        return kind.begun(head, since)

    return waits.enter(call, make, resuming=scope.resuming, anew=anew)


def sleep(duration: Duration) -> Any:
    """A durable timer: in async code `await` it, elsewhere it blocks.

    It ends `duration` (seconds, a timedelta, "3d") after the call, whether or not a kernel lived in
    between: a cell that is resumed sleeps on until then. Raises StepCanceledError where somebody
    cancelled it, NotInKernelError outside a recorded cell and a workflow, UsageError.
    """
    length = seconds(duration)
    workflow = calling_workflow()
    if workflow is not None:
        return workflow.sleep(duration)
    return _begin(Sleep(f"sleep({duration!r})", length))


def wait_signal(name: str, kind: Any = Any, *, timeout: Duration | None = None) -> Any:
    """The argument of the next signal of this name that no other wait took, also of one that came
    early; a tuple for several arguments, None without any. In async code `await` it, elsewhere it
    blocks.

    `kind`: what it is made into, such as a pydantic model. Raises TimeoutError after `timeout`,
    UsageError for a signal of another kind, and what `sleep` raises.
    """
    limit = None if timeout is None else seconds(timeout)
    workflow = calling_workflow()
    if workflow is not None:
        return workflow.wait_signal(name, kind, timeout)
    return _begin(Signal(f"wait_signal({name!r})", name, kind, limit))


def approval(prompt: str, schema: Any = None, *, timeout: Duration | None = None) -> Any:
    """A person's answer: True or False; with `schema` (a pydantic model, a dataclass or a JSON
    schema) the filled-in form, or None where it was rejected. In async code `await` it, elsewhere
    it blocks.

    It is answered with `evercell.answer()`, with `evercell approve` in a shell, or in the widget.
    Raises TimeoutError after `timeout`, and what `sleep` raises.
    """
    limit = None if timeout is None else seconds(timeout)
    form = None if schema is None else msgspec.json.encode(json_schema(schema)).decode()
    workflow = calling_workflow()
    if workflow is not None:
        return workflow.approval(prompt, schema, timeout)
    return _begin(Approval(f"approval({prompt!r})", prompt, schema, form, limit))


# Frames that have ended if the error left them: others may be suspended, and are not ours to end.
_FINISHED = frozenset(it.__code__ for it in (Wait._until_over, Wait._wait, asyncio.wait_for))
