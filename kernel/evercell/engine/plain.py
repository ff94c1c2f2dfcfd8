"""A step outside a recorded cell: the function with its retries and timeout, nothing recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.clock import SystemClock
from evercell.engine.body import call, call_async
from evercell.engine.retry import GiveUp, Retry, RetryPolicy, next_attempt

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["run_plain", "run_plain_async"]

_clock = SystemClock()


def run_plain(body: Callable[[], Any], policy: RetryPolicy, timeout: float | None) -> Any:
    """Call `body` until it succeeds or the policy gives up; then its error is raised."""
    __tracebackhide__ = True
    attempt = 1
    while True:
        try:
            return call(body, timeout, None)
        except Exception as error:
            match next_attempt(policy, attempt, error):
                case GiveUp():
                    raise
                case Retry(delay):
                    _clock.sleep(delay)
        attempt += 1


async def run_plain_async(
    body: Callable[[], Awaitable[Any]], policy: RetryPolicy, timeout: float | None
) -> Any:
    """Await `body()` until it succeeds or the policy gives up; then its error is raised."""
    __tracebackhide__ = True
    attempt = 1
    while True:
        try:
            return await call_async(body, timeout, None)
        except Exception as error:
            match next_attempt(policy, attempt, error):
                case GiveUp():
                    raise
                case Retry(delay):
                    await _clock.sleep_async(delay)
        attempt += 1
