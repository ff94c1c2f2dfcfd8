"""Workflows without a notebook and without waiting: for tests of them.

    with WorkflowEnvironment() as env:
        handle = research.start("llamas")
        env.sleep("1h")                      # no real time
        handle.signal("approve", True)
        assert handle.result() == ...        # timers fire as soon as nothing else is under way

As in Temporal's time-skipping environment, time stands still until somebody waits for a result or
sleeps.
"""

from __future__ import annotations

import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.clock import SystemClock
from evercell.engine.durations import Duration, seconds
from evercell.engine.run import RunRequest, open_run
from evercell.engine.workflow.definition import DEFINED
from evercell.engine.workflow.holder import hold_worker
from evercell.engine.workflow.registry import HostRun
from evercell.engine.workflow.worker import WorkflowWorker
from evercell.history import History

if TYPE_CHECKING:
    from evercell.clock import Clock
    from evercell.engine.run import Run

__all__ = ["WorkflowEnvironment"]

_SECOND = 1_000_000_000


class WorkflowEnvironment:
    """A history and a worker. `folder` keeps the history, a temporary one by default; `clock` is
    moved by the environment if it is an `evercell.testing.ManualClock` (the default), and left
    alone if it is the system's."""

    def __init__(
        self,
        folder: Path | None = None,
        *,
        clock: Clock | None = None,
        live: dict[str, Any] | None = None,
    ) -> None:
        from evercell.testing import ManualClock  # noqa: PLC0415 - it offers this class

        self.clock: Any = ManualClock() if clock is None else clock
        self._skips = not isinstance(self.clock, SystemClock)
        self._temporary = tempfile.TemporaryDirectory() if folder is None else None
        self.folder = Path(self._temporary.name) if self._temporary is not None else folder
        self._live = {} if live is None else live
        self._target: int | None = None
        self._arrived = threading.Event()
        self._open()

    def __enter__(self) -> WorkflowEnvironment:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop; open runs stay open in the history."""
        self._close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def restart(self, *, define: bool = True) -> None:
        """End this process's hold and take it up again, as a kernel that is restarted does: each
        open run is replayed. `define`: with the workflows that are defined now."""
        self._close()
        self._open()
        if define:
            for definition in list(DEFINED.values()):
                self.worker.define(definition)

    def sleep(self, duration: Duration) -> None:
        """Let time pass, with all that falls due, until nothing is under way."""
        self._arrived.clear()

        def aim() -> None:
            self._target = self.clock.now() + int(seconds(duration) * _SECOND)

        self.worker.call(aim)
        self._arrived.wait()

    def _open(self) -> None:
        assert self.folder is not None  # noqa: S101 - see __init__
        self.history = History(self.folder)
        self._run: Run = open_run(self.history, RunRequest("/test.ipynb", {}, None))
        host = HostRun(
            self._run.run_id, self._run.lock.generation, 0, "localhost", None, "/test.ipynb"
        )
        self.worker = WorkflowWorker(
            self.history,
            host,
            self._live,
            clock=self.clock,
            idle=self._idle if self._skips else None,
        )
        hold_worker(lambda: self.worker)

    def _close(self) -> None:
        hold_worker(None)
        self.worker.close()
        self._run.detach()
        self.history.close()

    def _idle(self, at: int | None) -> bool:
        """Move the clock to what comes next; False where it has to stand. On the worker's
        thread."""
        if self._target is not None:
            to = self._target if at is None else min(at, self._target)
            self._advance(to)
            if to == self._target:
                self._target = None
                self._arrived.set()
            return True
        if at is None or not self.worker.awaited:
            return False
        self._advance(at)
        return True

    def _advance(self, to: int) -> None:
        self.clock.advance(max(0, to - self.clock.now()) / _SECOND)
        while self.clock.now() < to:  # floats: a few nanoseconds may be missing
            self.clock.advance(1e-9 * (to - self.clock.now() + 1))
