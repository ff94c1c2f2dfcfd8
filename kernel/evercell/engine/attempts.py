"""A step's attempts, written once for sync and async code, recorded or not.

    Attempts.run() yields effects:   Admit   -> a place, where the step has limits on them
                                     RunBody -> value or exception
                                     Commit  -> returns when the events are durable
                                     Wait    -> returns after the delay, or when somebody hurries it
    drive / drive_async perform them and return the step's result.

    admit ─ started ─ body ─┬─ value ───────────────────────────────────> completed
                            ├─ error ─ next_attempt ─┬─ Retry ─ wait ─ admit ...
                            │                        └─ GiveUp ─────────> failed
                            └─ an order came (control.py) ──────────────> canceled | skipped

The order is append, then act: the result is durable before the caller sees it, and what the caller
sees is the round-tripped value, so that the first run equals the replay.
"""

from __future__ import annotations

from asyncio import CancelledError
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import msgspec

from evercell.engine.body import (
    UNLIMITED,
    Ended,
    TimeLimits,
    admit,
    admit_async,
    call,
    call_async,
    pause,
    pause_async,
)
from evercell.engine.control import Canceled, Skipped
from evercell.engine.retry import Retry, next_attempt
from evercell.engine.usage import usage_of
from evercell.errors import HistoryWriteError, StepCanceledError, StepTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from evercell.clock import Clock
    from evercell.engine.context import AttemptContext
    from evercell.engine.control import Control, Order
    from evercell.engine.gate import Gate, Ticket
    from evercell.engine.retry import RetryPolicy
    from evercell.errors import TimeoutKind
    from evercell.events import Event, Payload

__all__ = [
    "Admit",
    "Attempts",
    "Commit",
    "Effect",
    "Recorder",
    "RunBody",
    "StepOptions",
    "Wait",
    "drive",
    "drive_async",
]

_SECOND = 1_000_000_000


class StepOptions(msgspec.Struct, frozen=True):
    """How a step's attempts are made; times in seconds."""

    retry: RetryPolicy
    start_to_close_timeout: float | None = None
    schedule_to_close_timeout: float | None = None
    schedule_to_start_timeout: float | None = None
    heartbeat_timeout: float | None = None
    gate: Gate | None = None

    @property
    def limits_attempts(self) -> bool:
        """Whether an attempt has any limit of time."""
        return not (
            self.start_to_close_timeout is None
            and self.schedule_to_close_timeout is None
            and self.heartbeat_timeout is None
        )


class Admit(msgspec.Struct, frozen=True):  # effects are made at each call: five times as quick
    """Wait for a place, at the latest for the limit's seconds."""

    gate: Gate
    priority: int
    limit: tuple[float, TimeoutKind] | None


class RunBody(msgspec.Struct, frozen=True):
    """Call the user's function within limits, with this attempt as context."""

    context: AttemptContext
    limits: TimeLimits


class Commit(msgspec.Struct, frozen=True):
    """Make the events durable."""

    events: tuple[Event, ...]


class Wait(msgspec.Struct, frozen=True):
    """Let `seconds` pass."""

    seconds: float


Effect = Admit | RunBody | Commit | Wait


class Recorder(Protocol):
    """What becomes of what happens: events (recorder.py), or nothing (plain.py)."""

    clock: Clock
    first: int  # number of the first attempt that is made now

    def open(self, control: Control) -> None:
        """The call begins; commands may come."""
        ...

    def close(self, control: Control) -> None:
        """The call is over."""
        ...

    def context(
        self, control: Control, attempt: int, heartbeat_timeout: float | None
    ) -> AttemptContext:
        """What the body of an attempt sees."""
        ...

    def started(self, attempt: int) -> Commit | None:
        """An attempt begins; what has to be durable before its body runs."""
        ...

    def not_begun(self, attempt: int, why: BaseException) -> None:
        """What had to be durable is not, or nobody waited for it: the body was not run."""
        ...

    def completed(self, attempt: int, value: object, duration: int) -> Generator[Effect, Any, Any]:
        """The body returned; what the caller gets. Raises NotStorableError."""
        ...

    def skipped(self, attempt: int, result: Payload) -> Any:
        """Somebody gave the result, which is recorded; what the caller gets."""
        ...

    def retried(self, attempt: int, error: Exception, delay: float) -> None:
        """An attempt failed, and another follows after `delay` seconds."""
        ...

    def failed(
        self, attempt: int, error: Exception, reason: str, duration: int
    ) -> Generator[Effect, Any, BaseException]:
        """The step failed for good; what the caller gets."""
        ...

    def canceled(self, attempt: int, reason: str) -> None:
        """The attempt was cancelled or interrupted."""
        ...


class _Done(msgspec.Struct, frozen=True):
    value: Any


class Attempts(msgspec.Struct):
    """The life of one durable call whose body has to run."""

    name: str
    recorder: Recorder
    options: StepOptions
    control: Control
    priority: int = 0
    entered: bool = False  # the latest attempt's body was called
    begun: float = 0.0

    def run(self, ended: Ended | None = None) -> Generator[Effect, Any, Any]:
        """Yield effects until the step has a result; return it or raise its final error. `ended`:
        how the body of the first attempt did, which has run already."""
        __tracebackhide__ = True
        recorder, control = self.recorder, self.control
        if ended is None:
            self.begun = recorder.clock.monotonic()
            recorder.open(control)
        try:
            tried = 0
            while True:
                control.attempt = recorder.first + tried
                tried += 1
                if ended is None:
                    ended = yield from self._attempt(control.attempt)
                outcome = yield from self._settle(ended, tried)
                if isinstance(outcome, _Done):
                    return outcome.value
                ended = None
                yield Wait(outcome.delay)
                if control.order is not None:
                    return self._obey(control.attempt, control.order)
        finally:
            control.close()
            recorder.close(control)

    def _attempt(self, attempt: int) -> Generator[Effect, Any, Ended]:
        __tracebackhide__ = True
        recorder, control = self.recorder, self.control
        options, monotonic = self.options, recorder.clock.monotonic
        ticket = None if options.gate is None else (yield from self._admit(options.gate, attempt))
        context = recorder.context(control, attempt, options.heartbeat_timeout)
        value, raised = None, None
        self.entered = False
        try:
            if (begun := recorder.started(attempt)) is not None:
                try:
                    yield begun
                except (HistoryWriteError, KeyboardInterrupt, CancelledError) as why:
                    recorder.not_begun(attempt, why)
                    raise
            begin = monotonic()
            self.entered = True
            try:
                value = yield RunBody(context, self._limits())
            except Exception as error:  # noqa: BLE001 - whatever it is, it is recorded
                raised = error
            except BaseException as stop:
                self.stopped(context, stop)
                raise
            context.close(flush=raised is not None)
        finally:
            if ticket is not None and options.gate is not None:
                options.gate.leave(ticket)
        return Ended(context, int((monotonic() - begin) * _SECOND), value, raised)

    def _settle(self, ended: Ended, tried: int) -> Generator[Effect, Any, _Done | Retry]:
        """What follows the body's end."""
        __tracebackhide__ = True
        recorder, control, context = self.recorder, self.control, ended.context
        attempt = context.attempt
        if ended.raised is not None:
            return (yield from self._after(ended.raised, attempt, tried, ended.duration))
        if isinstance(order := control.close(), Skipped):
            return _Done(recorder.skipped(attempt, order.result))
        if not context.reported and (usage := usage_of(ended.value)):
            context.book.usage(attempt, usage)
        return _Done((yield from recorder.completed(attempt, ended.take(), ended.duration)))

    def _limits(self) -> TimeLimits:
        options = self.options
        if not options.limits_attempts:
            return UNLIMITED
        return TimeLimits(
            options.start_to_close_timeout, self._remaining(), options.heartbeat_timeout
        )

    def stopped(self, context: AttemptContext, stop: BaseException) -> None:
        """The body was cancelled or interrupted from outside."""
        context.close(flush=True)
        if isinstance(order := self.control.close(), Skipped):
            self.recorder.skipped(context.attempt, order.result)
        else:
            self.recorder.canceled(context.attempt, type(stop).__name__)

    def _admit(self, gate: Gate, attempt: int) -> Generator[Effect, Any, Ticket]:
        try:
            ticket: Ticket = yield Admit(gate, self.priority, self._start_limit())
        except StepTimeoutError as error:
            if (begun := self.recorder.started(attempt)) is not None:
                yield begun
            yield from self._give_up(error, attempt, f"{error.kind}_timeout", 0)
        return ticket

    def _after(
        self, error: Exception, attempt: int, tried: int, duration: int
    ) -> Generator[Effect, Any, _Done | Retry]:
        """What follows an attempt that raised."""
        __tracebackhide__ = True
        if self.control.order is not None:
            return _Done(self._obey(attempt, self.control.order))
        decision = next_attempt(self.options.retry, tried, error, remaining=self._remaining())
        if isinstance(decision, Retry):
            self.recorder.retried(attempt, error, decision.delay)
            return decision
        if (order := self.control.close()) is not None:
            return _Done(self._obey(attempt, order))
        return (yield from self._give_up(error, attempt, decision.reason, duration))

    def _give_up(
        self, error: Exception, attempt: int, reason: str, duration: int
    ) -> Generator[Effect, Any, NoReturn]:
        __tracebackhide__ = True
        raised = yield from self.recorder.failed(attempt, error, reason, duration)
        if raised is error:
            raise error
        raise raised from error

    def _obey(self, attempt: int, order: Order) -> Any:
        __tracebackhide__ = True
        self.control.close()
        match order:
            case Skipped(result):
                return self.recorder.skipped(attempt, result)
            case Canceled(reason):
                self.recorder.canceled(attempt, reason)
                raise StepCanceledError(f"step {self.name!r} was cancelled: {reason}.")

    def _remaining(self) -> float | None:
        """Seconds that are left of the schedule_to_close_timeout."""
        limit = self.options.schedule_to_close_timeout
        if limit is None:
            return None
        return limit - (self.recorder.clock.monotonic() - self.begun)

    def _start_limit(self) -> tuple[float, TimeoutKind] | None:
        limits: list[tuple[float, TimeoutKind]] = []
        if self.options.schedule_to_start_timeout is not None:
            limits.append((self.options.schedule_to_start_timeout, "schedule_to_start"))
        if (remaining := self._remaining()) is not None:
            limits.append((max(0.0, remaining), "schedule_to_close"))
        return min(limits, default=None)


def drive(
    attempts: Attempts,
    body: Callable[[], Any],
    commit: Callable[..., None],
    ended: Ended | None = None,
) -> Any:
    """Perform a sync step's effects on the calling thread; `ended` as in `Attempts.run`."""
    __tracebackhide__ = True
    control, clock = attempts.control, attempts.recorder.clock
    steps = attempts.run(ended)
    try:
        effect = next(steps)
        while True:
            done = None
            try:
                match effect:
                    case RunBody(context, limits):
                        done = call(body, limits, context)
                    case Commit(events):
                        commit(*events)
                    case Wait(seconds):
                        pause(control, clock, seconds)
                    case Admit(gate, priority, limit):
                        done = admit(gate, priority, limit, control)
            except BaseException as error:  # noqa: BLE001 - handed on, not swallowed
                effect = steps.throw(error)
            else:
                effect = steps.send(done)
    except StopIteration as stop:
        return stop.value


async def drive_async(
    attempts: Attempts,
    body: Callable[[], Awaitable[Any]],
    commit: Callable[..., Awaitable[None]],
    ended: Ended | None = None,
) -> Any:
    """Perform an async step's effects on the running event loop; `ended` as in `Attempts.run`."""
    __tracebackhide__ = True
    control, clock = attempts.control, attempts.recorder.clock
    steps = attempts.run(ended)
    try:
        effect = next(steps)
        while True:
            done = None
            try:
                match effect:
                    case RunBody(context, limits):
                        done = await call_async(body, limits, context)
                    case Commit(events):
                        await commit(*events)
                    case Wait(seconds):
                        await pause_async(control, clock, seconds)
                    case Admit(gate, priority, limit):
                        done = await admit_async(gate, priority, limit, control)
            except BaseException as error:  # noqa: BLE001 - handed on, not swallowed
                effect = steps.throw(error)
            else:
                effect = steps.send(done)
    except StopIteration as stop:
        return stop.value
