"""Ctrl-C while the main thread works on the history.

    signal ─► noted ─► when nothing is half done: what the program's handler would have done

Python raises KeyboardInterrupt between any two instructions, such as behind taking a lock and
before whatever would release it; DuckDB, where one strikes inside of it, a RuntimeError. So it is
held back in `held_interrupts`. What may take long looks for it by itself: `rest`, the fold between
two segments, and `interruptible`, in which a query of the user's runs on another thread that
`interrupt()` always stops, as DuckDB looks for signals in some of its loops only.
"""

from __future__ import annotations

import signal
import threading
import time
from _thread import start_new_thread
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

__all__ = ["Work", "held_interrupts", "interruptible", "raise_held", "rest"]

T = TypeVar("T")

_AGAIN = 0.05  # seconds


class _Held:
    """The signals that were held back; only the main thread looks at them."""

    def __init__(self, before: Callable[..., object]) -> None:
        self.before = before
        self.pending = False
        self.bell: SimpleQueue[None] = SimpleQueue()  # whose put() may interrupt its own get()

    def take(self, _number: int, _frame: object) -> None:
        """The signal handler."""
        self.pending = True
        self.bell.put(None)

    def give_back(self) -> None:
        """Handle what was held back, as it would have been."""
        if self.pending:
            self.pending = False
            self.before(signal.SIGINT, None)


_held: _Held | None = None


@contextmanager
def held_interrupts() -> Iterator[None]:
    """Hold Ctrl-C back in the block; behind it raises KeyboardInterrupt if one came, or does what
    else the program's handler does. On other threads, where none strikes, nothing."""
    global _held  # noqa: PLW0603 - signal handlers are a process's
    before: Any = None
    if _held is None and threading.current_thread() is threading.main_thread():
        before = signal.getsignal(signal.SIGINT)
    if not callable(before):  # in such a block already; or the program ignores it, or dies of it
        yield
        return
    held = _Held(before)
    try:
        _held = held
        signal.signal(signal.SIGINT, held.take)
        yield
    finally:
        _held = None
        signal.signal(signal.SIGINT, before)
        held.give_back()


def raise_held() -> None:
    """Raise KeyboardInterrupt if one is held back on this thread: where that does no harm."""
    if _held is not None and threading.current_thread() is threading.main_thread():
        _held.give_back()


def rest(seconds: float) -> None:
    """Sleep. Raises KeyboardInterrupt, at its end at the latest."""
    time.sleep(seconds)
    raise_held()


def interruptible(connection: duckdb.DuckDBPyConnection, ask: Callable[[], T]) -> T:
    """What `ask` gives, which works on `connection`; Ctrl-C stops it and raises KeyboardInterrupt.

    Raises what `ask` raises.
    """
    with held_interrupts():
        held = _held
        if held is None or threading.current_thread() is not threading.main_thread():
            return ask()  # nobody sends it signals
        work = Work(ask, lambda: held.bell.put(None))
        start_new_thread(work.run, ())
        while not work.done.is_set():
            with suppress(Empty):
                held.bell.get(timeout=_AGAIN)  # a signal right before it would not wake it
            if held.pending:
                connection.interrupt()  # again and again: the query may not have begun
        held.give_back()
        return work.result()


class Work(Generic[T]):
    """A call on another thread: that of `run`, the first one if it is run on several. `ended` is
    called on that thread."""

    def __init__(self, ask: Callable[[], T], ended: Callable[[], None] = lambda: None) -> None:
        self.done = threading.Event()
        self._ask = ask
        self._ended = ended
        self._turn = threading.Lock()
        self._answer: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        """Make the call, unless that has begun."""
        if not self._turn.acquire(blocking=False):
            return  # an interrupt made it start twice
        try:
            self._answer.append(self._ask())
        except BaseException as error:  # noqa: BLE001 - raised by result()
            self._error = error
        self.done.set()
        self._ended()

    def result(self) -> T:
        """What the call gave, once it is done. Raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._answer[0]
