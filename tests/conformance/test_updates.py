"""Updates: accepted, rejected without an event, carried out by sync and async handlers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, count, edit, settle

from evercell import events as e
from evercell import step, workflow
from evercell.errors import (
    HandlerNotFoundError,
    NotStorableError,
    QueryMutatedError,
    UpdateRejectedError,
    UsageError,
    WorkflowBlockedError,
    WorkflowClosedError,
    WorkflowNotDefinedError,
)

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


@step
async def double(number: int) -> int:
    return 2 * number


@workflow(name="account")
async def account() -> int:  # noqa: C901 - a handler of each kind
    balance = 0
    closed = False

    @workflow.update
    def deposit(amount: int) -> int:
        nonlocal balance
        balance += amount
        return balance

    @deposit.validator
    def positive(amount: int) -> None:
        if amount <= 0:
            raise ValueError("a deposit is positive")

    @workflow.update
    async def deposit_twice(amount: int) -> int:
        nonlocal balance
        balance += await double(amount)
        await asyncio.sleep(5)
        return balance

    @workflow.update
    def fails() -> None:
        raise KeyError("inside")

    @workflow.update
    def unstorable() -> Any:
        return (number for number in range(3))

    @workflow.update
    async def never() -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.update
    def sneaky() -> None: ...

    @sneaky.validator
    def acts() -> None:
        double(1)

    @workflow.update
    def close() -> str:
        nonlocal closed
        closed = True
        return "closed"

    await workflow.wait_condition(lambda: closed)
    return balance


def test_accepted_ones_answer_and_are_replayed(world: WorkflowEnvironment) -> None:
    handle = account.start()
    assert handle.update("deposit", 5).result(LIMIT) == 5
    assert handle.update("deposit_twice", amount=10).result(LIMIT) == 25
    world.restart()
    world.worker.define(account)
    assert handle.update("deposit", 1).result(LIMIT) == 26
    assert handle.update("close").result(LIMIT) == "closed"
    assert handle.result(LIMIT) == 26
    assert count(handle, e.UpdateAccepted) == 4
    assert count(handle, e.UpdateCompleted) == 4


def test_a_rejected_one_leaves_no_event(world: WorkflowEnvironment) -> None:
    handle = account.start()
    settle(world)
    before = handle.history()
    with pytest.raises(UpdateRejectedError, match="nothing was recorded: a deposit is positive"):
        handle.update("deposit", -1)
    with pytest.raises(UpdateRejectedError, match="amount of 'deposit' takes int"):
        handle.update("deposit", "much")
    with pytest.raises(HandlerNotFoundError, match="no update 'withdraw'"):
        handle.update("withdraw", 1)
    with pytest.raises(QueryMutatedError):
        handle.update("sneaky")
    assert handle.history() == before
    assert handle.update("deposit", 2).result(LIMIT) == 2


def test_a_handlers_error_is_the_updates(world: WorkflowEnvironment) -> None:
    handle = account.start()
    with pytest.raises(KeyError, match="inside"):
        handle.update("fails").result(LIMIT)
    with pytest.raises(NotStorableError):
        handle.update("unstorable").result(LIMIT)
    with pytest.raises(TimeoutError, match=r"not answered within 0\.001 s; it goes on"):
        handle.update("never").result(0.001)
    assert handle.status == "running"
    assert handle.update("deposit", 2).result(LIMIT) == 2


def test_a_closed_run_takes_none(world: WorkflowEnvironment) -> None:
    handle = account.start()
    handle.update("close").result(LIMIT)
    handle.result(LIMIT)
    before = handle.history()
    with pytest.raises(WorkflowClosedError, match="is closed"):
        handle.update("deposit", 1)
    assert handle.history() == before


@pytest.mark.parametrize("ending", ["close", "terminate", "cancel"])
def test_one_that_its_run_does_not_finish_says_so(world: WorkflowEnvironment, ending: str) -> None:
    handle = account.start()
    waiting = handle.update("never")
    if ending == "close":
        handle.update("close")
    elif ending == "terminate":
        handle.terminate("enough")
    else:
        handle.cancel()
    with pytest.raises(WorkflowClosedError, match="before the update"):
        waiting.result(LIMIT)


def test_one_of_a_run_that_is_blocked_says_so(world: WorkflowEnvironment) -> None:
    @workflow(name="account")
    async def other() -> int:
        return await double(1)

    handle = account.start()
    handle.update("deposit_twice", 1).result(LIMIT)
    waiting = handle.update("never")
    edit(world, other)
    with pytest.raises(WorkflowBlockedError):
        waiting.result(LIMIT)
    edit(world, account)
    assert handle.update("close").result(LIMIT) == "closed"


def test_one_for_a_run_without_its_definition_is_refused(world: WorkflowEnvironment) -> None:
    handle = account.start()
    settle(world)
    world.restart(define=False)
    with pytest.raises(WorkflowNotDefinedError, match="account"):
        handle.update("deposit", 1)


def test_they_are_carried_out_in_order(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[int]:
        order: list[int] = []

        @workflow.update
        async def put(number: int) -> int:
            order.append(number)
            await double(number)
            return len(order)

        await workflow.wait_condition(lambda: len(order) == 5 and workflow.all_handlers_finished())
        return order

    handle = flow.start()
    updates = [handle.update("put", number) for number in range(5)]
    assert min(update.result(LIMIT) for update in updates) >= 1
    assert handle.result(LIMIT) == list(range(5))


def test_workflow_code_sends_none(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow(target: str) -> None:
        workflow.get_handle(target).update("deposit", 5)

    with pytest.raises(UsageError, match="send a signal"):
        flow.start(account.start().run_id).result(LIMIT)
