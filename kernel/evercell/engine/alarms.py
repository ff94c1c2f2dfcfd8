"""Calls after a while, for many who wait, on one thread that sleeps until the next is due."""

from __future__ import annotations

import heapq
import itertools
import os
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evercell.threads import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["call_later"]


@dataclass(slots=True, order=True)
class _Alarm:
    due: float
    number: int
    call: Callable[[], None] | None = field(compare=False)  # None: prevented


class _Alarms:
    def __init__(self) -> None:
        self._heap: list[_Alarm] = []
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, seconds: float, call: Callable[[], None]) -> _Alarm:
        alarm = _Alarm(time.monotonic() + seconds, next(self._numbers), call)
        with self._changed:
            heapq.heappush(self._heap, alarm)
            if self._thread is None:
                self._thread = OwnThread(self._run, "evercell-alarms")
                self._thread.start()
            elif self._heap[0] is alarm:
                self._changed.notify()
        return alarm

    def _run(self) -> None:
        while True:
            call = self._next()
            if call is not None:
                call()

    def _next(self) -> Callable[[], None] | None:
        with self._changed:
            while not self._heap or self._heap[0].due > time.monotonic():
                left = self._heap[0].due - time.monotonic() if self._heap else None
                self._changed.wait(left if left is None else max(0.0, left))
            return heapq.heappop(self._heap).call


_alarms = _Alarms()


def call_later(seconds: float, call: Callable[[], None]) -> Callable[[], None]:
    """Have `call` called after `seconds`, on a thread that all alarms share: it must be quick and
    not raise. Returns what prevents it."""
    alarm = _alarms.add(seconds, call)

    def prevent() -> None:
        alarm.call = None

    return prevent


def _forget() -> None:
    global _alarms  # noqa: PLW0603 - a forked child has no thread of its parent's
    _alarms = _Alarms()


os.register_at_fork(after_in_child=_forget)
