"""A step's retries in a workflow: Temporal's policy, recorded, answered once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

import pytest
from conformance_kit import LIMIT, count, error_of

from evercell import RetryPolicy, step, workflow
from evercell import events as e

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_it_is_tried_again_until_it_works(world: WorkflowEnvironment, kind: str) -> None:
    calls: list[int] = []

    def body() -> str:
        calls.append(len(calls))
        if len(calls) < 3:
            raise ConnectionError(f"try {len(calls)}")
        return "done"

    policy = RetryPolicy(initial_interval=2, backoff_coefficient=3)
    if kind == "async":

        @step(retry=policy)
        async def flaky() -> str:
            return body()
    else:

        @step(retry=policy)
        def flaky() -> str:  # type: ignore[misc]
            return body()

    @workflow
    async def flow() -> str:
        return await flaky()

    before = world.clock.now()
    handle = flow.start()
    assert handle.result(LIMIT) == "done"
    assert calls == [0, 1, 2]
    failed = [event for event in handle.history() if isinstance(event, e.AttemptFailed)]
    assert [event.retry_delay // 10**9 for event in failed] == [2, 6]
    assert world.clock.now() - before >= 8 * 10**9
    world.restart()
    assert handle.result(LIMIT) == "done"
    assert calls == [0, 1, 2]


def test_a_step_without_a_policy_is_tried_once(world: WorkflowEnvironment) -> None:
    calls: list[int] = []

    @step
    async def fails() -> None:
        calls.append(1)
        raise ValueError("no")

    @workflow
    async def flow() -> None:
        await fails()

    error = error_of(flow.start())
    assert isinstance(error, ValueError)
    assert str(error) == "no"
    assert calls == [1]


def test_it_gives_up_after_maximum_attempts(world: WorkflowEnvironment) -> None:
    calls: list[int] = []

    @step(retry=RetryPolicy(maximum_attempts=4))
    async def fails() -> None:
        calls.append(1)
        raise ConnectionError(str(len(calls)))

    @workflow
    async def flow() -> str:
        try:
            await fails()
        except ConnectionError as error:
            return f"gave up: {error}"
        return "?"

    handle = flow.start()
    assert handle.result(LIMIT) == "gave up: 4"
    assert len(calls) == 4
    assert count(handle, e.AttemptFailed) == 3
    assert count(handle, e.StepFailed) == 1


def test_non_retryable_types_are_not_retried(world: WorkflowEnvironment) -> None:
    calls: list[int] = []

    @step(retry=RetryPolicy(non_retryable_error_types=["LookupError"]))
    async def fails() -> None:
        calls.append(1)
        raise KeyError("gone")  # a subclass

    @workflow
    async def flow() -> None:
        await fails()

    assert isinstance(error_of(flow.start()), KeyError)
    assert calls == [1]


def test_retry_after_of_the_server_replaces_the_backoff(world: WorkflowEnvironment) -> None:
    class Response:
        headers: ClassVar = {"retry-after": "7"}

    class Limited(Exception):  # noqa: N818 - as a client library names it
        response = Response()

    calls: list[int] = []

    @step(retry=RetryPolicy(maximum_attempts=2))
    async def limited() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise Limited
        return "ok"

    @workflow
    async def flow() -> str:
        return await limited()

    handle = flow.start()
    assert handle.result(LIMIT) == "ok"
    [failed] = [event for event in handle.history() if isinstance(event, e.AttemptFailed)]
    assert failed.retry_delay == 7 * 10**9


def test_at_most_once_is_refused_when_in_doubt(world: WorkflowEnvironment) -> None:
    from evercell.errors import InDoubtError

    calls: list[int] = []
    held = asyncio.Event

    @step(at_most_once=True)
    async def pay() -> None:
        calls.append(1)
        await held().wait()

    @workflow
    async def flow() -> str:
        try:
            await pay()
        except InDoubtError:
            return "in doubt"
        return "?"

    handle = flow.start()
    while not calls:
        world.worker.call(lambda: None).result(LIMIT)
    world.restart()
    assert handle.result(LIMIT) == "in doubt"
    assert calls == [1]
