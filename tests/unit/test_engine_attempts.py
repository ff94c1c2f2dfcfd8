"""Time limits, heartbeats, orders and gates, for sync and async bodies alike."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from evercell.engine.context import current_step, heartbeat, heartbeat_details
from evercell.engine.retry import RetryPolicy
from evercell.engine.step import step
from evercell.errors import (
    ApplicationError,
    NotInKernelError,
    NotStorableError,
    StepCanceledError,
    StepTimeoutError,
    UsageError,
)
from evercell.events import Event, HeartbeatRecorded

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.engine.scope import Scope

    from .conftest import Kernel

QUICK = RetryPolicy(initial_interval=0.01, maximum_attempts=3)
seen: list[Any] = []


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


def both(body: Callable[[], Any], **options: Any) -> list[Callable[[], Any]]:
    """A sync and an async step that do `body`, which may give an awaitable, as functions."""

    @step(name="sync", version=1, **options)
    def sync() -> Any:
        found = body()
        return asyncio.run(found) if asyncio.iscoroutine(found) else found

    @step(name="async", version=1, **options)
    async def async_() -> Any:
        found = body()
        return await found if asyncio.iscoroutine(found) else found

    async def call() -> Any:
        return await async_()

    return [sync, lambda: asyncio.run(call())]


def ends(kernel: Kernel) -> list[tuple[Any, ...]]:
    return kernel.query("SELECT status, attempts, reason FROM steps ORDER BY started_at, name DESC")


# -- time limits ----------------------------------------------------------------------------------


def test_an_attempt_that_is_too_long_is_tried_again(kernel: Kernel) -> None:
    async def body() -> int:
        seen.append(1)
        if len(seen) % 3:
            await asyncio.sleep(5)
        return len(seen)

    with kernel.cell():
        for run in both(body, start_to_close_timeout=0.05, retry=QUICK):
            assert run() % 3 == 0
    assert [row[:2] for row in ends(kernel)] == [("completed", 3)] * 2


def test_a_silent_attempt_is_given_up_and_tried_again(kernel: Kernel) -> None:
    async def body() -> str:
        for beat in range(4):
            heartbeat(beat)
            await asyncio.sleep(0.04)
        seen.append(current_step().attempt)
        if current_step().attempt == 1:
            await asyncio.sleep(5)
        return "done"

    with kernel.cell():
        for run in both(body, heartbeat_timeout=0.3, retry=QUICK):
            assert run() == "done"
    assert seen == [1, 2] * 2
    errors = kernel.query("SELECT error FROM attempts WHERE attempt = 1")
    assert all("heartbeat_timeout=0.3s" in error for (error,) in errors)


def test_the_whole_call_has_a_limit_that_no_retry_passes(kernel: Kernel) -> None:
    def fails() -> None:
        seen.append(1)
        raise OSError("busy")

    policy = RetryPolicy(initial_interval=10, backoff_coefficient=1)
    with kernel.cell():
        for run in both(fails, schedule_to_close_timeout=25, retry=policy):
            with pytest.raises(OSError, match="busy"):
                run()
    assert len(seen) == 6
    assert ends(kernel) == [("failed", 3, "schedule_to_close_timeout")] * 2


def test_a_running_body_ends_at_the_limit_of_the_whole_call(kernel: Kernel) -> None:
    with kernel.cell():
        for run in both(lambda: asyncio.sleep(5), schedule_to_close_timeout=0.05, retry=QUICK):
            with pytest.raises(StepTimeoutError, match="schedule_to_close_timeout") as caught:
                run()
            assert caught.value.kind == "schedule_to_close"
    assert ends(kernel) == [("failed", 1, "schedule_to_close_timeout")] * 2


def test_a_timeout_says_after_a_restart_which_it_was(kernel: Kernel) -> None:
    @step(version=1, start_to_close_timeout=0.02)
    def slow() -> None:
        threading.Event().wait(5)

    for resuming in (False, True):
        with kernel.cell(resuming=resuming), pytest.raises(StepTimeoutError) as caught:
            slow()
        assert caught.value.kind == "start_to_close"


@pytest.mark.parametrize("name", ["start_to_close", "schedule_to_close", "schedule_to_start"])
def test_a_limit_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"{name}_timeout must be longer than 0"):
        step(**{f"{name}_timeout": 0})(lambda: None)


def test_the_limits_hold_outside_a_recorded_cell() -> None:
    def body() -> int:
        seen.append(heartbeat_details())
        heartbeat(len(seen))
        assert (current_step().run_id, current_step().attempt) == ("", len(seen))
        if len(seen) == 1:
            threading.Event().wait(5)
        return 7

    @step(heartbeat_timeout=0.1, retry=QUICK)
    def plain() -> int:
        return body()

    assert plain() == 7
    assert seen == [(), (1,)]
    with pytest.raises(NotInKernelError, match="outside a step"):
        heartbeat()
    with pytest.raises(NotInKernelError, match="outside a step"):
        current_step()


# -- heartbeats -----------------------------------------------------------------------------------


def test_the_next_attempt_and_the_next_process_get_the_latest_details(kernel: Kernel) -> None:
    def body() -> str:
        seen.append(heartbeat_details())
        if len(seen) == 4:
            return "done"
        heartbeat(len(seen), {"page": 10 * len(seen)})
        if len(seen) == 3:
            raise KeyboardInterrupt
        raise OSError("busy")

    @step(version=1, retry=RetryPolicy(initial_interval=0.01, maximum_attempts=2))
    def crawl() -> str:
        return body()

    with kernel.cell(), pytest.raises(OSError, match="busy"):
        crawl()
    with kernel.cell(), pytest.raises(KeyboardInterrupt):
        crawl()
    with kernel.cell():
        assert crawl() == "done"
    assert seen == [(), (1, {"page": 10}), (2, {"page": 20}), (3, {"page": 30})]


def beats(scope: Scope) -> list[bytes]:
    """The details of the heartbeats that are recorded."""
    events = scope.history.events(scope.run_id)
    found = [event.payload for event in events if isinstance(event, HeartbeatRecorded)]
    return [scope.history.get(payload) for payload in found if payload is not None]


def test_heartbeats_are_recorded_once_an_interval_and_the_last_one_for_certain(
    kernel: Kernel,
) -> None:
    @step(version=1)
    def work() -> None:
        for n in range(10):
            heartbeat(n)
            kernel.clock.advance(0.3)
        raise OSError("busy")

    with kernel.cell() as scope:
        with pytest.raises(OSError, match="busy"):
            work()
        assert beats(scope) == [b"[0]", b"[4]", b"[8]", b"[9]"]


def test_a_heartbeat_that_was_held_back_is_recorded_by_itself(kernel: Kernel) -> None:
    """A body that goes on for hours after its last heartbeat, and is killed then."""

    recorded = threading.Semaphore(0)

    def listen(events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, HeartbeatRecorded):
                recorded.release()

    @step(version=1)
    def work() -> list[bytes]:
        for word in ("first", "second", "third"):
            heartbeat(word)
        assert recorded.acquire(timeout=10)
        assert recorded.acquire(timeout=10)
        return beats(scope)

    with kernel.cell() as scope:
        scope.history.subscribe(listen)
        assert work() == [b'["first"]', b'["third"]']


def test_details_are_recorded_as_they_were_at_the_call(kernel: Kernel) -> None:
    @step(version=1)
    def work() -> None:
        progress = {"n": 0}
        heartbeat()
        heartbeat(progress)
        progress["n"] = 5
        raise OSError("busy")

    with kernel.cell() as scope:
        with pytest.raises(OSError, match="busy"):
            work()
        details = list(scope.table().heartbeats.values())
        assert scope.history.get(details[0]) == b'[{"n":0}]'


def test_details_that_can_not_be_recorded_fail_the_body(kernel: Kernel) -> None:
    @step(version=1)
    def work() -> None:
        heartbeat(threading.Lock())

    with kernel.cell(), pytest.raises(NotStorableError):
        work()


def test_the_idempotency_key_is_the_same_in_every_attempt_and_no_other_call(
    kernel: Kernel,
) -> None:
    @step(version=1, retry=QUICK)
    def pay(n: int) -> str:
        info = current_step()
        seen.append((n, info.idempotency_key))
        if info.attempt == 1:
            raise OSError("busy")
        return info.name

    with kernel.cell():
        assert "pay" in pay(1)
        pay(2)
    keys = [key for _, key in seen]
    assert keys[0] == keys[1]
    assert keys[2] == keys[3]
    assert keys[0] != keys[2]


# -- what the code says of its failure ------------------------------------------------------------


def test_the_code_says_when_to_try_again_or_not_to(kernel: Kernel) -> None:
    failures = [
        ApplicationError("later", next_retry_delay="90s"),
        ApplicationError("again"),
        ApplicationError("never", {"code": 7}, type="BadInput", non_retryable=True),
    ]

    @step(version=1, retry=RetryPolicy())
    def work() -> None:
        seen.append(1)
        raise failures[len(seen) - 1]

    for resuming in (False, True):
        with kernel.cell(resuming=resuming), pytest.raises(ApplicationError) as caught:
            work()
        assert str(caught.value) == "BadInput: never"
        assert (caught.value.type, caught.value.details) == ("BadInput", ({"code": 7},))
    assert kernel.clock.slept == [90.0, 2.0]
    assert ends(kernel) == [("failed", 3, "non-retryable: its code said so")]


def test_a_policy_knows_errors_by_the_type_that_the_code_gave(kernel: Kernel) -> None:
    @step(version=1, retry=RetryPolicy(non_retryable_error_types=["BadInput"]))
    def work() -> None:
        raise ApplicationError("no", type="BadInput")

    with kernel.cell(), pytest.raises(ApplicationError):
        work()
    assert ends(kernel) == [("failed", 1, "non-retryable: BadInput")]


# -- orders ---------------------------------------------------------------------------------------


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
