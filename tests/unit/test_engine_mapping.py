from __future__ import annotations

import asyncio
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evercell.engine.mapping import map_async, map_sync
from evercell.engine.scope import Answered


@given(st.lists(st.tuples(st.booleans(), st.integers()), max_size=40), st.integers(1, 5))
@settings(max_examples=30, deadline=None)
def test_results_stand_in_order_however_they_came(
    items: list[tuple[bool, int]], limit: int
) -> None:
    sync = [Answered(n) if known else (lambda n=n: n) for known, n in items]
    assert map_sync(sync, limit, return_exceptions=False) == [n for _, n in items]

    async def echo(n: int) -> int:
        await asyncio.sleep(0)
        return n

    begun = [Answered(n) if known else (lambda n=n: echo(n)) for known, n in items]
    got = asyncio.run(map_async(begun, limit, return_exceptions=False))
    assert got == [n for _, n in items]


def test_no_more_than_the_limit_at_a_time() -> None:
    lock, inside, most = threading.Lock(), 0, 0
    barrier = threading.Barrier(3, timeout=10)

    def call() -> None:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        barrier.wait()  # three are inside at once, or this breaks
        with lock:
            inside -= 1

    map_sync([call] * 9, 3, return_exceptions=False)
    assert most == 3


def test_after_a_failure_nothing_new_begins_and_what_runs_is_finished() -> None:
    begun: list[int] = []
    finished: list[int] = []
    both_inside = threading.Barrier(2, timeout=10)
    failed = threading.Event()

    def fail() -> None:
        begun.append(0)
        both_inside.wait()
        failed.set()
        raise ValueError("no")

    def slow() -> None:
        begun.append(1)
        both_inside.wait()
        failed.wait()
        finished.append(1)

    def never() -> None:
        begun.append(2)

    with pytest.raises(ValueError, match="no"):
        map_sync([fail, slow, *[never] * 50], 2, return_exceptions=False)
    assert finished == [1]
    assert begun.count(2) < 50


def test_failures_can_be_results() -> None:
    def fail() -> None:
        raise KeyError("x")

    results = map_sync([fail, lambda: 1], 1, return_exceptions=True)
    assert isinstance(results[0], KeyError)
    assert results[1] == 1
