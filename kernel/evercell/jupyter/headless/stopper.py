"""SIGINT and SIGTERM during a headless run: the first interrupts the cell, the second kills.

    idle --SIGINT--> stopping                         the next cell is not sent
    sent --SIGINT--> stopping, interrupt at its begin  a kernel ignores SIGINT between cells
    running --SIGINT--> interrupted once              the kernel records it, closes, detaches
    stopping --SIGINT--> killed

The kernel has a session of its own, so a terminal's Ctrl-C reaches it through us only.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

    from jupyter_client.manager import AsyncKernelManager

__all__ = ["Stopper"]


class Stopper:
    """Context manager inside a running event loop; outside the main thread it handles nothing."""

    def __init__(self) -> None:
        self.manager: AsyncKernelManager | None = None
        self.signal: int | None = None  # the first that came
        self.killed = False
        self._running = False  # the kernel runs a cell's code
        self._interrupted = False
        self._handled: list[signal.Signals] = []
        self._tasks: set[asyncio.Task[None]] = set()

    def is_stopping(self) -> bool:
        """Whether a signal asked the run to stop."""
        return self.signal is not None

    def cell_began(self) -> None:
        """The kernel said that it runs the cell now."""
        self._running = True
        if self.is_stopping():
            self._interrupt()

    def cell_ended(self) -> None:
        """The kernel replied to the cell's request."""
        self._running = False

    def __enter__(self) -> Stopper:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, self._on_signal, number)
            except (RuntimeError, ValueError):
                break  # not the main thread: signals are somebody else's
            self._handled.append(number)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        loop = asyncio.get_running_loop()
        for number in self._handled:
            loop.remove_signal_handler(number)

    def _on_signal(self, number: int) -> None:
        if self.signal is None:
            self.signal = number
            if self._running:
                self._interrupt()
        elif self.manager is not None:
            self.killed = True
            self._send(signal.SIGKILL)

    def _interrupt(self) -> None:
        if not self._interrupted:
            self._interrupted = True
            self._send(signal.SIGINT)

    def _send(self, number: signal.Signals) -> None:
        if self.manager is not None and self.manager.has_kernel:
            task = asyncio.ensure_future(self.manager.signal_kernel(number))
            self._tasks.add(task)  # the loop keeps weak references only
            task.add_done_callback(self._tasks.discard)
