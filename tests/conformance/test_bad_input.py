"""Wrong input of each kind is a clear error; the run stays open, can be looked at, and goes on,
also after a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, count, edit, error_of, settle

from evercell import RetryPolicy, Secret, settings, step, workflow
from evercell import events as e
from evercell.engine.workflow.definition import DEFINED
from evercell.errors import (
    HandlerNotFoundError,
    NotStorableError,
    QueryMutatedError,
    RunNotFoundError,
    UpdateRejectedError,
    UsageError,
    WorkflowCallError,
    WorkflowClosedError,
    WorkflowError,
    WorkflowNotDefinedError,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.handle import WorkflowHandle
    from evercell.testing import WorkflowEnvironment


@step(version=1)
async def touch() -> str:
    return "touched"


@workflow(name="open to all")
async def plain() -> int:
    total = 0
    over = False

    @workflow.signal
    def add(number: int) -> None:
        nonlocal total
        total += number

    @workflow.query
    def look() -> int:
        return total

    @workflow.query
    def meddle() -> Any:
        return touch()

    @workflow.update
    def end(last: int) -> int:
        nonlocal over, total
        total += last
        over = True
        return total

    await workflow.wait_condition(lambda: over)
    return total


@pytest.fixture
def handle(world: WorkflowEnvironment) -> Iterator[WorkflowHandle[int]]:
    """A run that wrong input meets; afterwards it is as it was, and goes on to its end."""
    handle = plain.start()
    handle.signal("add", 1)
    settle(world)
    before = handle.history()
    yield handle
    settle(world)
    assert handle.history() == before
    assert handle.status == "running"
    assert handle.query("look") == 1
    world.restart(define=False)
    edit(world, plain)
    assert handle.update("end", 2).result(LIMIT) == 3
    assert handle.result(LIMIT) == 3


# -- messages -----------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [["one"], [], [1, 2], [None]])
def test_a_signal_of_a_wrong_type(handle: WorkflowHandle[int], wrong: list[Any]) -> None:
    with pytest.raises(UsageError, match=r"signal 'add' was not sent: .*'add' takes"):
        handle.signal("add", *wrong)


def test_a_signal_that_cant_be_stored(handle: WorkflowHandle[int]) -> None:
    with pytest.raises(NotStorableError, match=r"signal 'other' was not sent: .*generator"):
        handle.signal("other", (number for number in range(3)))
    settings.change(payload_limit=1000)
    try:
        with pytest.raises(NotStorableError, match="signal 'other' was not sent: it takes 3,0"):
            handle.signal("other", "x" * 3000)
    finally:
        settings.change(payload_limit=None)


def test_a_result_that_is_not_there_in_time(handle: WorkflowHandle[int]) -> None:
    with pytest.raises(TimeoutError, match=f"run {handle.run_id} has not ended within 0.001 s"):
        handle.result(0.001)


def test_an_unknown_run(handle: WorkflowHandle[int]) -> None:
    assert handle.status == "running"
    with pytest.raises(RunNotFoundError, match="'nobody'"):
        workflow.get_handle("nobody").signal("add", 1)
    with pytest.raises(RunNotFoundError, match="'nobody'"):
        workflow.get_handle("nobody").result(LIMIT)


def test_a_query_that_mutates(handle: WorkflowHandle[int]) -> None:
    with pytest.raises(QueryMutatedError, match="make it an update"):
        handle.query("meddle")


def test_a_handler_that_there_is_not(handle: WorkflowHandle[int]) -> None:
    with pytest.raises(HandlerNotFoundError, match="known are: look, meddle"):
        handle.query("looks")
    with pytest.raises(HandlerNotFoundError, match="known are: end"):
        handle.update("ends")


def test_an_update_with_wrong_arguments(handle: WorkflowHandle[int]) -> None:
    with pytest.raises(UpdateRejectedError, match="takes int, and 'two' is none"):
        handle.update("end", "two")


def test_messages_to_a_closed_run(world: WorkflowEnvironment) -> None:
    handle = plain.start()
    settle(world)
    assert handle.update("end", 2).result(LIMIT) == 2
    assert handle.result(LIMIT) == 2
    before = handle.history()
    with pytest.raises(WorkflowClosedError):
        handle.update("end", 3)
    with pytest.raises(WorkflowClosedError):
        handle.signal("add", 3)
    with pytest.raises(WorkflowClosedError):
        handle.cancel()
    assert handle.history() == before
    assert handle.query("look") == 2


# -- values -------------------------------------------------------------------------------------


def test_a_step_that_returns_what_cant_be_stored(world: WorkflowEnvironment) -> None:
    calls: list[int] = []

    @step(retry=RetryPolicy())
    async def opens() -> object:
        calls.append(1)
        return (number for number in range(3))

    @workflow
    async def flow() -> str:
        try:
            await opens()
        except NotStorableError as error:
            return f"{await workflow.wait_signal('on')}: {error.message}"
        return "?"

    handle = flow.start()
    settle(world)
    world.restart()
    handle.signal("on", "went on")
    found = handle.result(LIMIT)
    assert found.startswith("went on: step")
    assert ". Return plain data from a step" in found
    assert calls == [1]


@pytest.fixture
def small_payloads() -> Iterator[None]:
    settings.change(payload_limit=1000)
    yield
    settings.change(payload_limit=None)


@workflow
async def large_argument(text: str) -> int:
    return len(text)


@pytest.mark.usefixtures("small_payloads")
def test_a_payload_over_the_limit_fails_at_once(world: WorkflowEnvironment) -> None:
    calls: list[int] = []

    @step(retry=RetryPolicy())
    async def large(size: int) -> str:
        calls.append(size)
        return "x" * size

    @workflow
    async def flow() -> str:
        assert len(await large(900)) == 900
        try:
            await large(2000)
        except NotStorableError as error:
            return f"{await workflow.wait_signal('on')}: {error.message}"
        return "?"

    handle = flow.start()
    with pytest.raises(NotStorableError, match="payload_limit is 1,000"):
        handle.signal("on", "y" * 2000)
    with pytest.raises(NotStorableError, match="payload_limit is 1,000"):
        large_argument.start("z" * 2000)
    settle(world)
    world.restart()
    handle.signal("on", "still here")
    found = handle.result(LIMIT)
    assert found.startswith("still here: step")
    assert "2,002 bytes" in found
    assert calls == [900, 2000]
    assert count(handle, e.AttemptFailed) == 0


@pytest.mark.usefixtures("small_payloads")
def test_what_a_workflow_gives_has_the_same_limit(world: WorkflowEnvironment) -> None:
    @workflow
    async def returns() -> str:
        return "x" * 2000

    @workflow
    async def sends() -> str:
        try:
            await workflow.get_handle("taker").signal("word", "x" * 2000)
        except NotStorableError:
            return "refused"
        return "?"

    plain.start(id="taker")
    error = error_of(returns.start())
    assert isinstance(error, NotStorableError)
    assert "payload_limit" in str(error)
    assert sends.start().result(LIMIT) == "refused"


def test_a_secret_is_sent_to_no_run(world: WorkflowEnvironment) -> None:
    secret = Secret("a text that nobody is to read")

    @workflow
    async def sends() -> str:
        try:
            await workflow.get_handle("taker").signal("word", [secret.reveal()])
        except NotStorableError:
            return "refused"
        return "?"

    plain.start(id="taker")
    handle = sends.start()
    assert handle.result(LIMIT) == "refused"
    assert not any("nobody is to read" in repr(event) for event in handle.history())


# -- definitions --------------------------------------------------------------------------------


def test_a_cycle_of_children(world: WorkflowEnvironment) -> None:
    @workflow(name="hen")
    async def hen(n: int) -> str:
        return await egg.run(n)

    @workflow(name="egg")
    async def egg(n: int) -> str:
        try:
            return await hen.run(n)
        except WorkflowError as error:
            return f"{await workflow.wait_signal('on')}: {error.message}"

    handle = hen.start(1)
    settle(world)
    world.restart()
    [child] = [event.child for event in handle.history() if isinstance(event, e.ChildStarted)]
    workflow.get_handle(child).signal("on", "no more")
    found = handle.result(LIMIT)
    assert found.startswith("no more: workflow 'hen' would start itself for ever")


def test_a_definition_that_is_missing_on_resume(world: WorkflowEnvironment) -> None:
    handle = plain.start()
    handle.signal("add", 1)
    settle(world)
    DEFINED.clear()
    world.restart()
    assert handle.status == "not defined"
    assert handle.describe().workflow == "open to all"
    for ask in (
        lambda: handle.result(LIMIT),
        lambda: handle.query("look"),
        lambda: handle.update("end", 1),
    ):
        with pytest.raises(WorkflowNotDefinedError, match="Run the cell that defines it"):
            ask()
    handle.signal("add", 4)  # is kept for it
    edit(world, plain)
    assert handle.update("end", 10).result(LIMIT) == 15


def test_a_side_effect_that_raises(world: WorkflowEnvironment) -> None:
    def define(remedy: str) -> Workflow[..., str]:
        def look() -> str:
            if remedy == "none":
                raise FileNotFoundError("settings.json")
            return remedy

        @workflow(name="curious")
        async def flow() -> str:
            found: str = workflow.side_effect(look, name="look")
            return f"{await touch()}: {found}"

        return flow

    wrong = define("none")
    edit(world, wrong)
    handle = wrong.start()
    error = error_of(handle)
    assert isinstance(error.__cause__, WorkflowCallError)
    assert "FileNotFoundError: settings.json" in str(error)
    assert count(handle, e.MarkerRecorded) == 0
    edit(world, define("a default"))
    assert handle.result(LIMIT) == "touched: a default"


def test_code_that_a_replay_could_not_repeat(world: WorkflowEnvironment) -> None:
    """The run is blocked at the call, and goes on with better code."""
    import time

    @workflow(name="impatient")
    async def wrong() -> float:
        await touch()
        return time.time()

    @workflow(name="impatient")
    async def right() -> float:
        await touch()
        return workflow.time()

    edit(world, wrong)
    handle = wrong.start()
    error = error_of(handle)
    assert isinstance(error.__cause__, WorkflowCallError)
    assert "time.time" in str(error)
    assert "workflow.now()" in str(error)
    assert handle.status == "blocked"
    edit(world, right)
    assert handle.result(LIMIT) > 0
    assert count(handle, e.StepCompleted) == 1
