"""joblib.Memory: a function's results in files, not synced."""

from __future__ import annotations

from time import perf_counter
from typing import TYPE_CHECKING

from joblib import Memory, Parallel, delayed

from bench.contenders import ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def ask(tag: str, number: int) -> str:
    return ANSWER


class Contender:
    """Calls of a cached function."""

    def __init__(self, folder: Path) -> None:
        self._ask = Memory(folder / "joblib", verbose=0).cache(ask)

    def sequential(self, tag: str, steps: int) -> float:
        """Seconds for `steps` calls."""
        begin = perf_counter()
        for number in range(steps):
            self._ask(tag, number)
        return perf_counter() - begin

    def concurrent(self, tag: str, steps: int, limit: int) -> float:
        """Seconds for `steps` calls on `limit` threads."""
        begin = perf_counter()
        Parallel(n_jobs=limit, backend="threading")(
            delayed(self._ask)(tag, number) for number in range(steps)
        )
        return perf_counter() - begin

    def close(self) -> None:
        """Nothing is open."""


class Program:
    """The same calls once more."""

    def __init__(
        self, folder: Path, mark: Callable[[str], None], reached: Callable[[], None]
    ) -> None:
        mark("imports")
        self._ask = Memory(folder / "joblib", verbose=0).cache(ask)
        self._reached = reached
        mark("opened")

    def run(self, steps: int, *, resuming: bool) -> None:
        """Call the function for each step, then the last one."""
        for number in range(steps):
            self._ask("resume", number)
        self._reached()
