"""Bodies of steps that say what they saw, sync and async alike."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from evercell.engine.retry import RetryPolicy
from evercell.engine.step import step

if TYPE_CHECKING:
    from collections.abc import Callable

    from .conftest import Kernel

QUICK = RetryPolicy(initial_interval=0.01, maximum_attempts=3)
seen: list[Any] = []
calls: list[Any] = []  # what the bodies below were called with


@step
def double(n: int) -> int:
    calls.append(n)
    return 2 * n


@step
async def double_async(n: int) -> int:
    calls.append(n)
    await asyncio.sleep(0)
    return 2 * n


def both(body: Callable[[], Any], **options: Any) -> list[Callable[[], Any]]:
    """A sync and an async step that do `body`, which may give an awaitable, as functions."""

    @step(name="sync", version=1, **options)
    def sync() -> Any:
        found = body()
        return asyncio.run(found) if asyncio.iscoroutine(found) else found

    @step(name="async", version=1, **options)
    async def async_() -> Any:
        found = body()
        return await found if asyncio.iscoroutine(found) else found

    async def call() -> Any:
        return await async_()

    return [sync, lambda: asyncio.run(call())]


def ends(kernel: Kernel) -> list[tuple[Any, ...]]:
    return kernel.query("SELECT status, attempts, reason FROM steps ORDER BY started_at, name DESC")
