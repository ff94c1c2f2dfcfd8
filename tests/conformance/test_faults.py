"""What goes wrong in Evercell itself, or in passing, stops one run at most, and not for ever."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, edit, error_of, settle

from evercell import step, workflow
from evercell.errors import HistoryLockedError, HistoryWriteError, WorkflowBlockedError
from evercell.history.workflows import WorkflowHistory

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.testing import WorkflowEnvironment


def once(error: Exception, call: Callable[..., Any]) -> Callable[..., Any]:
    """`call`, which raises `error` the first time."""
    left = [error]

    def instead(*args: Any, **kwargs: Any) -> Any:
        if left:
            raise left.pop()
        return call(*args, **kwargs)

    return instead


@workflow
async def listens() -> Any:
    return await workflow.wait_signal("word")


@workflow
async def sends(target: str) -> str:
    await workflow.get_handle(target).signal("word", 1)
    return "sent"


def test_a_fault_stops_its_run_and_no_other(
    world: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = world.worker.carrier
    monkeypatch.setattr(carrier, "_send", once(RuntimeError("ours"), carrier._send))
    other = listens.start()
    broken = sends.start(other.run_id)
    error = error_of(broken)
    assert isinstance(error, WorkflowBlockedError)
    assert "something in Evercell itself went wrong" in str(error)
    assert "RuntimeError: ours" in str(error)
    assert sends.start(other.run_id).result(LIMIT) == "sent"
    assert other.result(LIMIT) == 1
    assert broken.status == "blocked"


def test_a_fault_of_a_steps_thread_stops_its_run(
    world: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    @step(version=1)
    async def look() -> int:
        return 1

    @workflow(name="looks")
    async def flow() -> int:
        return await look()

    monkeypatch.setattr(
        "evercell.engine.workflow.job.Recorded.completion", once(RuntimeError("ours"), None)
    )
    error = error_of(flow.start())
    assert isinstance(error, WorkflowBlockedError)
    assert "RuntimeError: ours" in str(error)


def test_a_fault_between_two_runs_leaves_the_thread_alive(world: WorkflowEnvironment) -> None:
    def fail() -> None:
        raise RuntimeError("ours")

    world.worker.soon(fail)
    assert sends.start(listens.start().run_id).result(LIMIT) == "sent"


def test_a_history_that_is_locked_for_a_moment(
    world: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    carrier = world.worker.carrier
    locked = once(HistoryLockedError("somebody reads it"), carrier.target)
    monkeypatch.setattr(carrier, "target", locked)
    other = listens.start()
    sender = sends.start(other.run_id)
    with suppress(HistoryLockedError):
        sender.result(LIMIT)
    assert sender.result(LIMIT) == "sent"
    assert other.result(LIMIT) == 1


def test_a_definition_whose_runs_could_not_be_read_is_asked_again(
    world: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    @workflow(name="read again")
    async def flow() -> Any:
        return await workflow.wait_signal("word")

    handle = flow.start()
    settle(world)
    world.restart(define=False)
    read = WorkflowHistory.events
    locked = HistoryLockedError("somebody reads it")
    with monkeypatch.context() as patch:
        patch.setattr(WorkflowHistory, "events", once(locked, read))
        with pytest.raises(HistoryLockedError):
            edit(world, flow)
    edit(world, flow)
    handle.signal("word", "heard")
    assert handle.result(LIMIT) == "heard"


@pytest.mark.parametrize("asynchronous", [False, True])
def test_at_most_once_begins_once_there_is_room(
    world: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, *, asynchronous: bool
) -> None:
    """Its start could not be made durable, so its body was not called: nothing is in doubt."""
    calls: list[int] = []

    @step(at_most_once=True, version=1)
    def pay(amount: int) -> str:
        calls.append(amount)
        return "paid"

    @step(at_most_once=True, version=1)
    async def pay_later(amount: int) -> str:
        return pay.__wrapped__(amount)

    @workflow(name="pays")
    async def flow() -> str:
        return await (pay_later if asynchronous else pay)(5)

    name = "commit_async" if asynchronous else "commit"
    refused = HistoryWriteError("no room")
    monkeypatch.setattr(world.history, name, once(refused, getattr(world.history, name)))
    handle = flow.start()
    with suppress(HistoryWriteError):
        handle.result(LIMIT)
    assert handle.result(LIMIT) == "paid"
    assert calls == [5]
