"""Threads that are Evercell's own: they run nothing of the user's, or nothing of a cell's.

What a cell does is seen partly by audit hooks, which are a process's, not a thread's. What the
journal, the fold or the widget's feeder do at the same moment is not the cell's doing. Neither is
what workflows do: their runs have histories of their own.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OwnThread", "carries_runs", "carry_runs", "is_own"]

_this = threading.local()
_CARRIES_RUNS = "_evercell_carries_runs"


class OwnThread(threading.Thread):
    """A daemon thread that runs nothing of the user's."""

    def __init__(self, target: Callable[[], None], name: str) -> None:
        super().__init__(target=target, name=name, daemon=True)

    def run(self) -> None:
        _this.own = True
        super().run()


def is_own() -> bool:
    """Whether the thread that asks is one of Evercell's own."""
    return getattr(_this, "own", False)


def carry_runs() -> None:
    """What the calling thread runs from here on is workflows' code and that of their steps."""
    setattr(threading.current_thread(), _CARRIES_RUNS, True)


def carries_runs(thread: threading.Thread) -> bool:
    """Whether the thread has said so."""
    return getattr(thread, _CARRIES_RUNS, False)
