"""continue_as_new: fresh histories, signals that go with it, whoever waits follows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from conformance_kit import LIMIT, count, error_of, settle

from evercell import events as e
from evercell import step, workflow
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evercell.testing import WorkflowEnvironment


def test_whoever_waits_follows(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow(n: int, total: int = 0) -> int:
        await asyncio.sleep(60)
        if n > 0:
            workflow.continue_as_new(n - 1, total=total + n)
        return total

    handle = flow.start(4, id="chain")
    assert handle.result(LIMIT) == 10
    assert handle.status == "continued as new"
    assert workflow.get_handle("chain").status == "completed"
    assert workflow.get_handle("chain").run_id != handle.run_id


def test_signals_that_nobody_took_go_with_it(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow(taken: list[int]) -> list[int]:
        number = await workflow.wait_signal("n", int)
        if number > 0:
            await asyncio.sleep(60)
            workflow.continue_as_new([*taken, number])
        return taken

    handle = flow.start([])
    for number in (1, 2, 3):
        handle.signal("n", number)
    world.sleep(61)
    handle.signal("n", 0)  # the handle is of a run that is over: its successor takes it
    assert handle.result(LIMIT) == [1, 2, 3]


def test_a_patch_is_new_in_a_run_that_begins_with_signals(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow(round_: int) -> list[bool]:
        if round_ == 0:
            await asyncio.sleep(60)
            workflow.continue_as_new(1)
        first = workflow.is_replaying()
        return [workflow.patched("new-way"), first]

    handle = flow.start(0)
    handle.signal("early")
    assert handle.result(LIMIT) == [True, False]


def test_a_handle_reaches_the_run_that_goes_on(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow(round_: int) -> str:
        @workflow.query
        def where() -> int:
            return round_

        @workflow.update
        def add(n: int) -> int:
            return round_ + n

        if round_ < 2:
            await asyncio.sleep(60)
            workflow.continue_as_new(round_ + 1)
        return str(await workflow.wait_signal("word"))

    handle = flow.start(0)
    world.sleep(200)
    assert handle.query("where") == 2
    assert handle.update("add", 10).result(LIMIT) == 12
    handle.cancel()
    assert type(error_of(handle)).__name__ == "WorkflowCanceledError"


def test_a_parent_waits_for_the_whole_chain(world: WorkflowEnvironment) -> None:
    @workflow
    async def child(n: int) -> str:
        await asyncio.sleep(60)
        if n:
            workflow.continue_as_new(n - 1)
        return "at last"

    @workflow
    async def parent() -> str:
        return str(await child.run(3))

    handle = parent.start()
    world.sleep(100)
    world.restart()
    assert handle.result(LIMIT) == "at last"


def test_what_was_set_on_the_run_goes_with_it(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow(n: int) -> str:
        if n:
            workflow.upsert_search_attributes({"round": 1, "kind": "b"})
            workflow.upsert_memo({"note": "x"})
            await asyncio.sleep(60)
            workflow.continue_as_new(0)
        return str(await workflow.wait_signal("word"))

    handle = flow.start(1, id="described", search_attributes={"kind": "a"}, memo={"who": "me"})
    world.sleep(61)
    found = workflow.get_handle("described").describe()
    assert found.search_attributes == {"round": 1, "kind": "b"}
    assert found.memo == {"who": "me", "note": "x"}
    workflow.get_handle("described").signal("word", "end")
    assert handle.result(LIMIT) == "end"


def test_it_ends_steps_and_leaves_no_second_run(world: WorkflowEnvironment) -> None:
    calls: list[int] = []

    @step
    async def note(n: int) -> None:
        calls.append(n)

    @workflow
    async def flow(n: int) -> int:
        await note(n)
        if n < 3:
            workflow.continue_as_new(n + 1)
        return n

    handle = flow.start(0)
    assert handle.result(LIMIT) == 3
    world.restart()
    assert calls == [0, 1, 2, 3]
    assert count(handle, e.StepStarted) == 1


def test_arguments_are_checked(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow(n: int) -> str:
        try:
            workflow.continue_as_new(number for number in range(n))
        except NotStorableError:
            return "refused"

    handle = flow.start(1)
    assert handle.result(LIMIT) == "refused"


def test_from_a_helper_and_not_from_outside(world: WorkflowEnvironment) -> None:
    from evercell.errors import UsageError

    def again(n: int) -> None:
        workflow.continue_as_new(n - 1)

    @workflow
    async def flow(n: int) -> str:
        if n:
            again(n)
        return "end"

    assert flow.start(2).result(LIMIT) == "end"
    with pytest.raises(UsageError, match="for the code of an @workflow function"):
        workflow.continue_as_new(1)
    settle(world)


def test_signals_outlive_runs_that_go_on_at_once(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow(number: int) -> list[str]:
        if number == 1:
            await asyncio.sleep(60)
        if number < 4:
            workflow.continue_as_new(number + 1)
        return [await workflow.wait_signal("word"), await workflow.wait_signal("word")]

    handle = flow.start(1)
    settle(world)
    handle.signal("word", "a")
    handle.signal("word", "b")
    assert handle.result(LIMIT) == ["a", "b"]


@pytest.mark.parametrize("canceled", [False, True])
def test_what_is_being_recorded_when_a_run_goes_on_is_not_lost(
    world: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, canceled: bool
) -> None:
    """A signal, or a wish for cancellation, that is durable and has not reached the code yet."""

    @workflow
    async def flow(number: int) -> str:
        if number == 1:
            await asyncio.sleep(60)
            workflow.continue_as_new(2)
        try:
            return str(await workflow.wait_signal("word"))
        except asyncio.CancelledError:
            return "canceled"

    handle = flow.start(1)
    settle(world)
    worker, history = world.worker, world.worker.history
    held: list[Callable[[], None]] = []
    commit_then = history.commit_then
    inputs = (e.TimerFired, e.SignalReceived, e.CancelRequested)

    def hold(events: Sequence[e.Event], tell: Callable[[str | None], None]) -> None:
        if events and isinstance(events[0], inputs):
            commit_then(events, lambda failure: held.append(lambda: tell(failure)))
        else:
            commit_then(events, tell)

    monkeypatch.setattr(history, "commit_then", hold)
    world.clock.advance(60)
    for _ in range(2):  # its thread looks at the time after each
        worker.call(lambda: None).result(LIMIT)
    if canceled:
        handle.cancel()
    else:
        handle.signal("word", "kept")
    assert len(held) == 2
    monkeypatch.undo()
    for (
        release
    ) in held:  # the timer, by which the run goes on; then what came while it was recorded
        release()
    assert handle.result(LIMIT) == ("canceled" if canceled else "kept")
