"""Many calls of one step, a bounded number at a time."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor, wait
from contextvars import copy_context
from threading import Lock
from typing import TYPE_CHECKING, Any

from evercell.engine.scope import Answered

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

__all__ = ["map_async", "map_sync"]


class _Work:
    """The calls still to make, handed out one at a time, from any thread; none after a failure,
    unless failures count as results."""

    def __init__(
        self, begun: Sequence[Answered | Callable[[], Any]], *, return_exceptions: bool
    ) -> None:
        self.results: list[Any] = [
            each.value if isinstance(each, Answered) else None for each in begun
        ]
        open_calls = [(n, each) for n, each in enumerate(begun) if not isinstance(each, Answered)]
        self.count = len(open_calls)
        self._queue = iter(open_calls)
        self._return_exceptions = return_exceptions
        self._failure: Exception | None = None
        self._stopped = False
        self._lock = Lock()

    def __iter__(self) -> Iterator[tuple[int, Callable[[], Any]]]:
        return self

    def __next__(self) -> tuple[int, Callable[[], Any]]:
        with self._lock:
            if self._stopped:
                raise StopIteration
            return next(self._queue)

    def failed(self, index: int, error: Exception) -> None:
        with self._lock:
            if self._return_exceptions:
                self.results[index] = error
                return
            self._failure = self._failure or error
            self._stopped = True

    def stop(self) -> None:
        with self._lock:
            self._stopped = True

    def finish(self) -> list[Any]:
        __tracebackhide__ = True
        if self._failure is not None:
            raise self._failure
        return self.results


def map_sync(
    begun: Sequence[Answered | Callable[[], Any]], limit: int, *, return_exceptions: bool
) -> list[Any]:
    """Results in order, `limit` calls at a time on threads of their own."""
    __tracebackhide__ = True
    work = _Work(begun, return_exceptions=return_exceptions)

    def worker() -> None:
        for index, call in work:
            try:
                work.results[index] = call()
            except Exception as error:  # noqa: BLE001 - a result, or raised by finish()
                work.failed(index, error)

    if work.count:
        with ThreadPoolExecutor(min(limit, work.count), "evercell-map") as pool:
            try:
                futures = [
                    pool.submit(copy_context().run, worker) for _ in range(min(limit, work.count))
                ]
                wait(futures)
            except BaseException:  # an interrupt: begin nothing more, let what runs be recorded
                work.stop()
                raise
        for future in futures:
            future.result()
    return work.finish()


async def map_async(
    begun: Sequence[Answered | Callable[[], Awaitable[Any]]],
    limit: int,
    *,
    return_exceptions: bool,
) -> list[Any]:
    """Results in order, `limit` calls at a time as tasks of the running loop."""
    __tracebackhide__ = True
    work = _Work(begun, return_exceptions=return_exceptions)

    async def worker() -> None:
        for index, call in work:
            try:
                work.results[index] = await call()
            except Exception as error:  # noqa: BLE001 - a result, or raised by finish()
                work.failed(index, error)

    async with asyncio.TaskGroup() as group:
        for _ in range(min(limit, work.count)):
            group.create_task(worker())
    return work.finish()
