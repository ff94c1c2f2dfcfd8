"""Durable timers: their order, what falls due while nothing runs, deadlines, cancelled ones."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from conformance_kit import LIMIT, count, settle

from evercell import events as e
from evercell import step, workflow
from evercell.errors import WorkflowTimeoutError

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment

DAY = 86_400


def test_they_fire_in_the_order_of_their_times(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[int]:
        fired: list[int] = []

        async def after(seconds: int) -> None:
            await asyncio.sleep(seconds)
            fired.append(seconds)

        await asyncio.gather(*(after(seconds) for seconds in (50, 10, 40, 20, 30)))
        return fired

    assert flow.start().result(LIMIT) == [10, 20, 30, 40, 50]


def test_a_timer_is_called_what_its_author_says(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> None:
        await workflow.sleep(0, summary="no timer")
        await asyncio.sleep(1)
        await workflow.sleep("1m", summary="cooling off")
        async with asyncio.timeout(5):
            await asyncio.sleep(1)

    handle = flow.start()
    handle.result(LIMIT)
    names = [it.name for it in handle.history() if isinstance(it, e.TimerStarted)]
    assert names == ["sleep", "cooling off", "timeout", "sleep"]


def test_equal_times_fire_in_the_order_of_asking(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[int]:
        fired: list[int] = []

        async def after(number: int) -> None:
            await asyncio.sleep(5)
            fired.append(number)

        await asyncio.gather(*(after(number) for number in range(20)))
        return fired

    assert flow.start().result(LIMIT) == list(range(20))


def test_what_fell_due_while_nothing_ran_fires_at_once_in_order(world: WorkflowEnvironment) -> None:
    order: list[int] = []

    @step
    async def note(number: int) -> None:
        order.append(number)

    @workflow
    async def flow(days: int) -> int:
        await asyncio.sleep(days * DAY)
        await note(days)
        return days

    handles = [flow.start(days) for days in (3, 1, 2)]
    settle(world)
    world._close()
    world.clock.advance(10 * DAY)
    world._open()
    due = world.clock.now()
    world.worker.define(flow)
    assert [handle.result(LIMIT) for handle in handles] == [3, 1, 2]
    assert world.clock.now() == due
    fired = [
        next(event for event in handle.history() if isinstance(event, e.TimerFired))
        for handle in handles
    ]
    by_position = sorted(range(3), key=lambda at: int(fired[at].activity_id.split("-")[1]))
    assert by_position is not None
    assert sorted(order) == [1, 2, 3]


def test_catch_up_is_in_order_within_a_run(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[int]:
        fired: list[int] = []

        async def after(days: int) -> None:
            await workflow.sleep(f"{days}d")
            fired.append(days)

        await asyncio.gather(*(after(days) for days in (3, 1, 2)))
        return fired

    handle = flow.start()
    settle(world)
    world._close()
    world.clock.advance(10 * DAY)
    world._open()
    world.worker.define(flow)
    assert handle.result(LIMIT) == [1, 2, 3]


def test_a_deadline_is_absolute(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> float:
        begin = workflow.time()
        await asyncio.sleep(DAY)
        return workflow.time() - begin

    handle = flow.start()
    world.sleep(DAY / 2)
    world.restart()
    before = world.clock.now()
    assert handle.result(LIMIT) == pytest.approx(DAY)
    assert (world.clock.now() - before) / 1e9 == pytest.approx(DAY / 2)


def test_timeouts_are_timers(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[str]:
        seen: list[str] = []
        try:
            async with asyncio.timeout(60):
                await workflow.wait_signal("never")
        except TimeoutError:
            seen.append("timeout")
        try:
            await asyncio.wait_for(workflow.wait_signal("never"), 60)
        except TimeoutError:
            seen.append("wait_for")
        async with asyncio.timeout(60):
            await asyncio.sleep(30)
        seen.append("in time")
        return seen

    handle = flow.start()
    assert handle.result(LIMIT) == ["timeout", "wait_for", "in time"]
    assert count(handle, e.TimerStarted) == 4
    assert count(handle, e.TimerFired) == 3
    assert count(handle, e.TimerCanceled) == 1


def test_a_cancelled_timer_never_fires(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> str:
        nap = asyncio.ensure_future(asyncio.sleep(10))
        await asyncio.sleep(0)
        nap.cancel()
        await asyncio.sleep(100)
        return "awake"

    handle = flow.start()
    assert handle.result(LIMIT) == "awake"
    assert count(handle, e.TimerFired) == 1


def test_no_time_passes_for_zero(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> str:
        for _ in range(5):
            await asyncio.sleep(0)
        await asyncio.sleep(-1)
        return "done"

    handle = flow.start()
    assert handle.result(LIMIT) == "done"
    assert count(handle, e.TimerStarted) == 0


def test_execution_timeout_ends_a_run(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> None:
        await workflow.wait_signal("never")

    handle = flow.start(execution_timeout="2h")
    with pytest.raises(WorkflowTimeoutError, match=r"exceeded its execution_timeout\.$"):
        handle.result(LIMIT)
    assert handle.status == "timed out"


def test_execution_timeout_is_kept_over_restarts_and_continuations(
    world: WorkflowEnvironment,
) -> None:
    @workflow(execution_timeout="3h")
    async def flow(round_: int) -> None:
        await asyncio.sleep(3600)
        workflow.continue_as_new(round_ + 1)

    handle = flow.start(0)
    world.sleep(3600 + 1)
    world.restart()
    before = world.clock.now()
    with pytest.raises(WorkflowTimeoutError):
        handle.result(LIMIT)
    assert (world.clock.now() - before) / 1e9 == pytest.approx(2 * 3600 - 1, abs=1)


def test_a_clock_that_jumps_back_does_not_move_a_run_back(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[float]:
        first = workflow.time()
        await workflow.wait_signal("go")
        return [first, workflow.time()]

    handle = flow.start()
    settle(world)
    world.clock.advance(-5)
    handle.signal("go")
    first, second = handle.result(LIMIT)
    assert second == first
    world.clock.advance(5)
