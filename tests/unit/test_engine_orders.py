"""Orders to a running step: cancel it, skip it, try it again now."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from bodies import QUICK, both, ends, seen

from evercell.engine.context import heartbeat
from evercell.engine.retry import RetryPolicy
from evercell.engine.step import step
from evercell.errors import (
    StepCanceledError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.engine.scope import Scope

    from .conftest import Kernel


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


def order(scope: Scope, what: Callable[[Any], None]) -> threading.Thread:
    """Give an order to the next call that begins, from another thread, once its body runs."""

    def work() -> None:
        while not (scope.activities and seen):
            time.sleep(0.001)
        what(next(iter(scope.activities.values())))

    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_running_body_is_cancelled(kernel: Kernel) -> None:
    async def body() -> None:
        seen.append("begun")
        try:
            for _ in range(500):
                heartbeat()
                await asyncio.sleep(0.01)
        except (asyncio.CancelledError, StepCanceledError) as error:
            seen.append(type(error).__name__)
            raise

    recorded: list[int] = []
    with kernel.cell() as scope:
        for run in both(body, retry=QUICK):
            seen.clear()
            thread = order(scope, lambda it: it.cancel("enough", lambda: recorded.append(1)))
            with pytest.raises(StepCanceledError, match="was cancelled: enough"):
                run()
            thread.join()
            assert seen[1] in ("CancelledError", "StepCanceledError")
        assert scope.activities == {}
    assert recorded == [1, 1]
    assert ends(kernel) == [("canceled", 1, "enough")] * 2


def test_a_sync_body_with_a_limit_is_left_at_once_and_ends_at_its_next_heartbeat(
    kernel: Kernel,
) -> None:
    left, ended = threading.Event(), threading.Event()

    @step(version=1, start_to_close_timeout="1m")
    def work() -> None:
        seen.append("begun")
        left.wait(10)
        try:
            heartbeat()
        except StepCanceledError:
            ended.set()

    with kernel.cell() as scope:
        thread = order(scope, lambda it: it.cancel("enough", lambda: None))
        with pytest.raises(StepCanceledError):
            work()
        left.set()
        assert ended.wait(10)
        thread.join()


def test_cancelling_a_step_leaves_its_callers_task_alone(kernel: Kernel) -> None:
    @step(version=1)
    async def work(n: int) -> int:
        seen.append(n)
        if n == 0:
            await asyncio.sleep(5)
        return n

    async def cell() -> list[Any]:
        return await asyncio.gather(*(work(n) for n in range(3)), return_exceptions=True)

    with kernel.cell() as scope:
        thread = order(scope, lambda it: it.cancel("enough", lambda: None))
        first, *rest = asyncio.run(cell())
        thread.join()
    assert isinstance(first, StepCanceledError)
    assert rest == [1, 2]


def test_a_body_that_finishes_in_spite_of_it_has_finished(kernel: Kernel) -> None:
    async def body() -> str:
        seen.append("begun")
        try:
            for _ in range(500):
                heartbeat()
                await asyncio.sleep(0.01)
        except (asyncio.CancelledError, StepCanceledError):
            return "partial"
        return "all"

    with kernel.cell() as scope:
        for run in both(body):
            seen.clear()
            thread = order(scope, lambda it: it.cancel("enough", lambda: None))
            assert run() == "partial"
            thread.join()
    assert [row[0] for row in ends(kernel)] == ["completed"] * 2


@pytest.mark.parametrize("where", ["body", "backoff"])
def test_a_skipped_step_has_the_given_result(kernel: Kernel, where: str) -> None:
    async def body() -> None:
        seen.append("begun")
        if where == "backoff":
            raise OSError("busy")
        for _ in range(500):
            heartbeat()
            await asyncio.sleep(0.01)

    policy = RetryPolicy(initial_interval="1h")
    with kernel.cell() as scope:
        scope.clock = RealTime(kernel)  # type: ignore[assignment]
        payload = scope.history.put(b'{"answer": 1}', "json")
        for run in both(body, retry=policy):
            seen.clear()
            thread = order(scope, lambda it: it.skip(payload, lambda attempt: None))
            assert run() == {"answer": 1}
            thread.join()


class RealTime:
    """The test's ids and dates, and waits that last."""

    def __init__(self, kernel: Kernel) -> None:
        self.now, self.new_id = kernel.clock.now, kernel.clock.new_id
        self.monotonic = time.monotonic

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.wait(seconds)

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def test_the_next_attempt_is_made_now_when_somebody_says_so(kernel: Kernel) -> None:
    def body() -> str:
        seen.append("begun")
        if len(seen) == 1:
            raise OSError("busy")
        return "done"

    def hurry(control: Any) -> None:
        for _ in range(2000):
            try:
                control.retry_now(lambda: recorded.append(1))
            except UsageError:  # its body still runs
                time.sleep(0.001)
            else:
                return

    recorded: list[int] = []
    with kernel.cell() as scope:
        scope.clock = RealTime(kernel)  # type: ignore[assignment]
        for run in both(body, retry=RetryPolicy(initial_interval="1h")):
            seen.clear()
            thread = order(scope, hurry)
            assert run() == "done"
            thread.join()
    assert recorded == [1, 1]


def test_an_order_that_can_not_be_recorded_changes_nothing(kernel: Kernel) -> None:
    def body() -> str:
        control = next(iter(scope.activities.values()))
        for give in (
            lambda: control.cancel("no", broken),
            lambda: control.skip(payload, lambda attempt: broken()),
        ):
            with pytest.raises(OSError, match="disk full"):
                give()
        with pytest.raises(UsageError, match="does not wait"):
            control.retry_now(lambda: None)
        return "done"

    def broken() -> None:
        raise OSError("disk full")

    with kernel.cell() as scope:
        payload = scope.history.put(b"1", "json")
        for run in both(body):
            assert run() == "done"
