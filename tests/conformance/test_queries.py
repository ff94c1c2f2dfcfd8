"""Queries: of running, blocked and finished runs; they leave nothing behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, settle

from evercell import step, workflow
from evercell.errors import (
    HandlerNotFoundError,
    NotStorableError,
    QueryMutatedError,
    UsageError,
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
    def stepping() -> Any:
        return act()

    @workflow.query
    def sleeping() -> Any:
        never_awaited = asyncio.sleep(1)
        try:
            return asyncio.ensure_future(never_awaited)
        finally:
            never_awaited.close()

    @workflow.query
    def marking() -> Any:
        return workflow.side_effect(lambda: 1)

    @workflow.query
    async def awaiting() -> int:
        return 1

    @workflow.query
    def unstorable() -> Any:
        return (number for number in seen)

    while (number := await workflow.wait_signal("add", int)) != 0:
        seen.append(number)
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


@pytest.mark.parametrize(
    "name", ["drawn", "identity", "stepping", "sleeping", "marking", "awaiting"]
)
def test_one_that_mutates_is_refused(world: WorkflowEnvironment, name: str) -> None:
    handle = asked.start()
    settle(world)
    with pytest.raises((QueryMutatedError, RuntimeError)) as caught:
        handle.query(name)
    if name != "sleeping":  # asyncio itself has no loop there
        assert "update" in str(caught.value)
    assert handle.status == "running"
    handle.signal("add", 3)
    handle.signal("add", 0)
    assert handle.result(LIMIT)[0] == 3


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
    assert handle.status == "running"


def test_one_without_its_definition_says_so(world: WorkflowEnvironment) -> None:
    handle = asked.start()
    settle(world)
    world.restart(define=False)
    with pytest.raises(WorkflowNotDefinedError, match="Run the cell that defines it"):
        handle.query("items")
