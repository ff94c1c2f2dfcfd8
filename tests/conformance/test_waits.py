"""What workflows wait for, as the view waits shows it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING

from conformance_kit import LIMIT, edit, settle

from evercell import events as e
from evercell import step, workflow

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


def _waits(env: WorkflowEnvironment, run_id: str) -> list[tuple[object, ...]]:
    return env.history.query(
        """SELECT kind, CASE WHEN kind = 'condition' THEN name[:4] ELSE name END,
            round(epoch(until) - $now), since <= to_timestamp($now) FROM waits
        WHERE run_id = $run AND kind <> 'timer' ORDER BY kind""",
        {"run": run_id, "now": env.clock.now() / 1e9},
    ).rows


def test_what_a_workflow_waits_for_is_in_the_view_waits(env: WorkflowEnvironment) -> None:
    @step
    async def work() -> None: ...

    @workflow(name="awaits")
    async def awaits(key: str) -> None:
        done = False

        @workflow.signal
        def finish() -> None:
            nonlocal done
            done = True

        await work()
        await workflow.wait_signal("go", int, timeout="1h")
        with suppress(TimeoutError):
            await workflow.wait_signal("never", timeout="1m")
        await asyncio.gather(
            workflow.wait_signal("both"), workflow.wait_condition(lambda: done, timeout="1d")
        )

    def waits() -> list[tuple[object, ...]]:
        return _waits(env, handle.run_id)

    env.clock.advance(time.time() - env.clock.now() / 1e9)  # the view goes by the wall clock
    handle = awaits.start("x")
    settle(env)
    assert waits() == [("signal", "go", 3600.0, True)]
    env.restart()
    settle(env)
    assert waits() == [("signal", "go", 3600.0, True)]
    handle.signal("go", 1)
    settle(env)
    assert waits() == [("signal", "never", 60.0, True)]
    env.sleep("1m")
    assert waits() == [("condition", "line", 86_400.0, True), ("signal", "both", None, True)]
    handle.signal("finish")
    settle(env)
    env.restart()
    settle(env)
    assert waits() == [("signal", "both", None, True)]
    told = Counter(type(event).__name__ for event in handle.history())
    assert (told["SignalAwaited"], told["SignalTaken"]) == (3, 1)
    assert (told["ConditionAwaited"], told["WaitEnded"]) == (1, 2)
    handle.signal("both")
    handle.result(LIMIT)
    assert waits() == []
    ids = env.history.query(
        "SELECT activity_id FROM events WHERE run_id = $run AND type LIKE '%Awaited'",
        {"run": handle.run_id},
    ).rows
    assert len(set(ids)) == 4


def test_waits_that_the_history_tells_of_and_edited_code_does_not_end(
    world: WorkflowEnvironment,
) -> None:
    @step
    async def work(number: int) -> int:
        return number

    @workflow(name="edited wait")
    async def before() -> object:
        return await workflow.wait_signal("old")

    @workflow(name="edited wait")
    async def after() -> object:
        return await workflow.wait_signal("new")

    @workflow(name="edited wait")
    async def last() -> object:
        return await work(7)

    handle = before.start()
    settle(world)

    def waits() -> list[tuple[object, ...]]:
        query = "SELECT name FROM waits WHERE run_id = $run"
        return world.history.query(query, {"run": handle.run_id}).rows

    assert waits() == [("old",)]
    edit(world, after)
    settle(world)
    assert waits() == [("new",)]
    edit(world, last)
    assert handle.result(LIMIT) == 7
    kept = [event for event in handle.history() if isinstance(event, e.WaitEnded)]
    assert len(kept) == 1
