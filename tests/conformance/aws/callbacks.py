"""Handlers of the suites callback and wait_for_callback."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime  # noqa: TC003 - the form is made from the annotation
from typing import Any

from conformance.aws.kit import (
    SUBMITTERS,
    CallbackError,
    callback,
    child,
    handler,
    returns,
    wait_for_callback,
)
from evercell import RetryPolicy, step, workflow

__all__: list[str] = []


@handler("4-1", "4-6")
async def basic(name: str) -> Any:
    return await callback(name)


@handler("4-2")
async def named(_: None) -> Any:
    return await callback("approval")


@handler("4-3")
async def timed_out(name: str) -> Any:
    return await callback(name, timeout=5)


async def _after_a_step(name: str, timeout: float | None) -> Any:
    result = callback(name, timeout=timeout)
    await asyncio.sleep(0)
    await returns("between")
    return await result


@handler("4-7")
async def fails_after_a_step(name: str) -> Any:
    return await _after_a_step(name, None)


@handler("4-8")
async def times_out_after_a_step(name: str) -> Any:
    return await _after_a_step(name, 5)


async def _after_a_wait(name: str, timeout: float | None, wait: float) -> Any:
    result = callback(name, timeout=timeout)
    await asyncio.sleep(0)
    await workflow.sleep(wait)
    return await result


@handler("4-9", "4-10")
async def during_a_wait(name: str) -> Any:
    return await _after_a_wait(name, None, 5)


@handler("4-11")
async def times_out_during_a_wait(name: str) -> Any:
    return await _after_a_wait(name, 3, 6)


@handler("4-12")
async def then_waits(name: str) -> Any:
    result = await callback(name)
    await workflow.sleep(2)
    return result


@handler("4-13")
async def caught_then_waits(name: str) -> str:
    try:
        await callback(name)
    except CallbackError as error:
        message = str(error)
    await workflow.sleep(2)
    return message


@handler("4-14")
async def timeout_caught(name: str) -> str:
    try:
        await callback(name, timeout=3)
    except TimeoutError:
        message = "timed out"
    await workflow.sleep(2)
    return message


@dataclass
class Message:
    id: str
    message: str
    timestamp: datetime


@dataclass
class Typed:
    result: Message


@handler("4-15")
async def typed(name: str) -> Any:
    got: Message = (await callback(name, schema=Typed)).result
    seconds = int(got.timestamp.timestamp())
    return {"received": {"id": got.id, "message": got.message, "timestamp": seconds}}


@dataclass
class Count:
    result: int


@handler("4-16")
async def number(name: str) -> Any:
    count = (await callback(name, schema=Count)).result
    return {"count": count, "doubled": 2 * count}


@handler("4-17")
async def one_after_the_other(names: list[str]) -> Any:
    return [await callback(names[0]), await callback(names[1])]


@handler("4-18")
async def side_by_side(names: list[str]) -> Any:
    first, second = callback(names[0]), callback(names[1])
    return [await first, await second]


@handler("4-19")
async def in_reverse(names: list[str]) -> Any:
    first, second = callback(names[0]), callback(names[1])
    return [await second, await first]


# -- with a step that submits the callback ------------------------------------------------------


async def _submitted(name: str, *, submitter: str = "submit", timeout: float | None = None) -> Any:
    return await wait_for_callback.start(name, submitter, timeout, id=name)


@handler("7-1", "7-4", "7-15")
async def submitted(name: str) -> Any:
    return await _submitted(name)


@handler("7-2")
async def submitted_by_name(_: None) -> Any:
    return await _submitted("approval")


@handler("7-3")
async def submitted_without_name(_: None) -> Any:
    return await wait_for_callback.start("callback", "submit", None)


@handler("7-5")
async def submitted_and_timed_out(name: str) -> Any:
    return await _submitted(name, timeout=3)


@handler("7-6")
async def failure_caught(name: str) -> Any:
    try:
        return await _submitted(name)
    except CallbackError:
        return "recovered"


@step(retry=RetryPolicy(initial_interval=1, maximum_attempts=2))
async def cannot_submit(name: str) -> None:
    raise ConnectionError(name)


SUBMITTERS["cannot"] = cannot_submit


@handler("7-7")
async def not_submitted(name: str) -> Any:
    return await _submitted(name, submitter="cannot")


@child
async def wrapper(name: str) -> Any:
    return await _submitted(name)


@handler("7-8")
async def nested(name: str) -> Any:
    return await wrapper.start(name, id="wrapper")


@handler("7-9")
async def two_submitted(_: None) -> Any:
    await _submitted("first")
    return await _submitted("second")


@handler("7-10")
async def interleaved(name: str) -> Any:
    await workflow.sleep(1)
    await returns({"fixed": "data"})
    return await _submitted(name)


@handler("7-11")
async def json_object(name: str) -> Any:
    return (await _submitted(name))["status"]


@handler("7-14")
async def submitted_timeout_caught(name: str) -> Any:
    try:
        return await _submitted(name, timeout=3)
    except TimeoutError:
        return "timed-out-handled"
