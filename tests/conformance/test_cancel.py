"""Cancellation: before the start, in flight, shielded, with clean-up; termination asks nobody."""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

import pytest
from conformance_kit import LIMIT, Gate, count, error_of, settle

from evercell import events as e
from evercell import step, workflow
from evercell.errors import (
    WorkflowCanceledError,
    WorkflowClosedError,
    WorkflowFailedError,
    WorkflowTerminatedError,
)

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


def test_before_its_code_is_there(world: WorkflowEnvironment) -> None:
    calls: list[str] = []

    @step
    async def note(text: str) -> None:
        calls.append(text)

    @workflow(name="late")
    async def flow() -> None:
        await asyncio.sleep(3600)
        await note("after")

    handle = flow.start()
    settle(world)
    world.restart(define=False)
    handle.cancel("not any more")
    assert handle.status == "not defined"
    world.worker.define(flow)
    error = error_of(handle)
    assert isinstance(error, WorkflowCanceledError)
    assert "not any more" in str(error)
    assert calls == []


def test_a_child_that_has_not_begun(world: WorkflowEnvironment) -> None:
    @workflow
    async def child() -> str:
        return str(await workflow.wait_signal("word"))

    @workflow
    async def parent() -> str:
        handle = asyncio.ensure_future(child.run())
        handle.cancel()
        await asyncio.sleep(1)
        return "went on"

    handle = parent.start()
    assert handle.result(LIMIT) == "went on"


def test_in_flight_a_step_is_cancelled(world: WorkflowEnvironment) -> None:
    gate = Gate()

    @step
    async def slow() -> None:
        await gate.pass_through()

    @workflow
    async def flow() -> None:
        await slow()

    handle = flow.start()
    gate.wait()
    handle.cancel("stop")
    assert isinstance(error_of(handle), WorkflowCanceledError)
    assert gate.canceled.wait(LIMIT)
    assert count(handle, e.StepCanceled) == 1
    assert count(handle, e.StepCompleted) == 0
    assert handle.status == "canceled"
    assert handle.describe().error == "stop"


def test_a_step_that_a_timeout_cancels(world: WorkflowEnvironment) -> None:
    gates = Gate(), Gate()

    @step
    async def slow(number: int) -> int:
        await gates[number].pass_through()
        return number

    @workflow
    async def flow() -> int:
        tasks = [asyncio.ensure_future(slow(number)) for number in range(2)]
        await workflow.wait_signal("enough")
        tasks[0].cancel()
        return await tasks[1]

    handle = flow.start()
    for gate in gates:
        gate.wait()
    handle.signal("enough")
    assert gates[0].canceled.wait(LIMIT)
    gates[1].open()
    assert handle.result(LIMIT) == 1


def test_shielded_work_goes_on(world: WorkflowEnvironment) -> None:
    gate = Gate()

    @step
    async def slow() -> str:
        await gate.pass_through()
        return "kept"

    @workflow
    async def flow() -> str:
        work = asyncio.ensure_future(slow())
        try:
            await asyncio.shield(work)
        except asyncio.CancelledError:
            return f"{await work} in spite of it"
        return "?"

    handle = flow.start()
    gate.wait()
    handle.cancel()
    settle_signal = handle.history
    assert settle_signal()
    gate.open()
    assert handle.result(LIMIT) == "kept in spite of it"
    assert handle.status == "completed"


def test_clean_up_runs_and_may_wait(world: WorkflowEnvironment) -> None:
    calls: list[str] = []

    @step
    async def note(text: str) -> None:
        calls.append(text)

    @workflow
    async def flow() -> None:
        try:
            await workflow.wait_signal("never")
        finally:
            await asyncio.sleep(5)
            await note("cleaned up")

    handle = flow.start()
    settle(world)
    handle.cancel("bye")
    assert isinstance(error_of(handle), WorkflowCanceledError)
    assert calls == ["cleaned up"]
    world.restart()
    assert handle.status == "canceled"
    assert calls == ["cleaned up"]


def test_one_that_is_caught_is_over(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> str:
        for _ in range(2):
            try:
                await workflow.wait_signal("word")
            except asyncio.CancelledError:
                continue
        return "stubborn"

    handle = flow.start()
    settle(world)
    handle.cancel()
    handle.cancel()
    assert handle.result(LIMIT) == "stubborn"
    with pytest.raises(WorkflowClosedError):
        handle.cancel()


def test_a_task_that_its_own_code_cancels_is_a_bug(world: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> None:
        task = asyncio.ensure_future(asyncio.sleep(5))
        await asyncio.sleep(0)
        task.cancel()
        await task

    error = error_of(flow.start())
    assert isinstance(error, WorkflowFailedError)
    assert "cancelled its own task" in str(error)


def test_termination_asks_nobody(world: WorkflowEnvironment) -> None:
    calls: list[str] = []

    @step
    def note(text: str) -> None:
        calls.append(text)

    @step
    async def note_async(text: str) -> None:
        calls.append(text)

    @workflow
    async def flow() -> None:
        async def beside() -> None:
            try:
                await asyncio.sleep(86_400)
            finally:
                note("beside")

        beside_it = asyncio.ensure_future(beside())
        try:
            await workflow.wait_signal("never")
        finally:
            note("clean-up")
            await note_async("clean-up")
            await beside_it

    handle = flow.start()
    settle(world)
    handle.terminate("enough")
    error = error_of(handle)
    assert isinstance(error, WorkflowTerminatedError)
    assert "enough" in str(error)
    gc.collect()
    assert calls == []
    assert count(handle, e.StepStarted) == 0


def test_what_is_left_when_a_run_ends_does_nothing_more(world: WorkflowEnvironment) -> None:
    calls: list[str] = []

    @step
    def note(text: str) -> None:
        calls.append(text)

    @workflow
    async def flow() -> str:
        async def beside() -> None:
            try:
                await asyncio.sleep(86_400)
            finally:
                note("beside")

        asyncio.ensure_future(beside())  # noqa: RUF006 - left behind on purpose
        await asyncio.sleep(0)
        return "done"

    handle = flow.start()
    assert handle.result(LIMIT) == "done"
    gc.collect()
    assert calls == []


def test_a_restart_runs_no_clean_up(world: WorkflowEnvironment) -> None:
    calls: list[str] = []

    @step
    def note(text: str) -> None:
        calls.append(text)

    @workflow
    async def flow() -> str:
        try:
            return str(await workflow.wait_signal("word"))
        finally:
            note("clean-up")

    handle = flow.start()
    settle(world)
    world.restart()
    gc.collect()
    assert calls == []
    handle.signal("word", "x")
    assert handle.result(LIMIT) == "x"
