"""The numbers of a workflow's equal calls, which a replay does not count before they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from evercell import step, workflow
from evercell.engine.workflow.asks import Asks
from evercell.events import StepStarted
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from pathlib import Path

    from evercell.engine.workflow.handle import WorkflowHandle


def started(key: bytes) -> StepStarted:
    return StepStarted("run", 1, "step", "", "workflow", "name", key + b"version", 0, "{}")


def test_new_calls_are_counted_behind_the_recorded_ones() -> None:
    one, two = b"1" * 16, b"2" * 16
    asks = Asks("run", [started(one), started(two), started(one)])
    assert [asks.next_ordinal(key) for key in (one, two, b"3" * 16, one)] == [2, 1, 0, 3]


@step
async def throw(sides: int) -> int:
    return sides


@workflow
async def throws() -> int:
    total = await throw(6) + await throw(6) + await throw(20)
    await workflow.wait_signal("more")
    return total + await throw(6) + await throw(20)


def ordinals(environment: WorkflowEnvironment, handle: WorkflowHandle[int]) -> list[int]:
    (events,) = environment.history.workflows.events([handle.run_id]).values()
    return [event.ordinal for event in events if isinstance(event, StepStarted)]


@pytest.mark.parametrize("restarts", [0, 1, 2])
def test_equal_calls_have_the_same_numbers_after_a_replay(tmp_path: Path, restarts: int) -> None:
    with WorkflowEnvironment(tmp_path) as environment:
        handle = throws.start()
        for _ in range(restarts):
            environment.restart(define=False)
            environment.worker.define(throws)
        handle.signal("more")
        assert handle.result(60) == 58
        assert ordinals(environment, handle) == [0, 1, 0, 2, 1]
