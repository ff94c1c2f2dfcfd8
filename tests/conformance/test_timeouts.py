"""A step's four time limits: which errors they raise, which of them end the step for good."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, Gate, count, error_of

from evercell import RetryPolicy, heartbeat, step, workflow
from evercell import events as e
from evercell.errors import StepTimeoutError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.testing import WorkflowEnvironment

TWICE = RetryPolicy(maximum_attempts=2, initial_interval=1)


def hanging(kind: str, begun: Callable[[], None], **options: Any) -> Any:
    """A step that says that it began, and then hangs."""
    if kind == "async":

        @step(name="slow", **options)
        async def slow_async() -> None:
            begun()
            await asyncio.Event().wait()

        return slow_async

    @step(name="slow", **options)
    def slow_sync() -> None:
        begun()
        threading.Event().wait(0.2)  # a thread can't be stopped: its result is dropped

    return slow_sync


def timeout_of(handle: Any) -> StepTimeoutError:
    error = error_of(handle)
    assert isinstance(error, StepTimeoutError)
    return error


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_start_to_close_limits_each_attempt(world: WorkflowEnvironment, kind: str) -> None:
    calls: list[int] = []
    slow = hanging(kind, lambda: calls.append(1), start_to_close_timeout=0.02, retry=TWICE)

    @workflow
    async def flow() -> None:
        await slow()

    handle = flow.start()
    assert timeout_of(handle).kind == "start_to_close"
    assert len(calls) == 2
    assert count(handle, e.AttemptFailed) == 1


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_heartbeat_limits_each_silence(world: WorkflowEnvironment, kind: str) -> None:
    calls: list[int] = []

    def begun() -> None:
        calls.append(1)
        heartbeat()

    slow = hanging(kind, begun, heartbeat_timeout=0.02, retry=TWICE)

    @workflow
    async def flow() -> None:
        await slow()

    handle = flow.start()
    assert timeout_of(handle).kind == "heartbeat"
    assert len(calls) == 2


def test_a_body_that_beats_may_take_longer(world: WorkflowEnvironment) -> None:
    @step(heartbeat_timeout=2)
    async def busy() -> str:
        for _ in range(20):
            heartbeat()
            await asyncio.sleep(0)
        return "done"

    @workflow
    async def flow() -> str:
        return await busy()

    assert flow.start().result(LIMIT) == "done"


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_schedule_to_close_ends_the_running_attempt_for_good(
    world: WorkflowEnvironment, kind: str
) -> None:
    calls: list[int] = []
    slow = hanging(
        kind, lambda: calls.append(1), schedule_to_close_timeout=0.02, retry=RetryPolicy()
    )

    @workflow
    async def flow() -> None:
        await slow()

    handle = flow.start()
    assert timeout_of(handle).kind == "schedule_to_close"
    assert calls == [1]
    [failed] = [event for event in handle.history() if isinstance(event, e.StepFailed)]
    assert failed.reason == "schedule_to_close_timeout"


def test_schedule_to_close_covers_the_waits_between_attempts(world: WorkflowEnvironment) -> None:
    calls: list[int] = []

    @step(
        schedule_to_close_timeout=5,
        retry=RetryPolicy(initial_interval=2, backoff_coefficient=1),
    )
    async def fails() -> None:
        calls.append(1)
        raise ConnectionError(f"try {len(calls)}")

    @workflow
    async def flow() -> None:
        await fails()

    error = error_of(flow.start())
    assert str(error) == "try 3"  # at 0, 2 and 4 s; the next could only begin at 6
    assert isinstance(error, ConnectionError)


def test_schedule_to_start_limits_the_wait_for_a_place(world: WorkflowEnvironment) -> None:
    gate = Gate()
    calls: list[str] = []

    @step(max_concurrent=1, schedule_to_start_timeout=0.02, retry=RetryPolicy())
    async def alone(name: str) -> str:
        calls.append(name)
        await gate.pass_through()
        return name

    @workflow
    async def flow() -> list[Any]:
        first = asyncio.ensure_future(alone("first"))
        try:
            await alone("second")
        except StepTimeoutError as error:
            await workflow.wait_signal("go on")
            return [error.kind, await first]
        return []

    handle = flow.start()
    gate.wait()
    handle.signal("go on")
    while count(handle, e.StepFailed) == 0:
        world.worker.call(lambda: None).result(LIMIT)
    gate.open()
    assert handle.result(LIMIT) == ["schedule_to_start", "first"]
    assert calls == ["first"]


def test_a_timeout_is_answered_from_the_history(world: WorkflowEnvironment) -> None:
    calls: list[int] = []
    slow = hanging("async", lambda: calls.append(1), start_to_close_timeout=0.01)

    @workflow
    async def flow() -> str:
        try:
            await slow()
        except StepTimeoutError as error:
            return f"{error.kind} {await workflow.wait_signal('word')}"
        return "?"

    handle = flow.start()
    while count(handle, e.StepFailed) == 0:
        world.worker.call(lambda: None).result(LIMIT)
    world.restart()
    handle.signal("word", "once")
    assert handle.result(LIMIT) == "start_to_close once"
    assert calls == [1]
