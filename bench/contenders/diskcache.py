"""diskcache: a function's results in SQLite, not synced."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from time import perf_counter
from typing import TYPE_CHECKING

from diskcache import Cache

from bench.contenders import ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def ask(tag: str, number: int) -> str:
    return ANSWER


class Contender:
    """Calls of a memoized function."""

    def __init__(self, folder: Path) -> None:
        self._cache = Cache(str(folder / "diskcache"))
        self._ask = self._cache.memoize()(ask)

    def sequential(self, tag: str, steps: int) -> float:
        """Seconds for `steps` calls."""
        begin = perf_counter()
        for number in range(steps):
            self._ask(tag, number)
        return perf_counter() - begin

    def concurrent(self, tag: str, steps: int, limit: int) -> float:
        """Seconds for `steps` calls on `limit` threads."""
        begin = perf_counter()
        with ThreadPoolExecutor(limit) as pool:
            list(pool.map(lambda number: self._ask(tag, number), range(steps)))
        return perf_counter() - begin

    def close(self) -> None:
        """Close the database."""
        self._cache.close()


class Program:
    """The same calls once more."""

    def __init__(
        self, folder: Path, mark: Callable[[str], None], reached: Callable[[], None]
    ) -> None:
        mark("imports")
        self._ask = Cache(str(folder / "diskcache")).memoize()(ask)
        self._reached = reached
        mark("opened")

    def run(self, steps: int, *, resuming: bool) -> None:
        """Call the function for each step, then the last one."""
        for number in range(steps):
            self._ask("resume", number)
        self._reached()
