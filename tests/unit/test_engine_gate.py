"""Places: how many calls run at a time and begin in a time, and who is next."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from evercell.engine.gate import Gate, Rate, gate_for, rate
from evercell.engine.retry import RetryPolicy
from evercell.engine.step import step
from evercell.errors import StepTimeoutError, UsageError
from evercell.testing import ManualClock

if TYPE_CHECKING:
    from .conftest import Kernel


@pytest.mark.parametrize(
    ("text", "calls", "seconds"),
    [
        ("60/m", 60, 60.0),
        ("5/10s", 5, 10.0),
        ("1 / 500ms", 1, 0.5),
        ((60, "1m"), 60, 60.0),
        (10, 10, 1.0),
        (0.5, 1, 2.0),
        (2.5, 1, 0.4),
    ],
)
def test_rates_as_people_write_them(text: Any, calls: int, seconds: float) -> None:
    assert rate(text) == Rate(calls, pytest.approx(seconds))


@pytest.mark.parametrize("text", ["", "60", "0/m", "60/x", "-1/s", 0, -1, True, (0, "1m"), (5, 0)])
def test_what_is_no_rate(text: Any) -> None:
    with pytest.raises(UsageError, match="is no rate"):
        rate(text)


def test_no_more_than_so_many_and_the_lowest_priority_first() -> None:
    gate = Gate(2, None, ManualClock())
    admitted: list[str] = []
    tickets = {
        name: gate.enter(priority, lambda name=name: admitted.append(name))  # type: ignore[misc]
        for name, priority in [("a", 5), ("b", 5), ("c", 5), ("d", 1), ("e", 5), ("f", 1)]
    }
    assert admitted == ["a", "b"]
    gate.leave(tickets["c"])  # gave up waiting
    for name in ("a", "b", "d"):
        gate.leave(tickets[name])
        gate.leave(tickets[name])
    assert admitted == ["a", "b", "d", "f", "e"]


def test_no_span_of_the_time_sees_more_than_the_rate() -> None:
    clock = ManualClock()
    gate = Gate(None, Rate(3, 10.0), clock)
    begun: list[float] = []
    for _ in range(9):
        gate.enter(0, lambda: begun.append(clock.monotonic()))
    for _ in range(80):
        clock.advance(0.5)
        gate.pump()
    assert begun == [0.0] * 3 + [10.0] * 3 + [20.0] * 3


def test_one_gate_for_all_definitions_of_a_function() -> None:
    one = gate_for("m.f", 2, None)
    assert gate_for("m.f", 2, None) is one
    assert gate_for("m.g", 2, None) is not one
    assert gate_for("m.f", 3, None) is not one
    assert gate_for("m.f", None, None) is None


class Crowd:
    """Counts how many are in at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.order: list[int] = []
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self.now -= 1


def test_calls_from_tasks_and_threads_share_the_places(kernel: Kernel) -> None:
    crowd = Crowd()

    @step(version=1, max_concurrent=3)
    async def work(n: int) -> int:
        with crowd:
            await asyncio.sleep(0.002)
        return n

    @step(version=1, max_concurrent=2)
    def sync(n: int) -> int:
        with crowd:
            threading.Event().wait(0.002)
        return n

    async def cell() -> list[int]:
        return await asyncio.gather(*(work(n) for n in range(20)))

    with kernel.cell():
        assert asyncio.run(cell()) == list(range(20))
        assert crowd.most == 3
        crowd.most = 0
        assert sync.map(range(12), max_concurrency=8) == list(range(12))
        assert crowd.most == 2
        crowd.most = 0
    assert asyncio.run(cell()) == list(range(20))  # outside a cell, too
    assert crowd.most == 3


def test_the_priority_may_depend_on_the_arguments(kernel: Kernel) -> None:
    order: list[int] = []

    @step(version=1, max_concurrent=1, priority=lambda n: -n)
    async def work(n: int) -> None:
        order.append(n)
        await asyncio.sleep(0)

    async def cell() -> None:
        await asyncio.gather(*(work(n) for n in range(5)))

    with kernel.cell():
        asyncio.run(cell())
    assert order == [0, 4, 3, 2, 1]


def test_a_rate_is_kept_over_retries_and_calls(kernel: Kernel) -> None:
    bodies: list[int] = []
    retry = RetryPolicy(initial_interval=0.001, maximum_attempts=2)

    @step(version=1, rate_limit=(2, 0.1), retry=retry)
    def work(n: int) -> None:
        bodies.append(n)
        if bodies.count(n) == 1:
            raise ConnectionError("the first attempt fails")

    with kernel.cell():
        began = time.monotonic()
        for n in range(3):
            work(n)
        took = time.monotonic() - began
    assert bodies == [0, 0, 1, 1, 2, 2]
    assert took >= 0.2  # the fifth begins two spans after the first, however slow the machine is


def test_who_waits_too_long_for_a_place_fails_for_good(kernel: Kernel) -> None:
    free, busy = threading.Event(), threading.Event()
    second_gave_up = asyncio.Event()

    @step(version=1, max_concurrent=1, schedule_to_start_timeout=0.05)
    def work(n: int) -> int:
        busy.set()
        free.wait(10)
        return n

    @step(version=1, max_concurrent=1, schedule_to_start_timeout=0.05)
    async def work_async(n: int) -> int:
        if n == 1:
            await second_gave_up.wait()
        return n

    async def cell() -> list[Any]:
        first = asyncio.ensure_future(work_async(1))
        await asyncio.sleep(0)
        second = await asyncio.gather(work_async(2), return_exceptions=True)
        second_gave_up.set()
        return [await first, *second]

    with kernel.cell() as scope:
        from contextvars import copy_context

        thread = threading.Thread(target=copy_context().run, args=(work, 1))
        thread.start()
        assert busy.wait(10)
        with pytest.raises(StepTimeoutError, match="waited for a place") as caught:
            work(2)
        assert caught.value.kind == "schedule_to_start"
        free.set()
        thread.join()
        work(3)  # the place is free again
        first, second = asyncio.run(cell())
        assert first == 1
        assert isinstance(second, StepTimeoutError)
        assert scope.activities == {}
    rows = kernel.query("SELECT status, reason FROM steps WHERE status <> 'completed'")
    assert rows == [("failed", "schedule_to_start_timeout")] * 2


def test_a_busy_loop_is_no_wait_for_a_place(kernel: Kernel) -> None:
    @step(version=1, max_concurrent=1, schedule_to_start_timeout=0.01)
    async def work(n: int) -> int:
        return n

    async def cell() -> int:
        call = asyncio.ensure_future(work(1))
        await asyncio.sleep(0)  # it has its place, and hears of it with the loop's next turn
        threading.Event().wait(0.05)
        return await call

    with kernel.cell():
        assert asyncio.run(cell()) == 1


def test_a_cancelled_caller_gives_its_place_back(kernel: Kernel) -> None:
    @step(version=1, max_concurrent=1)
    async def work(n: int) -> int:
        await asyncio.sleep(0.02)
        return n

    async def cell() -> int:
        first = asyncio.ensure_future(work(1))
        await asyncio.sleep(0)
        waiting = asyncio.ensure_future(work(2))
        await asyncio.sleep(0)
        waiting.cancel()
        first.cancel()
        return await asyncio.wait_for(work(3), 10)

    with kernel.cell():
        assert asyncio.run(cell()) == 3
