"""Commands for workflows: from other processes by letter, and refused where they don't fit."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pydantic
import pytest

import evercell
from evercell import step, workflow
from evercell.engine import commands
from evercell.errors import StepCanceledError, UsageError, WorkflowClosedError
from evercell.events import ApprovalRequested, CommandReceived, StepStarted

if TYPE_CHECKING:
    from evercell.engine.workflow.handle import WorkflowHandle
    from evercell.testing import WorkflowEnvironment


class Form(pydantic.BaseModel):
    name: str
    copies: int = 1


def asked(handle: WorkflowHandle[object]) -> str:
    """The activity id of the run's last approval."""
    return [e.activity_id for e in handle.history() if isinstance(e, ApprovalRequested)][-1]


def under_way(handle: WorkflowHandle[object]) -> str:
    """The activity id of the run's last step."""
    return [e.activity_id for e in handle.history() if isinstance(e, StepStarted)][-1]


def test_an_approval_takes_a_form_once(env: WorkflowEnvironment) -> None:
    @workflow
    async def ask() -> str:
        yes = await workflow.approval("Go?")
        form = await workflow.approval("Which?", Form, timeout="3d")
        return f"{yes} {form!r}"

    handle = ask.start()
    env.sleep(1)
    receiver = env.worker.receiver
    answer = commands.Answer(handle.run_id, asked(handle), True, by="me")
    receiver.receive("c1", answer)
    receiver.receive("c1", answer)  # delivered twice
    env.sleep(1)
    bad, view = commands.enclosed(env.history, {"copies": "many"}, {})
    with pytest.raises(UsageError, match="the approval"):
        receiver.receive("c2", commands.Answer(handle.run_id, asked(handle), True, bad, view))
    env.restart()
    good, view = commands.enclosed(env.history, {"name": "a"}, {})
    env.worker.receiver.receive(
        "c3", commands.Answer(handle.run_id, asked(handle), True, good, view)
    )
    assert handle.result(30) == "True Form(name='a', copies=1)"
    with pytest.raises(WorkflowClosedError):
        env.worker.receiver.receive("c4", answer)


def test_a_handle_answers_what_its_run_waits_for(env: WorkflowEnvironment) -> None:
    @workflow
    async def ask() -> list[object]:
        both = await asyncio.gather(workflow.approval("One?"), workflow.approval("Two?"))
        form = await workflow.approval("Which?", Form)
        return [*both, form, await workflow.approval("More?", Form)]

    handle = ask.start()
    env.sleep(1)
    with pytest.raises(UsageError, match="2 approvals"):
        handle.answer()
    for approval in [e for e in handle.history() if isinstance(e, ApprovalRequested)]:
        handle.answer(approval.prompt == "One?", activity_id=approval.activity_id)
    env.sleep(1)
    handle.answer({"name": "a", "copies": 2})
    env.sleep(1)
    handle.answer(False)
    assert handle.result(30) == [True, False, Form(name="a", copies=2), None]
    with pytest.raises(WorkflowClosedError):
        handle.answer()


def test_an_approval_that_expires_raises(env: WorkflowEnvironment) -> None:
    @workflow
    async def ask() -> str:
        try:
            return str(await workflow.approval("Go?", timeout="3d"))
        except TimeoutError:
            return "too late"

    handle = ask.start()
    env.sleep("4d")
    assert handle.result(30) == "too late"
    with pytest.raises(WorkflowClosedError):
        env.worker.receiver.receive(
            "c1", commands.Answer(handle.run_id, asked(handle), approved=True)
        )


def test_a_signal_comes_once_over_a_restart(env: WorkflowEnvironment) -> None:
    @workflow
    async def count() -> list[object]:
        first = await workflow.wait_signal("n", int)
        return [first, await workflow.wait_signal("n", int)]

    handle = count.start()
    payload, view = commands.enclosed(env.history, [[1], {}], {})
    letter = commands.Signal(handle.run_id, "n", payload, view)
    env.worker.receiver.receive("c1", letter)
    env.restart(define=False)
    env.worker.receiver.receive("c1", letter)  # its definition is missing: still known
    other, view = commands.enclosed(env.history, [[2], {}], {})
    env.worker.receiver.receive("c2", commands.Signal(handle.run_id, "n", other, view))
    env.worker.define(count)
    assert handle.result(30) == [1, 2]


def test_a_step_is_skipped_and_cancelled(env: WorkflowEnvironment) -> None:
    release = threading.Event()

    @step
    async def slow(x: int) -> int:
        await asyncio.to_thread(release.wait)
        return x

    @workflow
    async def flow() -> list[object]:
        seen: list[object] = [await slow(1)]
        try:
            await slow(2)
        except StepCanceledError as error:
            seen.append("cancelled" if "enough" in str(error) else str(error))
        return seen

    handle = flow.start()
    receiver = env.worker.receiver
    _await_step(env, handle, 1)
    value, view = commands.enclosed(env.history, 10, {})
    skip = commands.Skip(handle.run_id, under_way(handle), value, view, "me")
    receiver.receive("c1", skip)
    _await_step(env, handle, 2)
    receiver.receive("c1", skip)  # delivered twice
    cancel = commands.CancelActivity(handle.run_id, under_way(handle), "enough")
    receiver.receive("c2", cancel)
    receiver.receive("c2", cancel)
    assert handle.result(30) == [10, "cancelled"]
    release.set()
    (row,) = env.history.query("select reason from steps where status = 'completed'").rows
    assert row == ("skipped by me",)
    with pytest.raises(WorkflowClosedError):
        receiver.receive("c3", commands.RetryNow(handle.run_id, under_way(handle)))


def _await_step(env: WorkflowEnvironment, handle: WorkflowHandle[object], count: int) -> None:
    """Until the run's n-th step runs."""
    for _ in range(2000):
        started = [e for e in handle.history() if isinstance(e, StepStarted)]
        if len(started) == count and started[-1].activity_id in env.worker.runner.controls:
            return
    raise AssertionError("the step did not begin")


def test_cancel_and_terminate_by_command(env: WorkflowEnvironment) -> None:
    @workflow
    async def wait() -> str:
        try:
            await workflow.wait_signal("never")
        except asyncio.CancelledError:
            return "cleaned up"
        return "?"

    first, second = wait.start(), wait.start()
    env.worker.receiver.receive("c1", commands.CancelRun(first.run_id, "enough"))
    terminate = commands.Terminate(second.run_id, "enough", "me")
    env.worker.receiver.receive("c2", terminate)
    assert first.result(30) == "cleaned up"
    assert second.status == "terminated"
    env.worker.receiver.receive("c2", terminate)  # delivered twice
    told = [event for event in second.history() if isinstance(event, CommandReceived)]
    assert [(event.command_id, event.command, event.by) for event in told] == [
        ("c2", "terminate", "me")
    ]


def test_an_answer_to_a_run_that_ends_meanwhile_is_refused(
    env: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    @workflow
    async def ask() -> bool:
        return await workflow.approval("Go?")

    handle = ask.start()
    env.sleep(1)
    worker, call = env.worker, env.worker.call

    def call_and_end(function: Any) -> Any:
        monkeypatch.undo()
        answered = call(function)
        handle.terminate()
        return answered

    monkeypatch.setattr(worker, "call", call_and_end)
    with pytest.raises(WorkflowClosedError):
        handle.answer()


def test_workflow_code_waits_by_the_same_names(env: WorkflowEnvironment) -> None:
    @workflow
    async def flow() -> list[object]:
        await evercell.sleep("3d")
        word = await evercell.wait_signal("go", str)
        return [word, await evercell.approval("Deploy?", timeout="1d")]

    handle = flow.start()
    env.sleep("3d")
    handle.signal("go", "now")
    env.sleep(1)
    handle.answer(False)
    assert handle.result(30) == ["now", False]
