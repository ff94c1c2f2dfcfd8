"""What is due when: durable timers and deadlines, in the order of their times."""

from __future__ import annotations

import heapq
import itertools
from typing import Generic, TypeVar

__all__ = ["TimerQueue"]

T = TypeVar("T")


class TimerQueue(Generic[T]):
    """A heap of (time, item); equal times keep the order in which they were put in."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, T]] = []
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, at: int, item: T) -> None:
        """`item` is due at `at`, nanoseconds since the epoch."""
        heapq.heappush(self._heap, (at, next(self._numbers), item))

    @property
    def next(self) -> int | None:
        """When the first item is due."""
        return self._heap[0][0] if self._heap else None

    def due(self, now: int) -> list[T]:
        """Take out what is due, in order."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            found.append(heapq.heappop(self._heap)[2])
        return found
