"""Child workflows: results, failures, each parent-close policy, cancellation, cycles."""

from __future__ import annotations

import asyncio
import gc
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

import pytest
from conformance_kit import LIMIT, count, error_of, settle

from evercell import events as e
from evercell import step, workflow
from evercell.errors import (
    UsageError,
    WorkflowAlreadyStartedError,
    WorkflowCanceledError,
    WorkflowError,
    WorkflowTerminatedError,
)

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment

Policy = Literal["terminate", "request_cancel", "abandon"]


def test_results_and_failures_come_back(world: WorkflowEnvironment) -> None:
    @workflow
    async def child(number: int) -> int:
        await asyncio.sleep(number)
        if number == 3:
            raise ValueError("three")
        return 10 * number

    @workflow
    async def parent() -> list[Any]:
        handle = child.start(5)
        results: list[Any] = list(
            await asyncio.gather(*(child.run(n) for n in (1, 2, 3)), return_exceptions=True)
        )
        return [*results[:2], repr(results[2]), await handle]

    handle = parent.start()
    assert handle.result(LIMIT) == [10, 20, "ValueError('three')", 50]
    world.restart()
    assert handle.result(LIMIT) == [10, 20, "ValueError('three')", 50]


def test_a_childs_failure_fails_a_parent_that_does_not_catch_it(world: WorkflowEnvironment) -> None:
    @workflow
    async def child() -> None:
        raise ValueError("below")

    @workflow
    async def parent() -> None:
        await child.run()

    error = error_of(parent.start())
    assert isinstance(error, ValueError)
    assert str(error) == "below"


@pytest.mark.parametrize(
    ("policy", "status"),
    [("terminate", "terminated"), ("request_cancel", "canceled"), ("abandon", "running")],
)
@pytest.mark.parametrize("ending", ["returns", "fails", "terminated"])
def test_parent_close_policies(
    world: WorkflowEnvironment, policy: Policy, status: str, ending: str
) -> None:
    @workflow(name=f"child {policy} {ending}")
    async def child() -> str:
        try:
            return str(await workflow.wait_signal("word"))
        except asyncio.CancelledError:
            await asyncio.sleep(1)
            raise

    @workflow(name=f"parent {policy} {ending}")
    async def parent() -> str:
        handle = child.start(parent_close_policy=policy)
        await workflow.wait_signal("end")
        if ending == "fails":
            raise RuntimeError("parent failed")
        return handle.run_id

    handle = parent.start()
    settle(world)
    [started] = [it for it in handle.history() if isinstance(it, e.ChildStarted)]
    below = workflow.get_handle(started.child)
    if ending == "terminated":
        handle.terminate()
    else:
        handle.signal("end")
    error_of(handle) if ending != "returns" else handle.result(LIMIT)
    world.sleep(2)
    assert below.status == status
    if policy == "abandon":
        world.restart()
        below.signal("word", "free")
        assert below.result(LIMIT) == "free"


def test_a_parents_end_is_recorded_before_its_childrens(world: WorkflowEnvironment) -> None:
    @workflow(name="ended below")
    async def below() -> None:
        await workflow.wait_signal("never")

    @workflow(name="ended between")
    async def between() -> None:
        await below.run()

    @workflow(name="ended above")
    async def above() -> None:
        await between.run()

    handle = above.start()
    settle(world)
    handle.terminate()
    recorded = world.history.query(
        """SELECT r.workflow FROM events e JOIN runs r USING (run_id)
        WHERE e.type = 'RunFinished' AND r.workflow LIKE 'ended %' ORDER BY e.position"""
    )
    assert [name for (name,) in recorded.rows] == ["ended above", "ended between", "ended below"]


@pytest.mark.parametrize(
    ("policy", "status"),
    [("terminate", "terminated"), ("request_cancel", "canceled"), ("abandon", "running")],
)
@pytest.mark.parametrize("defined", [True, False])
def test_children_whose_parent_ended_with_its_process_are_closed_by_the_next(
    env: WorkflowEnvironment, policy: Policy, status: str, *, defined: bool
) -> None:
    @workflow
    async def child() -> None:
        try:
            await workflow.wait_signal("never")
        except asyncio.CancelledError:
            await asyncio.sleep(3600)
            raise

    @workflow
    async def parent() -> None:
        await asyncio.gather(*(child.run(parent_close_policy=policy) for _ in range(2)))

    handle = parent.start()
    settle(env)
    children = [it.child for it in handle.history() if isinstance(it, e.ChildStarted)]
    env.worker.close()  # and this stands in the journal, and nothing that follows from it
    env.history.commit(e.RunFinished(handle.run_id, env.clock.now(), "terminated"))
    for _ in range(2):  # it is asked once to cancel what takes its time
        env.restart(define=False)
        if defined:
            env.worker.define(child)
        settle(env)
    env.restart(define=False)
    env.worker.define(child)
    env.sleep("2h")
    below = [workflow.get_handle(run_id) for run_id in children]
    assert [it.status for it in below] == [status] * 2
    assert [count(it, e.CancelRequested) for it in below] == [policy == "request_cancel"] * 2


def test_a_child_that_its_parent_starts_last_is_carried_out_if_abandoned(
    world: WorkflowEnvironment,
) -> None:
    @workflow
    async def child() -> str:
        return "ran"

    @workflow
    async def parent() -> str:
        return child.start(parent_close_policy="abandon").run_id

    below = workflow.get_handle(parent.start().result(LIMIT))
    assert below.result(LIMIT) == "ran"


def test_cancelling_the_wait_cancels_the_child(world: WorkflowEnvironment) -> None:
    @workflow
    async def child() -> None:
        await workflow.wait_signal("never")

    @workflow
    async def parent() -> str:
        handle = child.start()
        with suppress(TimeoutError):
            await asyncio.wait_for(handle, 60)
        await asyncio.sleep(1)
        return handle.run_id

    below = workflow.get_handle(parent.start().result(LIMIT))
    assert isinstance(error_of(below), WorkflowCanceledError)


def test_a_parent_that_is_cancelled_cancels_what_it_waits_for(world: WorkflowEnvironment) -> None:
    @workflow
    async def child() -> str:
        try:
            await workflow.wait_signal("never")
        except asyncio.CancelledError:
            return "cleaned up"
        return "?"

    @workflow
    async def parent() -> None:
        await child.start(parent_close_policy="abandon")

    handle = parent.start()
    settle(world)
    [started] = [it for it in handle.history() if isinstance(it, e.ChildStarted)]
    handle.cancel("stop")
    assert isinstance(error_of(handle), WorkflowCanceledError)
    assert workflow.get_handle(started.child).result(LIMIT) == "cleaned up"


def test_a_child_ended_from_outside_raises_in_its_parent(world: WorkflowEnvironment) -> None:
    @workflow
    async def child() -> None:
        await workflow.wait_signal("never")

    @workflow
    async def parent() -> str:
        handle = child.start(id="below")
        try:
            await handle
        except WorkflowTerminatedError as error:
            return type(error).__name__
        return "?"

    handle = parent.start()
    settle(world)
    workflow.get_handle("below").terminate()
    assert handle.result(LIMIT) == "WorkflowTerminatedError"


def test_a_childs_execution_timeout_raises_in_its_parent(world: WorkflowEnvironment) -> None:
    @workflow(execution_timeout="1h")
    async def child() -> None:
        await workflow.wait_signal("never")

    @workflow
    async def parent() -> str:
        try:
            await child.run()
        except TimeoutError as error:
            return type(error).__name__
        return "?"

    assert parent.start().result(LIMIT) == "WorkflowTimeoutError"


def test_a_childs_id_that_is_taken(world: WorkflowEnvironment) -> None:
    @workflow
    async def child() -> None:
        await workflow.wait_signal("never")

    @workflow
    async def parent() -> str:
        child.start(id="only one")
        try:
            await child.start(id="only one")
        except WorkflowAlreadyStartedError:
            return "refused"
        return "?"

    @workflow
    async def existing() -> str:
        try:
            child.start(id="x", id_conflict_policy="use_existing")
        except UsageError:
            return "usage"
        return "?"

    assert parent.start().result(LIMIT) == "refused"
    assert existing.start().result(LIMIT) == "usage"


@pytest.mark.parametrize("through", [0, 1])
def test_a_workflow_that_would_start_itself_for_ever_is_refused(
    world: WorkflowEnvironment, through: int
) -> None:
    @workflow(name=f"first {through}")
    async def first(number: int) -> str:
        if through:
            return str(await second.run(number))
        return str(await first.run(number))

    @workflow(name=f"second {through}")
    async def second(number: int) -> str:
        return str(await first.run(number))

    handle = first.start(7)
    error = error_of(handle)
    assert isinstance(error, WorkflowError)
    assert "for ever" in str(error)
    assert handle.status == "failed"


def test_a_refused_cycle_is_refused_in_a_replay_also_without_its_ancestors(
    world: WorkflowEnvironment,
) -> None:
    @workflow(name="above")
    async def above() -> None:
        await below.start(parent_close_policy="abandon")

    @workflow(name="below")
    async def below() -> str:
        with suppress(WorkflowError):
            await above.run()
        return str(await workflow.wait_signal("word"))

    handle = above.start()
    settle(world)
    [started] = [it for it in handle.history() if isinstance(it, e.ChildStarted)]
    handle.terminate()
    world.restart()
    child = workflow.get_handle(started.child)
    assert child.status == "running"
    child.signal("word", "went on")
    assert child.result(LIMIT) == "went on"


def test_recursion_that_ends_is_fine(world: WorkflowEnvironment) -> None:
    @workflow(name="factorial")
    async def factorial(n: int) -> int:
        return 1 if n == 0 else n * await factorial.run(n - 1)

    assert factorial.start(6).result(LIMIT) == 720


def test_open_children_go_on_with_their_parent_after_a_restart(world: WorkflowEnvironment) -> None:
    calls: list[int] = []

    @step
    async def note(number: int) -> int:
        calls.append(number)
        return number

    @workflow
    async def child(number: int) -> int:
        await note(number)
        await asyncio.sleep(3600)
        return await note(10 + number)

    @workflow
    async def parent() -> int:
        return sum(await asyncio.gather(*(child.run(n) for n in range(3))))

    handle = parent.start()
    world.sleep(60)
    world.restart()
    gc.collect()
    assert handle.result(LIMIT) == 33
    assert sorted(calls) == [0, 1, 2, 10, 11, 12]


def test_a_child_goes_on_though_its_parent_is_replayed_before_it_is_defined(
    world: WorkflowEnvironment,
) -> None:
    """The parent's replay starts the child, by which its definition is met for the first time."""
    children = []

    @workflow
    async def parent() -> int:
        result: int = await children[0].run(20)
        return 2 * result

    @workflow
    async def child(n: int) -> int:
        await asyncio.sleep(10)
        return n + 1

    children.append(child)
    handle = parent.start()
    settle(world)
    world.restart(define=False)
    world.worker.define(parent)
    world.worker.define(child)
    assert handle.result(LIMIT) == 42


def test_a_child_is_described_with_its_parent(world: WorkflowEnvironment) -> None:
    @workflow
    async def child() -> str | None:
        return workflow.info().parent

    @workflow
    async def parent() -> str | None:
        found: str | None = await child.start(id="named")
        return found

    handle = parent.start()
    assert handle.result(LIMIT) == handle.run_id
    assert workflow.get_handle("named").describe().parent == handle.run_id
