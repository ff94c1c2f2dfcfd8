"""The fold in the background: a thread that DuckDB can't be caught in at the process's end."""

from __future__ import annotations

import atexit
import threading
from typing import TYPE_CHECKING

from evercell.threads import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Folding"]


class Folding:
    """Calls `fold` every `interval` seconds, until `stop` or the process's end."""

    def __init__(self, fold: Callable[[], None], interval: float) -> None:
        self._fold = fold
        self._interval = interval
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
        while not self._stopping.wait(self._interval):
            self._fold()
