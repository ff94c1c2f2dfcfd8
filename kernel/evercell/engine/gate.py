"""How many calls of a step run at a time, and how many begin in a time.

    enter ─ ticket in the queue ─ a place is free, and the rate allows ─ admitted ─ body ─ leave

One gate per function for the whole process. The queue is by priority, then first come, first
served. A rate of n in t seconds holds for every span of t seconds: a call waits until the n-th
call before it is t seconds old.
"""

from __future__ import annotations

import heapq
import itertools
import re
import threading
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evercell.clock import SystemClock
from evercell.engine.alarms import call_later
from evercell.engine.durations import Duration, seconds
from evercell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.clock import Clock

__all__ = ["Gate", "Rate", "RateLimit", "Ticket", "gate_for", "rate"]

RateLimit = float | int | str | tuple[int, Duration]

_TEXT = re.compile(r"\s*(\d+)\s*/\s*(\d*(?:\.\d+)?)\s*(ms|s|m|h|d)\s*")


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `calls` begin in any `seconds`."""

    calls: int
    seconds: float


def rate(value: RateLimit) -> Rate:
    """What a `rate_limit` means: a number of calls per second (also 0.5), text such as "60/m" or
    "5/10s", or (calls, duration). Raises UsageError."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], int):
        found = Rate(value[0], seconds(value[1]))
    elif isinstance(value, str):
        parts = _TEXT.fullmatch(value)
        if parts is None:
            raise UsageError(
                f"{value!r} is no rate. Write calls per time: '10/s', '60/m', '5/10s'."
            )
        found = Rate(int(parts[1]), seconds(f"{parts[2] or 1}{parts[3]}"))
    elif isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UsageError(
            f"{value!r} is no rate. Give calls per second, text such as '60/m', or (calls, time)."
        )
    elif value >= 1 and value == int(value):
        found = Rate(int(value), 1.0)
    else:
        found = Rate(1, 1 / value)
    if found.calls < 1 or found.seconds <= 0:
        raise UsageError(f"{value!r} is no rate: it would let nothing through.")
    return found


@dataclass(slots=True, order=True)
class Ticket:
    """A call's place in the queue; `admit` is called once, from any thread."""

    priority: int
    number: int
    admit: Callable[[], None] = field(compare=False)
    state: str = field(default="waiting", compare=False)  # "admitted", "gone"


class Gate:
    """Safe to use from any thread; `clock` only measures."""

    def __init__(
        self, max_concurrent: int | None, limit: Rate | None, clock: Clock | None = None
    ) -> None:
        self.max_concurrent = max_concurrent
        self.rate = limit
        self._clock = clock or SystemClock()
        self._queue: list[Ticket] = []
        self._numbers = itertools.count()
        self._running = 0
        self._begun: deque[float] = deque(maxlen=limit.calls if limit else 0)
        self._alarmed = False
        self._lock = threading.Lock()

    def enter(self, priority: int, admit: Callable[[], None]) -> Ticket:
        """Queue up; `admit` is called when the call may begin, perhaps at once."""
        with self._lock:
            ticket = Ticket(priority, next(self._numbers), admit)
            heapq.heappush(self._queue, ticket)
        self.pump()
        return ticket

    def leave(self, ticket: Ticket) -> None:
        """Give the place, or the place in the queue, to the next; twice is harmless."""
        with self._lock:
            if ticket.state == "admitted":
                self._running -= 1
            ticket.state = "gone"
        self.pump()

    def pump(self) -> None:
        """Admit whoever may begin now."""
        admitted: list[Ticket] = []
        with self._lock:
            while self._queue and self._has_place():
                if self._queue[0].state == "gone":
                    heapq.heappop(self._queue)
                    continue
                if (wait := self._until_next()) > 0:
                    self._alarm(wait)
                    break
                ticket = heapq.heappop(self._queue)
                ticket.state = "admitted"
                self._running += 1
                self._begun.append(self._clock.monotonic())
                admitted.append(ticket)
        for ticket in admitted:
            ticket.admit()

    def _has_place(self) -> bool:
        return self.max_concurrent is None or self._running < self.max_concurrent

    def _until_next(self) -> float:
        if self.rate is None or len(self._begun) < self.rate.calls:
            return 0.0
        return self._begun[0] + self.rate.seconds - self._clock.monotonic()

    def _alarm(self, wait: float) -> None:
        if not self._alarmed:
            self._alarmed = True
            call_later(wait, self._on_alarm)

    def _on_alarm(self) -> None:
        with self._lock:
            self._alarmed = False
        self.pump()


_gates: dict[str, Gate] = {}
_gates_lock = threading.Lock()


def gate_for(name: str, max_concurrent: int | None, limit: Rate | None) -> Gate | None:
    """The gate of the function with this qualified name: one for all its definitions, as long as
    they set the same limits. None without limits."""
    if max_concurrent is None and limit is None:
        return None
    with _gates_lock:
        known = _gates.get(name)
        if known is None or (known.max_concurrent, known.rate) != (max_concurrent, limit):
            known = _gates[name] = Gate(max_concurrent, limit)
        return known
