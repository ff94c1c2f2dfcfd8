"""What a step's body can ask and say while it runs: who it is, how far it came, what it used.

heartbeat(details) ─ silent since the interval? ─ yes ─> HeartbeatRecorded
                           └ no: the latest is kept ─ at the interval's end ─────┘
"""

from __future__ import annotations

import threading
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from evercell.engine.alarms import call_later
from evercell.engine.control import Canceled
from evercell.errors import NotInKernelError, StepCanceledError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.clock import Clock
    from evercell.engine.control import Control
    from evercell.engine.usage import Usage

__all__ = [
    "AttemptContext",
    "Book",
    "StepInfo",
    "current_attempt",
    "current_step",
    "heartbeat",
    "heartbeat_details",
    "in_step_body",
]

_THROTTLE = 0.8  # of the heartbeat_timeout, as in Temporal
_LONGEST = 1.0  # seconds; Temporal's 30 and 60 spare a server, and this is an append to a file


class Book(Protocol):
    """Where what a body says is kept."""

    recording: bool

    def encode(self, details: tuple[Any, ...]) -> Any:
        """Details as they are at this moment. Raises NotStorableError."""
        ...

    def beat(self, attempt: int, details: Any) -> None:
        """Keep what `encode` gave, without waiting for the disk."""
        ...

    def details(self) -> tuple[Any, ...]:
        """What was kept last, by this attempt or an earlier one."""
        ...

    def usage(self, attempt: int, usage: Usage) -> None:
        """Keep what a model call used."""
        ...


class AttemptContext(msgspec.Struct, eq=False):  # each attempt has one: five times as quick
    """The attempt whose body is running; `reported` once the body told its usage itself."""

    book: Book
    control: Control
    clock: Clock
    run_id: str
    name: str
    attempt: int
    heartbeat_timeout: float | None = None  # seconds
    reported: bool = False
    beat_at: float = 0.0  # monotonic time of the latest sign of life
    _recorded_at: float | None = None
    _pending: Any = None
    _prevent: Callable[[], None] | None = None
    _closed: bool = False
    _lock: threading.Lock = msgspec.field(default_factory=threading.Lock)

    @property
    def activity_id(self) -> str:
        """The step's."""
        return self.control.activity_id

    @property
    def interval(self) -> float:
        """Seconds between two heartbeats that are recorded."""
        if self.heartbeat_timeout is None:
            return _LONGEST
        return min(_THROTTLE * self.heartbeat_timeout, _LONGEST)

    def heartbeat(self, details: tuple[Any, ...]) -> None:
        """A sign of life. Raises StepCanceledError when the body is to end, NotStorableError."""
        encoded = self.book.encode(details)
        now = self.clock.monotonic()
        with self._lock:
            if not self._closed:
                self.beat_at = time.monotonic()
                if self._recorded_at is None or now - self._recorded_at >= self.interval:
                    self._record(encoded)
                else:
                    self._keep(encoded, self._recorded_at + self.interval - now)
        self.check()

    def check(self) -> None:
        """Raise StepCanceledError if the body is to end."""
        order = self.control.order
        if isinstance(order, Canceled):
            raise StepCanceledError(f"step {self.name!r} was cancelled: {order.reason}.")
        if order is not None or self._closed:
            raise StepCanceledError(
                f"attempt {self.attempt} of step {self.name!r} was given up; nobody waits for its "
                "result."
            )

    def flush(self) -> None:
        """Record what was said last, if it is not."""
        with self._lock:
            if self._pending is not None and not self._closed:
                self._record(self._pending)

    def close(self, *, flush: bool) -> None:
        """The attempt is over: its body is not listened to any more. `flush` what it said last, for
        the next attempt."""
        if flush:
            self.flush()
        with self._lock:
            self._closed = True
            self._pending = None
            if self._prevent is not None:
                self._prevent()

    def _keep(self, encoded: Any, wait: float) -> None:
        alarmed = self._pending is not None
        self._pending = encoded
        if not alarmed:
            self._prevent = call_later(wait, self.flush)

    def _record(self, encoded: Any) -> None:
        if self._prevent is not None:
            self._prevent()
            self._prevent = None
        self._pending = None
        self._recorded_at = self.clock.monotonic()
        self.book.beat(self.attempt, encoded)


@dataclass(frozen=True, slots=True)
class StepInfo:
    """The step and the attempt whose body asks."""

    name: str
    run_id: str  # "" where nothing is recorded
    activity_id: str  # stays the same over attempts and restarts
    attempt: int  # from 1
    heartbeat_details: tuple[Any, ...]  # that the latest heartbeat of an earlier attempt recorded
    _context: AttemptContext = field(repr=False)

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this call, over restarts, and for no other call: give it to
        an API that should not do one thing twice."""
        return f"{self.run_id}-{self.activity_id}"

    @property
    def canceled(self) -> bool:
        """Whether the body is to end: it was cancelled, skipped, or given up."""
        try:
            self._context.check()
        except StepCanceledError:
            return True
        return False


current_attempt: ContextVar[AttemptContext | None] = ContextVar("evercell_attempt", default=None)


def in_step_body() -> bool:
    """Whether the calling code is a recorded step's, or was called by it."""
    context = current_attempt.get()
    return context is not None and context.book.recording


def heartbeat(*details: Any) -> None:
    """Say, in a step's body, that it is alive, and how far it came: the next attempt gets `details`
    from `heartbeat_details()`, also after a restart of the kernel.

    Call it as often as you like: about once a second, or every 0.8 of the `heartbeat_timeout` if
    that is shorter, the latest is recorded. Raises StepCanceledError when the step was cancelled or
    given up, NotStorableError for details that can't be recorded, NotInKernelError outside a step.
    """
    _context("heartbeat()").heartbeat(details)


def heartbeat_details() -> tuple[Any, ...]:
    """What the latest recorded heartbeat of an earlier attempt of this step was given; () without
    one. Raises NotInKernelError outside a step, RestoreError, PayloadError."""
    return _context("heartbeat_details()").book.details()


def current_step() -> StepInfo:
    """The step whose body calls this. Raises NotInKernelError outside a step."""
    context = _context("current_step()")
    return StepInfo(
        context.name,
        context.run_id,
        context.activity_id,
        context.attempt,
        context.book.details(),
        context,
    )


def _context(what: str) -> AttemptContext:
    context = current_attempt.get()
    if context is None:
        raise NotInKernelError(
            f"{what} was called outside a step. Call it in the body of an @step function."
        )
    return context
