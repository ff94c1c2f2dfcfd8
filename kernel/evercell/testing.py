"""For tests of code that uses Evercell: time that the test moves, workflows without a notebook."""

from __future__ import annotations

import threading

from evercell.engine.workflow.environment import WorkflowEnvironment
from evercell.engine.workflow.replaying import Replayed, Replayer

__all__ = ["ManualClock", "Replayed", "Replayer", "WorkflowEnvironment"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class ManualClock:
    """A `Clock` that stands still until it is moved; sleeping moves it, and takes no real time.

    Ids count up, so that a test's history is the same each time.
    """

    def __init__(self, now: int = 1_767_225_600_000_000_000) -> None:
        """`now`: nanoseconds since the epoch; 2026-01-01 00:00 UTC by default."""
        self._now = now
        self._monotonic = 0.0
        self._ids = 0
        self._lock = threading.Lock()
        self.slept: list[float] = []  # seconds, in order

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def new_id(self, length: int = 10) -> str:
        with self._lock:
            self._ids += 1
            number, digits = self._ids, ""
        while number:
            number, digit = divmod(number, len(_ALPHABET))
            digits = _ALPHABET[digit] + digits
        return digits.rjust(length, "0")

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; a negative number jumps the wall clock back, as NTP may do."""
        with self._lock:
            self._now += int(seconds * 1_000_000_000)
            self._monotonic += max(0.0, seconds)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        if seconds is None:
            return event.wait()
        if not event.is_set():
            self.sleep(seconds)
        return event.is_set()

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)
