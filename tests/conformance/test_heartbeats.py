"""Heartbeats: how far a step came reaches its next attempt, in this process and in the next; and a
step that is no longer wanted hears of it."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from conformance_kit import LIMIT, Gate, error_of

from evercell import RetryPolicy, current_step, heartbeat, heartbeat_details, step, workflow
from evercell import events as e
from evercell.errors import StepCanceledError, WorkflowCanceledError

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_the_next_attempt_goes_on_where_the_last_one_was(
    world: WorkflowEnvironment, kind: str
) -> None:
    pages: list[int] = []

    def crawl() -> str:
        done, *_ = heartbeat_details() or (0,)
        for page in range(done, 6):
            pages.append(page)
            heartbeat(page + 1, {"seen": page})
            if page in (1, 3) and current_step().attempt <= 2:
                raise ConnectionError
        return f"attempt {current_step().attempt}"

    if kind == "async":

        @step(name="crawl", retry=RetryPolicy())
        async def crawling() -> str:
            return crawl()
    else:

        @step(name="crawl", retry=RetryPolicy())
        def crawling() -> str:  # type: ignore[misc]
            return crawl()

    @workflow
    async def flow() -> str:
        return await crawling()

    assert flow.start().result(LIMIT) == "attempt 3"
    assert pages == [0, 1, 2, 3, 4, 5]


def test_the_next_process_goes_on_there(world: WorkflowEnvironment) -> None:
    gate = Gate()
    begun: list[tuple[object, ...]] = []

    @step
    async def crawl() -> str:
        begun.append((current_step().attempt, *heartbeat_details()))
        if len(begun) == 1:
            heartbeat("page", 7)
            await gate.pass_through()
        return "done"

    @workflow
    async def flow() -> str:
        return await crawl()

    handle = flow.start()
    gate.wait()
    world.restart()
    assert handle.result(LIMIT) == "done"
    assert begun == [(1,), (2, "page", 7)]
    [beat] = [event for event in handle.history() if isinstance(event, e.HeartbeatRecorded)]
    assert (beat.attempt, beat.payload.data) == (1, b'["page",7]')


def test_the_idempotency_key_is_one_over_attempts_and_processes(
    world: WorkflowEnvironment,
) -> None:
    gate = Gate()
    keys: list[str] = []

    @step(retry=RetryPolicy())
    async def pay(amount: int) -> str:
        keys.append(current_step().idempotency_key)
        if len(keys) == 1:
            raise ConnectionError
        if len(keys) == 2:
            await gate.pass_through()
        return keys[-1]

    @workflow
    async def flow() -> list[str]:
        return [await pay(1), await pay(1)]

    handle = flow.start()
    gate.wait()
    world.restart()
    first, second = handle.result(LIMIT)
    assert keys == [first, first, first, second]
    assert first != second


def test_a_thread_hears_of_its_cancellation_at_its_next_heartbeat(
    world: WorkflowEnvironment,
) -> None:
    begun, heard, turn = threading.Event(), threading.Event(), threading.Event()

    @step
    def crawl() -> None:
        try:
            while True:
                heartbeat()
                begun.set()
                turn.wait(0.005)
        except StepCanceledError:
            assert current_step().canceled
            heard.set()
            raise

    @workflow
    async def flow() -> None:
        await crawl()  # type: ignore[func-returns-value] # awaited in workflow code

    handle = flow.start()
    assert begun.wait(LIMIT)
    handle.cancel()
    assert isinstance(error_of(handle), WorkflowCanceledError)
    assert heard.wait(LIMIT)


def test_a_coroutine_hears_of_it_where_it_waits(world: WorkflowEnvironment) -> None:
    begun, heard = threading.Event(), threading.Event()

    @step
    async def crawl() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            heard.set()
            raise

    @workflow
    async def flow() -> None:
        await crawl()

    handle = flow.start()
    assert begun.wait(LIMIT)
    handle.cancel()
    assert isinstance(error_of(handle), WorkflowCanceledError)
    assert heard.wait(LIMIT)
