"""Who carries the runs on: one thread at a time.

Mostly it is the worker's. A thread that has just recorded the end of a step, while no other step is
under way, may do it itself: waking the worker's and being woken by it would take longer than all
that the run's code does until its next step begins, which is on that thread again.
"""

from __future__ import annotations

import sys
import threading
from contextvars import Context
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Turn"]


class Turn:
    """The right to carry runs on. All do it in one context, which no thread's own shows through."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context = Context()

    def take(self, work: Callable[[], None]) -> None:
        """Do `work` in one's turn, after waiting for it."""
        with self._lock:
            self._context.run(work)

    def take_if_free(self, work: Callable[[], None]) -> bool:
        """Do `work`, unless another thread has its turn: False."""
        if not self._lock.acquire(blocking=False):
            return False
        hooks = sys.get_asyncgen_hooks()
        try:
            if hooks.firstiter is not None:  # of the thread's loop, which is not the runs'
                sys.set_asyncgen_hooks(None, None)
            self._context.run(work)
        finally:
            if hooks.firstiter is not None:
                sys.set_asyncgen_hooks(*hooks)
            self._lock.release()
        return True
