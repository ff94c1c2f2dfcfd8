"""The fold in the background: a thread that DuckDB can't be caught in at the process's end."""

from __future__ import annotations

import atexit
import threading
import time
from typing import TYPE_CHECKING

from evercell.threads import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Folding"]

_GUESS = 0.1  # seconds that the first fold will take


class Folding:
    """Calls `fold` until `stop` or the process's end: as seldom as what it did can be `age` seconds
    old before the next time is through, but with at least twice that time between them."""

    def __init__(self, fold: Callable[[], None], age: float) -> None:
        self._fold = fold
        self._age = age
        self._stopping = threading.Event()
        self._thread = OwnThread(self._work, "evercell-fold")
        # CPython ends a daemon thread where it next takes the GIL. Inside of DuckDB that unwinds
        # C++ frames, which abort the process: "exception not rethrown".
        atexit.register(self.stop)
        self._thread.start()

    def stop(self) -> None:
        """Return when the thread has ended: at once, or with the fold that is under way."""
        atexit.unregister(self.stop)
        self._stopping.set()
        self._thread.join()

    def _work(self) -> None:
        took = min(_GUESS, self._age)
        while not self._stopping.wait(max(self._age - 2 * took, 2 * took)):
            begin = time.monotonic()
            self._fold()
            took = max(time.monotonic() - begin, took / 2)  # nothing to do is quick
