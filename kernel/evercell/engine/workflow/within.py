"""Coroutines in contexts of their own."""

from __future__ import annotations

from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Coroutine, Generator, Mapping
    from contextvars import Context

__all__ = ["Within", "abandon"]


class Within:
    """Awaits a coroutine in a context of its own, without a task of its own."""

    __slots__ = ("_context", "_coroutine")

    def __init__(self, context: Context, coroutine: Coroutine[Any, Any, None]) -> None:
        self._context = context
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, Any, None]:
        run, coroutine = self._context.run, self._coroutine
        move: Callable[[Any], Any] = coroutine.send
        argument: Any = None
        while True:
            try:
                awaited = run(move, argument)
            except StopIteration:
                return
            try:
                argument = yield awaited
                move = coroutine.send
            except BaseException as error:  # noqa: BLE001 - handed on, not swallowed
                move, argument = coroutine.throw, error


def abandon(left: set[asyncio.Task[Any]], contexts: Mapping[asyncio.Task[None], Context]) -> None:
    """End the bodies, and the tasks that they made, where they stand, each in its own context,
    where what they entered can be left: the garbage collector would do it in another one."""
    for task in left:
        task._log_destroy_pending = False  # type: ignore[attr-defined] # in doubt, as said
        context = contexts.get(task) or getattr(task, "get_context", copy_context)()
        coroutine = task.get_coro()
        if coroutine is not None:
            with suppress(BaseException):  # of a body that is over
                context.run(coroutine.close)
