"""Time limits, heartbeats, and failures as their code describes them, in sync and async bodies."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from bodies import QUICK, both, ends, seen

from evercell.engine.context import current_step, heartbeat, heartbeat_details
from evercell.engine.retry import RetryPolicy
from evercell.engine.step import step
from evercell.errors import (
    ApplicationError,
    NotInKernelError,
    NotStorableError,
    StepTimeoutError,
    UsageError,
)
from evercell.events import Event, HeartbeatRecorded

if TYPE_CHECKING:
    from evercell.engine.scope import Scope

    from .conftest import Kernel


@pytest.fixture(autouse=True)
def _nothing_seen() -> None:
    seen.clear()


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
