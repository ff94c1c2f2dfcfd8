"""Queries: of running, blocked and finished runs; they leave nothing behind."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, Gate, settle

from evercell import events as e
from evercell import step, workflow
from evercell.errors import (
    HandlerNotFoundError,
    NotStorableError,
    QueryMutatedError,
    UsageError,
    WorkflowCallError,
    WorkflowNotDefinedError,
)

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


@step
async def act() -> int:
    return 1


@workflow(name="asked")
async def asked() -> list[int]:  # noqa: C901 - a handler of each kind
    seen: list[int] = []

    @workflow.query
    def items() -> list[int]:
        return seen

    @workflow.query
    def at(index: int) -> int:
        return seen[index]

    @workflow.query
    def drawn() -> float:
        return workflow.random().random()

    @workflow.query
    def identity() -> str:
        return str(workflow.uuid4())

    @workflow.query
    def clock() -> float:
        return time.time()

    @workflow.query
    def leaving() -> None:
        raise SystemExit

    @workflow.query
    def stepping() -> Any:
        return act()

    @workflow.query
    def sleeping() -> Any:
        return asyncio.ensure_future(asyncio.sleep(1))

    @workflow.query
    def tasking() -> Any:
        return asyncio.create_task(act())  # type: ignore[arg-type] # a step's future

    @workflow.query
    def scheduling() -> Any:
        return asyncio.get_running_loop().call_later(1, seen.clear)

    @workflow.query
    def making() -> Any:
        return asyncio.get_running_loop().create_future()

    @workflow.query
    def waking() -> None:
        woken.set()

    @workflow.query
    def canceling() -> bool:
        return sleeper.cancel()

    @workflow.query
    def hiding() -> Any:
        with suppress(Exception):
            act()

    @workflow.query
    def registering() -> Any:
        workflow.query(len, name="items")

    @workflow.query
    def marking() -> Any:
        return workflow.side_effect(lambda: 1)

    @workflow.query
    async def awaiting() -> int:
        return 1

    @workflow.query
    def unstorable() -> Any:
        return (number for number in seen)

    woken = asyncio.Event()
    sleeper = asyncio.ensure_future(woken.wait())
    while (number := await workflow.wait_signal("add", int)) != 0:
        seen.append(number)
    woken.set()
    await sleeper
    await act()
    return [*seen, workflow.random().randint(1, 10**9)]


def test_running_and_finished_runs_answer(world: WorkflowEnvironment) -> None:
    handle = asked.start()
    handle.signal("add", 5)
    settle(world)
    before = handle.history()
    assert handle.query("items") == [5]
    assert handle.query("at", 0) == 5
    assert handle.query("at", index=0) == 5
    assert handle.history() == before
    handle.signal("add", 0)
    handle.result(LIMIT)
    assert handle.query("items") == [5]
    ended = handle.history()
    world.restart()
    world.worker.define(asked)
    assert handle.query("items") == [5]
    assert handle.history() == ended


MUTATING = [
    "awaiting", "canceling", "drawn", "hiding", "identity", "making", "marking", "registering",
    "scheduling", "sleeping", "stepping", "tasking", "waking",
]  # fmt: skip


@pytest.mark.filterwarnings("error")  # such as that something was never awaited
def test_those_that_mutate_are_refused(world: WorkflowEnvironment) -> None:
    handle = asked.start()
    handle.signal("add", 3)
    settle(world)
    before = handle.history()
    for name in MUTATING:
        with pytest.raises(QueryMutatedError, match=f"'{name}'.* update"):
            handle.query(name)
        assert (handle.status, handle.query("items")) == ("running", [3])
    handle.signal("add", 0)
    assert handle.result(LIMIT)[0] == 3
    after = [it for it in handle.history() if it not in before]
    [begun] = [it for it in after if isinstance(it, e.StepStarted)]
    assert begun.ordinal == 0  # the calls that queries made have left nothing


def test_what_a_refused_one_did_is_undone_beside_a_step(world: WorkflowEnvironment) -> None:
    gate, begun = Gate(), []

    @step
    async def slow() -> int:
        begun.append(1)
        await gate.pass_through()
        return 5

    @workflow(name="beside")
    async def beside() -> int:
        woken = asyncio.Event()
        task = asyncio.ensure_future(woken.wait())
        workflow.query(woken.set, name="wake")
        result = await slow()
        assert not task.done()
        task.cancel()
        return result

    handle = beside.start()
    gate.wait()
    with pytest.raises(QueryMutatedError):
        handle.query("wake")
    gate.open()
    assert handle.result(LIMIT) == 5
    assert begun == [1]


def test_what_is_asked_for_is_a_copy(world: WorkflowEnvironment) -> None:
    handle = asked.start()
    handle.signal("add", 5)
    settle(world)
    handle.query("items").append(99)
    assert handle.query("items") == [5]
    with pytest.raises(NotStorableError):
        handle.query("unstorable")
    handle.signal("add", 0)
    assert handle.result(LIMIT)[:-1] == [5]


def test_errors_reach_whoever_asks_and_nobody_else(world: WorkflowEnvironment) -> None:
    handle = asked.start()
    settle(world)
    with pytest.raises(IndexError):
        handle.query("at", 7)
    with pytest.raises(UsageError, match="index of 'at' takes int"):
        handle.query("at", "first")
    with pytest.raises(HandlerNotFoundError, match="known are: at, awaiting"):
        handle.query("unknown")
    with pytest.raises(WorkflowCallError, match=r"time\.time .*workflow\.now"):
        handle.query("clock")
    with pytest.raises(SystemExit):
        handle.query("leaving")
    handle.signal("add", 0)
    handle.result(LIMIT)


def test_one_without_its_definition_says_so(world: WorkflowEnvironment) -> None:
    handle = asked.start()
    settle(world)
    world.restart(define=False)
    with pytest.raises(WorkflowNotDefinedError, match="Run the cell that defines it"):
        handle.query("items")
