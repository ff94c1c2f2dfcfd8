"""Runs of workflow functions: started, replayed, continued after a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, error_of, settle

from evercell import events as e
from evercell import step, workflow
from evercell.engine.workflow.instance import Instance
from evercell.errors import UsageError, WorkflowBlockedError

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


def types_of(history: list[e.Event]) -> list[str]:
    return [type(event).__name__ for event in history]


def test_a_run_goes_through_steps_and_timers_to_its_result(world: WorkflowEnvironment) -> None:
    calls: list[int] = []

    @step
    async def double(x: int) -> int:
        calls.append(x)
        return 2 * x

    @step
    def add(a: int, b: int) -> int:
        return a + b

    @workflow
    async def flow(n: int) -> int:
        parts = await asyncio.gather(*(double(i) for i in range(n)))
        await asyncio.sleep(86_400)
        total = 0
        for part in parts:
            total = await add(total, part)  # type: ignore[misc] # awaited in workflow code
        return total

    before = world.clock.now()
    handle = flow.start(4)
    assert handle.result(30) == 12
    assert calls == [0, 1, 2, 3]
    assert world.clock.now() - before >= 86_400 * 1_000_000_000
    assert handle.status == "completed"
    assert types_of(handle.history())[:2] == ["RunStarted", "RunAttached"]
    world.restart()
    assert handle.result(30) == 12
    assert calls == [0, 1, 2, 3]


def test_an_open_run_goes_on_after_a_restart(world: WorkflowEnvironment) -> None:
    calls: list[str] = []

    @step
    async def note(text: str) -> str:
        calls.append(text)
        return text.upper()

    @workflow
    async def flow() -> list[str]:
        first = await note("a")
        word = await workflow.wait_signal("go", str)
        return [first, word, await note("b")]

    handle = flow.start(id="one")
    world.sleep(1)
    assert calls == ["a"]
    world.restart()
    assert handle.status == "running"
    workflow.get_handle("one").signal("go", "now")
    assert handle.result(30) == ["A", "now", "B"]
    assert calls == ["a", "b"]


def test_time_chance_and_ids_are_the_same_in_a_replay(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[Any]:
        seen: list[Any] = [workflow.now(), workflow.random().random(), str(workflow.uuid4())]
        await asyncio.sleep(60)
        seen += [workflow.now(), workflow.random().randint(1, 10**9), workflow.time()]
        await workflow.wait_signal("end")
        return seen

    handle = flow.start()
    world.sleep(3600)
    first = world.worker.call(lambda: _peek(world, handle.run_id)).result(10)
    world.restart()
    assert world.worker.call(lambda: _peek(world, handle.run_id)).result(10) == first
    handle.signal("end")
    now, number, identity, later, drawn, seconds = handle.result(30)
    assert later.timestamp() == pytest.approx(seconds)
    assert (later - now).total_seconds() >= 60
    assert 0 <= number < 1
    assert identity[14] == "4"
    assert drawn >= 1


def _peek(world: WorkflowEnvironment, run_id: str) -> float:
    """The next random number that the run would see, without taking it."""
    instance = world.worker.instances[run_id]
    state = instance.random.getstate()
    number = instance.random.random()
    instance.random.setstate(state)
    return number


def test_arguments_are_checked_before_anything_is_recorded(world: WorkflowEnvironment) -> None:
    @workflow(name="unstarted")
    async def flow(x: int) -> int:
        return x

    with pytest.raises(UsageError, match="missing a required argument"):
        flow.start()
    with pytest.raises(UsageError, match="async def"):
        workflow(lambda: None)  # type: ignore[call-overload]
    assert world.history.query("select * from runs where workflow = 'unstarted'").rows == []


def test_a_run_whose_code_is_lost_is_blocked_and_says_why(
    world: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong around the code, whoever waits is told, and the run can go on later."""

    @workflow(name="lost")
    async def flow() -> str:
        await workflow.wait_signal("go")
        return "done"

    def breaks(*_: object) -> None:
        raise RuntimeError("a fault of ours")

    handle = flow.start()
    settle(world)
    with monkeypatch.context() as patch:
        patch.setattr(Instance, "_finish", breaks)
        handle.signal("go")
        error = error_of(handle)
    assert isinstance(error, WorkflowBlockedError)
    assert "a fault of ours" in str(error)
    world.restart()
    assert handle.result(LIMIT) == "done"
