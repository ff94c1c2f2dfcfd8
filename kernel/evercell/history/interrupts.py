"""Ctrl-C during a query.

DuckDB looks for signals in some of its loops only, so that a long query on the main thread may not
stop. `interrupt()` from another thread always does: the query runs there, the main thread waits.
"""

from __future__ import annotations

import threading
from _thread import start_new_thread
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

__all__ = ["Work", "interruptible"]

T = TypeVar("T")

_AGAIN = 0.05  # seconds


def interruptible(connection: duckdb.DuckDBPyConnection, ask: Callable[[], T]) -> T:
    """What `ask` gives, which works on `connection`; Ctrl-C stops it and raises KeyboardInterrupt.

    Raises what `ask` raises.
    """
    if threading.current_thread() is not threading.main_thread():
        return ask()  # nobody sends it signals
    work = Work(ask)
    interrupted: KeyboardInterrupt | None = None
    begun = False
    while not work.done.is_set():
        try:  # wherever an interrupt strikes, nobody leaves while the connection is in use
            if not begun:
                start_new_thread(work.run, ())
                begun = True
            if interrupted is not None:
                connection.interrupt()  # again and again: it may not have begun
            work.done.wait(None if interrupted is None else _AGAIN)
        except KeyboardInterrupt as interrupt:
            interrupted = interrupt
    if interrupted is not None:
        raise interrupted
    return work.result()


class Work(Generic[T]):
    """A call on another thread: that of `run`, the first one if it is run on several."""

    def __init__(self, ask: Callable[[], T]) -> None:
        self.done = threading.Event()
        self._ask = ask
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

    def result(self) -> T:
        """What the call gave, once it is done. Raises what it raised."""
        if self._error is not None:
            raise self._error
        return self._answer[0]
