"""Handlers of the suites step, wait and plugin."""

from __future__ import annotations

import logging
from typing import Any

from conformance.aws.kit import crash_once, greet, handler, log, returns
from evercell import RetryPolicy, current_step, step, workflow

__all__: list[str] = []


class TransientError(Exception):
    """A failure that may pass."""


@handler("1-1")
async def basic(name: str) -> str:
    return await greet(name)


@step(name="custom_step_name")
async def named(name: str) -> str:
    return f"Hello, {name}!"


@handler("1-2")
async def with_a_name(name: str) -> str:
    return await named(name)


@step
async def append(text: str, more: str) -> str:
    return text + more


@handler("1-3")
async def in_sequence(_: None) -> str:
    first = await append("", "first")
    return await append(first, "_second")


@step
async def response(user: dict[str, Any]) -> dict[str, Any]:
    return {"user": user, "count": len(user["tags"])}


@handler("1-4")
async def complex_object(user: dict[str, Any]) -> Any:
    return await response(user)


@handler("1-5")
async def nothing(_: None) -> None:
    assert await returns(None) is None


class _Ledger(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log(f"[{record.levelname}] {record.getMessage()}")


@step
async def greet_aloud(name: str) -> str:
    logger = logging.getLogger("conformance")
    logger.setLevel(logging.INFO)
    logger.addHandler(book := _Ledger())
    logger.info("Greeting step started for: %s", name)
    logger.info("Greeting step completed with: Hello, %s!", name)
    logger.removeHandler(book)
    return f"Hello, {name}!"


@handler("1-7")
async def logged(name: str) -> str:
    return await greet_aloud(name)


@handler("1-8")
async def step_and_wait(_: None) -> str:
    value = await returns("computed")
    await workflow.sleep(2)
    return str(value)


@step
async def cached() -> str:
    log("step executed")
    return "cached_value"


@handler("1-9")
async def replayed(_: None) -> str:
    value = await cached()
    await workflow.sleep(1)
    return value


@step
async def fails() -> None:
    log("step executed")
    raise RuntimeError("for good")


@handler("1-10")
async def raised_again(_: None) -> str:
    try:
        await fails()
    except RuntimeError as error:
        caught = str(error)
    await workflow.sleep(1)
    return caught


def failing(times: int, retry: RetryPolicy, result: Any, error: type[Exception]) -> Any:
    @step(retry=retry)
    async def unreliable() -> Any:
        if current_step().attempt <= times:
            raise error("not this time")
        return result

    return unreliable


_second = RetryPolicy(initial_interval=1, backoff_coefficient=1, maximum_attempts=4)
once_more = failing(1, _second, "Operation succeeded", RuntimeError)
never = failing(99, _second, None, RuntimeError)
slower = failing(
    2,
    RetryPolicy(initial_interval=2, backoff_coefficient=3, maximum_attempts=5),
    "done",
    RuntimeError,
)
transient = failing(1, _second, "done", TransientError)
strict = failing(1, RetryPolicy(non_retryable_error_types=[TransientError]), "done", TransientError)


@handler("1-11", "10-3")
async def retried(_: None) -> Any:
    return await once_more()


@handler("1-12")
async def exhausted(_: None) -> Any:
    return await never()


@handler("1-14")
async def with_backoff(_: None) -> Any:
    return await slower()


@handler("1-15")
async def retried_for_its_kind(_: None) -> Any:
    return await transient()


@handler("1-16")
async def not_retried_for_its_kind(_: None) -> Any:
    return await strict()


@step(at_most_once=True, name="at_most_once_flaky_step")
async def flaky(text: str) -> str:
    log(text)
    crash_once()
    return text


@handler("1-17")
async def at_most_once(text: str) -> str:
    return await flaky(text)


@handler("1-19")
async def failed(_: None) -> None:
    await fails()


@handler("1-20")
async def handled(_: None) -> str:
    try:
        await fails()
    except RuntimeError:
        return str(await returns("fallback_result"))
    return "no failure"


# -- wait ---------------------------------------------------------------------------------------


@handler("2-1")
async def waits(_: None) -> None:
    await workflow.sleep(2)


@handler("2-2")
async def waits_by_name(_: None) -> None:
    await workflow.sleep(2, summary="custom_wait_name")


@handler("2-3")
async def waits_twice(_: None) -> dict[str, int]:
    await workflow.sleep(2, summary="wait-1")
    await workflow.sleep(2, summary="wait-2")
    return {"completedWaits": 2}


@handler("2-4")
async def waits_a_minute(_: None) -> None:
    await workflow.sleep("1m")


@handler("2-5")
async def waits_an_hour(_: None) -> None:
    await workflow.sleep("1h")
