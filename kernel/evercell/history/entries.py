"""What waits to be written to the journal, and who waits for it: a thread, a coroutine, a function
that is told."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from evercell.errors import HistoryWriteError
from evercell.history.frames import EVENT_OVERHEAD

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Sequence

    Tell = Callable[[str | None], None]
    Meanwhile = Callable[[Callable[[], None]], None]

__all__ = ["Awaiting", "Blocked", "Entry", "Meanwhile", "Tell", "Told", "Waiter", "settle"]


class Blocked:
    """A thread that waits for its events."""

    __slots__ = ("_lock", "done", "failure")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.done = False
        self.failure: str | None = None

    def settle(self, failure: str | None) -> None:
        """They are durable, or can't be written for this reason."""
        self.failure = failure
        self.done = True
        self._lock.release()

    def wait(self) -> None:
        """Return when `settle` was called, or at an interrupt."""
        self._lock.acquire()


class Awaiting:
    """A coroutine that waits for its events."""

    __slots__ = ("future", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop, future: asyncio.Future[None]) -> None:
        self.loop = loop
        self.future = future


class Told:
    """A function that is told, on the writer's thread: None, or why writing failed."""

    __slots__ = ("done", "tell")

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.done = False

    def settle(self, failure: str | None) -> None:
        """They are durable, or can't be written for this reason."""
        self.tell(failure)
        self.done = True  # then, for who looks whether it was


Waiter = Blocked | Awaiting | Told


class Entry:
    """Events that stay together; `taken` by the writer: an interrupt may have queued it twice."""

    __slots__ = ("events", "queued", "size", "taken", "waiter")

    def __init__(self, events: Sequence[bytes], waiter: Waiter | None) -> None:
        self.events = events
        self.waiter = waiter
        self.queued = False
        self.taken = False
        self.size = sum(map(len, events)) + EVENT_OVERHEAD * len(events)  # bytes in a frame


def settle(waiters: Iterable[Waiter | None], failure: str | None) -> None:
    """Wake the threads, and the coroutines with one call for each of their loops."""
    loops: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for waiter in waiters:
        if isinstance(waiter, (Blocked, Told)):
            waiter.settle(failure)
        elif waiter is not None:
            loops.setdefault(waiter.loop, []).append(waiter.future)
    for loop, futures in loops.items():
        with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits there any more
            loop.call_soon_threadsafe(_resolve, futures, failure)


def _resolve(futures: list[asyncio.Future[None]], failure: str | None) -> None:
    for future in futures:
        if future.done():
            continue  # cancelled while it waited
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(HistoryWriteError(failure))
