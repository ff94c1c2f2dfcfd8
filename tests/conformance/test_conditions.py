"""wait_condition: asked after whatever happens; timeouts; failing predicates."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from conformance_kit import LIMIT, error_of

from evercell import step, workflow

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


def test_it_sees_what_steps_timers_and_signals_change(world: WorkflowEnvironment) -> None:
    @step
    async def one() -> int:
        return 1

    @workflow
    async def flow() -> list[str]:
        seen: set[str] = set()
        order: list[str] = []

        async def watch(word: str) -> None:
            await workflow.wait_condition(lambda: word in seen)
            order.append(word)

        watchers = [asyncio.create_task(watch(word)) for word in ("signal", "timer", "step")]

        async def act() -> None:
            await one()
            seen.add("step")
            await asyncio.sleep(5)
            seen.add("timer")

        @workflow.signal
        def go() -> None:
            seen.add("signal")

        await asyncio.gather(act(), *watchers)
        return order

    handle = flow.start()
    world.sleep(10)
    handle.signal("go")
    assert handle.result(LIMIT) == ["step", "timer", "signal"]


def test_one_condition_may_make_another_true(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> int:
        level = 0

        async def rise(floor: int) -> None:
            nonlocal level
            await workflow.wait_condition(lambda: level >= floor)
            level += 1

        tasks = [asyncio.create_task(rise(floor)) for floor in (3, 2, 1)]
        await asyncio.sleep(1)
        level = 1
        await asyncio.gather(*tasks)
        return level

    assert flow.start().result(LIMIT) == 4


def test_it_times_out(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> str:
        await workflow.wait_condition(lambda: True)
        try:
            await workflow.wait_condition(lambda: False, timeout="1h")
        except TimeoutError:
            return "timed out"
        return "?"

    assert flow.start().result(LIMIT) == "timed out"


def test_a_predicate_that_raises_raises_where_it_is_waited_for(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> None:
        items: list[int] = [1]
        waiting = asyncio.ensure_future(workflow.wait_condition(lambda: items[0] > 1))
        await asyncio.sleep(1)
        items.clear()
        await waiting

    assert isinstance(error_of(flow.start()), IndexError)
