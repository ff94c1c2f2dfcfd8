"""Calling a step's function once: with a timeout, and with its attempt as context."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future, wait
from contextlib import contextmanager
from contextvars import copy_context
from threading import Thread
from typing import TYPE_CHECKING, Any

from evercell.engine.usage import AttemptContext, current_attempt
from evercell.errors import StepTimeoutError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

__all__ = ["call", "call_async"]


@contextmanager
def _attempt(context: AttemptContext | None) -> Iterator[None]:
    token = current_attempt.set(context)
    try:
        yield
    finally:
        current_attempt.reset(token)


def call(body: Callable[[], Any], timeout: float | None, context: AttemptContext | None) -> Any:
    """Run `body`, at most `timeout` seconds. Raises StepTimeoutError."""
    __tracebackhide__ = True
    with _attempt(context):
        return body() if timeout is None else _call_within(body, timeout)


async def call_async(
    body: Callable[[], Awaitable[Any]], timeout: float | None, context: AttemptContext | None
) -> Any:
    """Await `body()`, at most `timeout` seconds. Raises StepTimeoutError."""
    __tracebackhide__ = True
    with _attempt(context):
        if timeout is None:
            return await body()
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                return await body()
        except TimeoutError as error:
            if not limit.expired():  # the body's own
                raise
            raise _timed_out(timeout) from error


def _call_within(body: Callable[[], Any], timeout: float) -> Any:
    """Run `body` on a thread of its own. Python can't stop a thread: after the timeout its result
    is dropped, and it ends by itself."""
    __tracebackhide__ = True
    outcome: Future[Any] = Future()
    variables = copy_context()

    def work() -> None:
        try:
            outcome.set_result(variables.run(body))
        except BaseException as error:  # noqa: BLE001 - raised again in the caller
            outcome.set_exception(error)

    Thread(target=work, name="evercell-step", daemon=True).start()
    done, _ = wait((outcome,), timeout)
    if not done:
        raise _timed_out(timeout)
    return outcome.result()


def _timed_out(timeout: float) -> StepTimeoutError:
    return StepTimeoutError(
        f"the attempt took longer than start_to_close_timeout={timeout:g}s and was given up. "
        "Raise the timeout, or make the body quicker."
    )
