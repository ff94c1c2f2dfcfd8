"""What the first cell needs, loaded while its author reads or writes it.

    kernel starts ─ answers a frontend ─ begin ─> thread: engine, steps, DuckDB
                                         first cell ─ finish: waits for what is left of that

Half a second that would be the first cell's. All of it is there before the first cell runs: what a
library hooks into the process while it is imported would else count as that cell's doing.
"""

from __future__ import annotations

import atexit
import threading
from contextlib import suppress

from evercell.loading import importing
from evercell.threads import OwnThread

__all__ = ["LoadAhead"]


class LoadAhead:
    """One kernel's. For any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: OwnThread | None = None

    def begin(self) -> None:
        """Load on a thread, once."""
        with self._lock:
            if self._thread is None:
                self._thread = OwnThread(_load, "evercell-ahead")
                # A daemon thread that the end of the process catches inside of DuckDB aborts it.
                atexit.register(self.finish)
                self._thread.start()

    def finish(self) -> None:
        """Return when all is there, if it was begun."""
        thread = self._thread
        if thread is not None:
            thread.join()
            atexit.unregister(self.finish)


def _load() -> None:
    """What fails here fails where it is needed, and is told there. A process that ends meanwhile
    refuses what thread pools register."""
    with suppress(ImportError, RuntimeError):
        with importing:
            from evercell.engine import run, session, step  # noqa: F401, PLC0415 - see above
            from evercell.engine.workflow import where  # noqa: F401, PLC0415
            from evercell.history.database import load  # noqa: PLC0415

            from . import below, hosting  # noqa: F401, PLC0415
        load()
