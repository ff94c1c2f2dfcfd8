"""Steps that fail, time out, are interrupted, or were under way when their process died."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from bodies import calls, double

from evercell.engine.retry import RetryPolicy
from evercell.engine.scope import current_scope
from evercell.engine.step import step
from evercell.errors import (
    HistoryWriteError,
    InDoubtError,
    NotStorableError,
    StepFailedError,
    StepTimeoutError,
)
from evercell.events import StepStarted

if TYPE_CHECKING:
    from .conftest import Kernel


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    calls.clear()


def test_retries_follow_the_policy_and_stand_in_the_history(kernel: Kernel) -> None:
    @step(retry=RetryPolicy(maximum_attempts=3))
    def flaky() -> str:
        calls.append(1)
        if len(calls) < 3:
            raise ConnectionError("busy")
        return "ok"

    with kernel.cell():
        assert flaky() == "ok"
    assert kernel.clock.slept == [1.0, 2.0]
    assert kernel.query("SELECT attempt, status FROM attempts ORDER BY attempt") == [
        (1, "failed"),
        (2, "failed"),
        (3, "completed"),
    ]


class RemoteError(Exception):
    def __init__(self, status: int, *, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status


def test_a_final_failure_is_raised_again_on_resume_and_tried_again_by_its_user(
    kernel: Kernel,
) -> None:
    @step(version=1)
    def broken() -> None:
        calls.append(1)
        raise RemoteError(503, body="down")

    def outcome(*, resuming: bool) -> RemoteError:
        with kernel.cell(resuming=resuming), pytest.raises(RemoteError) as caught:
            broken()
        return caught.value

    first, resumed = outcome(resuming=False), outcome(resuming=True)
    assert calls == [1]
    assert (resumed.status, str(resumed)) == (first.status, str(first))
    outcome(resuming=False)
    assert calls == [1, 1]


def test_an_exception_that_cannot_be_stored_is_raised_as_step_failed(kernel: Kernel) -> None:
    @step(version=1)
    def broken() -> None:
        class LocalError(Exception):
            lock = threading.Lock()

        raise LocalError("no")

    for resuming in (False, True):
        with (
            kernel.cell(resuming=resuming),
            pytest.raises(StepFailedError, match="LocalError: no"),
        ):
            broken()


def test_a_result_that_cannot_be_stored_fails_at_once(kernel: Kernel) -> None:
    @step(retry=RetryPolicy(maximum_attempts=5))
    def make() -> object:
        calls.append(1)
        return threading.Lock()

    with kernel.cell(), pytest.raises(NotStorableError, match=r"make' returned a value"):
        make()
    assert calls == [1]


def test_timeouts(kernel: Kernel) -> None:
    release = threading.Event()

    @step(start_to_close_timeout="20ms")
    def stuck() -> None:
        release.wait()

    @step(start_to_close_timeout="20ms")
    async def stuck_async() -> None:
        await asyncio.Event().wait()

    with kernel.cell():
        with pytest.raises(StepTimeoutError):
            stuck()
        with pytest.raises(StepTimeoutError):
            asyncio.run(stuck_async())
    release.set()


def test_the_bodys_own_timeout_error_is_its_own(kernel: Kernel) -> None:
    @step(start_to_close_timeout="1h")
    async def impatient() -> None:
        raise TimeoutError("mine")

    with kernel.cell(), pytest.raises(TimeoutError, match="mine") as caught:
        asyncio.run(impatient())
    assert not isinstance(caught.value, StepTimeoutError)


def test_an_interrupted_attempt_runs_again(kernel: Kernel) -> None:
    @step(version=1)
    def long() -> str:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        return "done"

    with pytest.raises(KeyboardInterrupt), kernel.cell():
        long()
    with kernel.cell():
        assert long() == "done"
    assert kernel.query("SELECT status, attempts FROM steps") == [("completed", 2)]


def test_at_most_once_in_doubt_is_refused(kernel: Kernel) -> None:
    @step(at_most_once=True, version=1)
    def pay(amount: int) -> str:
        calls.append(amount)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), kernel.cell():
        pay(5)
    with kernel.cell(resuming=True), pytest.raises(InDoubtError, match="pay"):
        pay(5)
    assert calls == [5]


def test_at_most_once_is_durable_before_the_body(kernel: Kernel) -> None:
    seen: list[int] = []

    @step(at_most_once=True, version=1)
    def pay(amount: int) -> str:
        seen.append(current_scope().history.query("SELECT count(*) FROM steps").rows[0][0])
        return "paid"

    with kernel.cell():
        pay(5)
    assert seen == [1]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("why", [HistoryWriteError("no room"), KeyboardInterrupt()])
def test_at_most_once_whose_start_was_not_waited_for_is_not_in_doubt(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch, *, asynchronous: bool, why: BaseException
) -> None:
    @step(at_most_once=True, version=1)
    def pay(amount: int) -> str:
        calls.append(amount)
        return "paid"

    @step(at_most_once=True, version=1, name="pay")
    async def pay_later(amount: int) -> str:
        return pay.__wrapped__(amount)

    def called() -> str:
        return asyncio.run(pay_later(5)) if asynchronous else pay(5)

    def refuse(*_events: object) -> None:
        raise why

    def cut_off() -> None:
        with kernel.cell() as scope, monkeypatch.context() as patch:
            patch.setattr(scope.history, "commit_async" if asynchronous else "commit", refuse)
            called()

    with pytest.raises(type(why)):
        cut_off()
    assert calls == []
    with kernel.cell(resuming=True):
        assert called() == "paid"
    assert calls == [5]
    assert kernel.query("SELECT attempt, status FROM attempts ORDER BY attempt") == [
        (1, "failed"),
        (2, "completed"),
    ]


def test_a_started_step_of_a_dead_process_is_in_doubt_and_runs_again(kernel: Kernel) -> None:
    with kernel.cell() as scope:
        call = scope.enter(double, (1,))
        scope.history.append(
            StepStarted(
                scope.run_id,
                0,
                call.activity_id,
                scope.cell,
                scope.slot,
                "double",
                call.key,
                0,
                "{}",
            )
        )
    assert kernel.query("SELECT status FROM steps") == [("in doubt",)]
    with kernel.cell(resuming=True):
        assert double(1) == 2
    assert kernel.query("SELECT status, attempts FROM steps") == [("completed", 2)]
