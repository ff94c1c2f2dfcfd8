"""Performing what a step's generator asks for, on a thread or on an event loop: its body within its
time limits, waits, a place in the queue; each of them ends at once when an order comes.

An async body runs in its caller's task, and is cancelled there when it is to end. A sync body runs
on the calling thread; one with a time limit on a thread of its own, which Python can't stop: when
it is given up its result is dropped, and it ends by itself, at the latest at its next heartbeat.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from time import monotonic
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.engine.context import AttemptContext, current_attempt, current_step
from evercell.engine.interceptors import around_step, has_interceptors
from evercell.errors import StepTimeoutError
from evercell.threads import carries_runs, carry_runs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from contextvars import Token
    from types import TracebackType

    from evercell.clock import Clock
    from evercell.engine.control import Control
    from evercell.engine.gate import Gate, Ticket
    from evercell.errors import TimeoutKind

__all__ = [
    "UNLIMITED",
    "Ended",
    "Interrupted",
    "Interruptible",
    "TimeLimits",
    "admit",
    "admit_async",
    "call",
    "call_async",
    "pause",
    "pause_async",
]


class Interrupted(Exception):  # noqa: N818 - not an error: an order ended the body
    """The body ended, or was left alone, because of an order."""


class TimeLimits(msgspec.Struct, frozen=True):
    """An attempt's time limits in seconds from its start; `heartbeat` from its latest one."""

    start_to_close: float | None = None
    schedule_to_close: float | None = None  # what is left of it
    heartbeat: float | None = None

    def next_due(self, begun: float, beat: float) -> tuple[float, TimeoutKind] | None:
        """The monotonic time of the limit that comes first, and which it is."""
        due: list[tuple[float, TimeoutKind]] = []
        if self.start_to_close is not None:
            due.append((begun + self.start_to_close, "start_to_close"))
        if self.schedule_to_close is not None:
            due.append((begun + self.schedule_to_close, "schedule_to_close"))
        if self.heartbeat is not None:
            due.append((max(begun, beat) + self.heartbeat, "heartbeat"))
        return min(due, default=None)

    def exceeded(self, kind: TimeoutKind) -> StepTimeoutError:
        """The error of an attempt that came to a limit."""
        if kind == "heartbeat":
            return StepTimeoutError(
                f"the attempt gave no heartbeat for heartbeat_timeout={self.heartbeat:g}s and was "
                "given up. Call evercell.heartbeat() more often, or raise the timeout.",
                kind,
            )
        if kind == "schedule_to_close":
            return StepTimeoutError(
                "the step was given up at its schedule_to_close_timeout, which covers all of its "
                "attempts and waits. Raise it, or make the body quicker.",
                kind,
            )
        return StepTimeoutError(
            f"the attempt took longer than start_to_close_timeout={self.start_to_close:g}s and was "
            "given up. Raise the timeout, or make the body quicker.",
            kind,
        )


UNLIMITED = TimeLimits()


class Ended(msgspec.Struct):
    """How the body of an attempt ended."""

    context: AttemptContext
    duration: int  # nanoseconds
    value: Any
    raised: Exception | None

    def take(self) -> Any:
        """The value, which is no longer held here: once it is stored, it may take a gigabyte."""
        value, self.value = self.value, None
        return value


def queued_too_long(kind: TimeoutKind) -> StepTimeoutError:
    """The error of a call that did not get a place in time."""
    return StepTimeoutError(
        f"the call waited for a place longer than {kind}_timeout allows: max_concurrent or "
        "rate_limit let no more through. Raise one of them.",
        kind,
    )


class _Attempt:
    """The time of a body: the attempt is current, the interceptors are around it. A class, for each
    step comes through here, and a generator costs several times as much."""

    __slots__ = ("_around", "_context", "_token")

    def __init__(self, context: AttemptContext) -> None:
        self._context = context
        self._around: AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        self._token: Token[AttemptContext | None] = current_attempt.set(self._context)
        if has_interceptors():
            try:
                self._around = around_step(current_step())
                self._around.__enter__()
            except BaseException:
                current_attempt.reset(self._token)
                raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        try:
            return None if self._around is None else self._around.__exit__(kind, error, trace)
        finally:
            current_attempt.reset(self._token)


# -- on a thread ----------------------------------------------------------------------------------


def call(body: Callable[[], Any], limits: TimeLimits, context: AttemptContext) -> Any:
    """Run `body` within `limits`. Raises StepTimeoutError, Interrupted."""
    __tracebackhide__ = True
    with _Attempt(context):
        if limits is UNLIMITED:
            return body()
        return _supervise(body, limits, context)


def _supervise(body: Callable[[], Any], limits: TimeLimits, context: AttemptContext) -> Any:
    __tracebackhide__ = True
    outcome: Future[Any] = Future()
    variables = copy_context()
    wake = threading.Event()
    of_run = carries_runs(threading.current_thread())

    def work() -> None:
        if of_run:
            carry_runs()
        try:
            outcome.set_result(variables.run(body))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller
            outcome.set_exception(error)
        wake.set()

    begun = monotonic()
    with context.control.listening(wake.set):
        threading.Thread(target=work, name="evercell-step", daemon=True).start()
        while True:
            due, kind = limits.next_due(begun, context.beat_at) or (0.0, "start_to_close")
            wake.wait(max(0.0, due - monotonic()))
            if outcome.done():
                return outcome.result()
            if context.control.order is not None:
                raise Interrupted
            if limits.next_due(begun, context.beat_at) == (due, kind) and monotonic() >= due:
                raise limits.exceeded(kind)


def pause(control: Control, clock: Clock, seconds: float) -> None:
    """Let `seconds` pass, unless an order comes."""
    wake = threading.Event()
    with control.listening(wake.set, backoff=True):
        clock.wait(wake, seconds)


def admit(
    gate: Gate, priority: int, limit: tuple[float, TimeoutKind] | None, control: Control
) -> Ticket:
    """A place, at the latest after the limit's seconds. Raises StepTimeoutError, Interrupted."""
    wake, place = threading.Event(), threading.Event()

    def admitted() -> None:
        place.set()
        wake.set()

    ticket = gate.enter(priority, admitted)
    try:
        with control.listening(wake.set):
            wake.wait(None if limit is None else limit[0])
    except BaseException:
        gate.leave(ticket)
        raise
    if place.is_set():
        return ticket
    gate.leave(ticket)
    if control.order is not None or limit is None:
        raise Interrupted
    raise queued_too_long(limit[1])


# -- on an event loop -----------------------------------------------------------------------------


class Interruptible:
    """A block in the caller's task that `expire`, or an order, ends with TimeoutError; `expired`
    tells. It is `asyncio.timeout`, which each step would need anew, without its timer."""

    __slots__ = ("_backoff", "_before", "_control", "_ending", "_loop", "_open", "_task", "expired")

    def __init__(self, control: Control, *, backoff: bool = False) -> None:
        self._control = control
        self._backoff = backoff
        self._open = self._ending = False
        self.expired = False

    def __enter__(self) -> Interruptible:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task(self._loop)
        assert task is not None  # noqa: S101 - steps are driven by tasks
        self._task = task
        self._before = task.cancelling()
        self._open = True
        self._control.listen(self._wake, backoff=self._backoff)
        return self

    def _wake(self) -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            self._loop.call_soon_threadsafe(self.expire)

    def expire(self) -> None:
        """End the block soon; on the loop's thread."""
        if self._open and not self._ending:
            self._ending = True
            self._loop.call_soon(self._end)  # later: a task can't be cancelled while it runs

    def _end(self) -> None:
        if self._open:
            self.expired = True
            self._task.cancel()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open = False
        self._control.unlisten()
        # Who else cancelled the task meanwhile wins.
        alone = self.expired and self._task.uncancel() <= self._before
        if alone and isinstance(error, asyncio.CancelledError):
            raise TimeoutError from error


async def call_async(
    body: Callable[[], Awaitable[Any]], limits: TimeLimits, context: AttemptContext
) -> Any:
    """Await `body()` within `limits`. Raises StepTimeoutError, Interrupted."""
    __tracebackhide__ = True
    block = Interruptible(context.control)
    watch = None if limits is UNLIMITED else _Watch(limits, context, block)
    with _Attempt(context):
        try:
            with block:
                if watch is None:
                    return await body()
                with watch:
                    return await body()
        except TimeoutError as error:
            if not block.expired:  # the body's own
                raise
            if context.control.order is not None or watch is None or watch.exceeded is None:
                raise Interrupted from error
            raise limits.exceeded(watch.exceeded) from error


class _Watch:
    """Expires a block at the first of its time limits; a heartbeat costs nothing."""

    __slots__ = ("_begun", "_block", "_context", "_handle", "_limits", "exceeded")

    def __init__(self, limits: TimeLimits, context: AttemptContext, block: Interruptible) -> None:
        self._limits = limits
        self._context = context
        self._block = block
        self._handle: asyncio.TimerHandle | None = None
        self.exceeded: TimeoutKind | None = None

    def __enter__(self) -> None:
        self._begun = monotonic()
        self._look()

    def _look(self) -> None:
        due = self._limits.next_due(self._begun, self._context.beat_at)
        assert due is not None  # noqa: S101 - there are limits
        left = due[0] - monotonic()
        if left > 0:
            self._handle = asyncio.get_running_loop().call_later(left, self._look)
        else:
            self.exceeded = due[1]
            self._block.expire()

    def __exit__(self, *_: object) -> None:
        if self._handle is not None:
            self._handle.cancel()


async def pause_async(control: Control, clock: Clock, seconds: float) -> None:
    """Let `seconds` pass, unless an order comes."""
    block = Interruptible(control, backoff=True)
    try:
        with block:
            await clock.sleep_async(seconds)
    except TimeoutError:
        if not block.expired:
            raise


async def admit_async(
    gate: Gate, priority: int, limit: tuple[float, TimeoutKind] | None, control: Control
) -> Ticket:
    """A place, at the latest after the limit's seconds. Raises StepTimeoutError, Interrupted."""
    loop = asyncio.get_running_loop()
    place: asyncio.Future[None] = loop.create_future()

    def settle() -> None:
        if not place.done():
            place.set_result(None)

    def admitted() -> None:
        with suppress(RuntimeError):  # the loop was closed: nobody waits there any more
            loop.call_soon_threadsafe(settle)

    ticket: Ticket = gate.enter(priority, admitted)
    block = Interruptible(control)
    try:
        with block:
            async with asyncio.timeout(None if limit is None else limit[0]):
                await place
    except TimeoutError as error:
        if ticket.state == "admitted" and not block.expired:
            return ticket  # the loop was busy for longer than the limit; the place was not
        gate.leave(ticket)
        if block.expired or limit is None:
            raise Interrupted from error
        raise queued_too_long(limit[1]) from error
    except BaseException:
        gate.leave(ticket)
        raise
    return ticket
