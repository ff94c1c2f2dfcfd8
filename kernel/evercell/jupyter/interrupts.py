"""Ctrl-C, aimed at the user's code only.

    engine decides | user's cell runs | engine records     SIGINT while ...
    ----- held ----|---- as usual ----|----- held -----

ipykernel installs a SIGINT handler that raises KeyboardInterrupt wherever the main thread is. In
the engine's own work that would lose a record, and between two steps of the event loop it would
end the kernel. So the engine's part holds an interrupt back; it is answered at the next safe
place. A second one, while the engine computes, breaks that off.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["HeldInterrupts", "cancel_on_sigint"]


class HeldInterrupts:
    """A context in which SIGINT is remembered instead of raised; `released` inside it lets the
    user's code have it. Does nothing outside of the main thread, where signals don't arrive."""

    def __init__(self) -> None:
        self._pending = False
        self._outer: Any = None
        self._task: asyncio.Task[Any] | None = None

    def __enter__(self) -> HeldInterrupts:
        if threading.current_thread() is threading.main_thread():
            self._task = asyncio.current_task()
            self._outer = signal.signal(signal.SIGINT, self._hold)
        return self

    def __exit__(self, *_: object) -> None:
        if self._outer is not None:
            signal.signal(signal.SIGINT, self._outer)
            self._outer = None

    @contextmanager
    def released(self) -> Iterator[None]:
        """User code runs in here: interrupts arrive as ipykernel has it."""
        if self._outer is None:
            yield
            return
        signal.signal(signal.SIGINT, self._outer)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, self._hold)

    def take(self) -> bool:
        """Whether an interrupt was held back; it counts as answered from here on."""
        pending, self._pending = self._pending, False
        return pending

    def _hold(self, _signum: int, _frame: object) -> None:
        # Raising is safe only inside of our own task, which handles it; anywhere else it would
        # leave the event loop and end the kernel.
        if self._pending and self._task is not None and asyncio.current_task() is self._task:
            raise KeyboardInterrupt
        self._pending = True


@contextmanager
def cancel_on_sigint(future: asyncio.Future[Any]) -> Iterator[None]:
    """SIGINT cancels `future`, at once.

    ipykernel's own version schedules with `call_soon`, which does not wake a loop that waits for
    its next timer or socket: the interrupt of a quiet `await` arrived when the await was over.
    """
    loop = asyncio.get_running_loop()

    def handle(_signum: int, _frame: object) -> None:
        loop.call_soon_threadsafe(future.cancel)

    outer = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, outer)
