"""Carrying runs on by the thread of a step: in the runs' context, and nothing of the thread's."""

from __future__ import annotations

import asyncio
import sys
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest

from evercell import step, workflow
from evercell.engine.current import calling_workflow, set_calling
from evercell.engine.workflow.turn import Turn
from evercell.errors import HistoryWriteError
from evercell.events import StepStarted
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from evercell.events import Event

_colour: ContextVar[str] = ContextVar("colour", default="none")
_threads: list[str] = []
_ended = threading.Event()
_present: list[asyncio.Future[None]] = []


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkflowEnvironment]:
    """On a disk that counts as quick."""
    monkeypatch.setattr("evercell.history.journal_files.QUICK", 3600.0)
    _threads.clear()
    with WorkflowEnvironment(tmp_path) as environment:
        yield environment


@step
async def double(number: int) -> int:
    _colour.set("a body's")
    return 2 * number


@step
def triple(number: int) -> int:
    _colour.set("a body's")
    return 3 * number


@workflow
async def one_after_another(steps: int) -> list[Any]:
    found: list[Any] = []
    for number in range(steps):
        found.append(await (triple if number % 3 else double)(number))
        with workflow.unsafe():
            _threads.append(threading.current_thread().name)
        found.append(_colour.get())
    return found


def expected(steps: int) -> list[Any]:
    return [it for n in range(steps) for it in ((3 if n % 3 else 2) * n, "none")]


def test_a_turn_is_one_threads() -> None:
    turn = Turn()
    done: list[str] = []

    def while_it_is_taken() -> None:
        other = threading.Thread(target=lambda: done.append(str(turn.take_if_free(list))))
        other.start()
        other.join()

    turn.take(while_it_is_taken)
    assert done == ["False"]
    assert turn.take_if_free(lambda: done.append("mine"))
    assert done == ["False", "mine"]


@step
def end() -> None:
    _ended.set()


@workflow
async def until_the_end() -> int:
    found = [await triple(number) for number in range(2)]
    await end()
    return sum(found)


def test_an_outage_that_a_steps_thread_meets_ends(
    environment: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the next step's beginning needs is refused once, where the worker's thread sleeps."""
    history, append = environment.worker.history, environment.worker.history.append
    monkeypatch.setattr(environment.worker, "_idle", None)
    refused: list[str] = []

    def refuse_once(*events: Event) -> None:
        mine = threading.current_thread() is not environment.worker._thread
        if mine and not refused and any(isinstance(event, StepStarted) for event in events):
            refused.append(threading.current_thread().name)
            raise HistoryWriteError("no room")
        append(*events)

    monkeypatch.setattr(history, "append", refuse_once)
    _ended.clear()
    handle = until_the_end.start()
    assert _ended.wait(30), "nobody asked for it, and it stood still"
    assert handle.result(30) == 3
    assert refused


@step
async def meet(runs: int) -> int:
    """Ends when so many have come: all in one round of the loop."""
    _present.append(asyncio.get_running_loop().create_future())
    here = _present[-1]
    if len(_present) == runs:
        for each in _present:
            each.set_result(None)
    await here
    return runs


@workflow
async def meeting(number: int, runs: int) -> int:
    return await meet(runs) + await double(number)


def test_ends_in_one_round_are_recorded_together_by_the_loops_thread(
    environment: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also that of the last step of the round, beside which no other is left."""
    history, commit_here = environment.history, environment.history.commit_here
    batches: list[tuple[str, list[str]]] = []

    def commit(events: Sequence[Event], tell: Callable[[str | None], None], *more: Any) -> bool:
        kinds = [type(event).__name__ for event in events]
        batches.append((threading.current_thread().name, kinds))
        return commit_here(events, tell, *more)

    monkeypatch.setattr(history, "commit_here", commit)
    _present.clear()
    handles = [meeting.start(number, 3) for number in range(3)]
    assert [handle.result(30) for handle in handles] == [3, 5, 7]
    assert batches[0] == ("evercell-steps", ["StepCompleted"] * 3)
    assert {name for name, _ in batches} == {"evercell-steps"}
    assert sum(len(kinds) for _, kinds in batches) == 6


def test_a_turn_ends_with_an_error() -> None:
    turn = Turn()

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        turn.take_if_free(fail)
    assert turn.take_if_free(lambda: None)


def test_async_generators_of_runs_are_none_of_the_threads_loop() -> None:
    async def numbers() -> Any:
        yield 1

    turn = Turn()
    kept: list[Any] = []

    async def main() -> int:
        loop: Any = asyncio.get_running_loop()

        def work() -> None:
            kept.append(numbers())
            with pytest.raises(StopIteration):
                kept[0].asend(None).send(None)

        before = sys.get_asyncgen_hooks()
        turn.take_if_free(work)
        assert sys.get_asyncgen_hooks() == before
        return len(loop._asyncgens)

    assert asyncio.run(main()) == 0


def test_a_threads_code_is_not_taken_for_another_threads() -> None:
    code = object()
    seen: list[object] = []

    def look() -> None:
        seen.append(calling_workflow())

    before = set_calling(code)
    try:
        other = threading.Thread(target=look)
        other.start()
        other.join()
        assert calling_workflow() is code
    finally:
        set_calling(before)
    assert calling_workflow() is None
    assert seen == [None]


@pytest.mark.parametrize("one_task", [True, False])
def test_steps_one_after_another_are_carried_on_by_their_threads(
    environment: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, *, one_task: bool
) -> None:
    if not one_task and sys.version_info >= (3, 14):
        pytest.skip("there, no task's code may run within another's")
    monkeypatch.setattr("evercell.engine.workflow.runner._ONE_TASK", one_task)
    handle = one_after_another.start(60)
    assert handle.result(60) == expected(60)
    names = {name.rpartition("_")[0] or name for name in _threads}
    assert "evercell-steps" in names
    assert "evercell-step" in names  # of the pool

    environment.restart()
    assert handle.result(60) == expected(60)


@workflow
async def counting(steps: int) -> list[int]:
    seen: list[int] = []
    total = 0

    @workflow.signal
    def add(number: int) -> None:
        seen.append(-number)

    for number in range(steps):
        total += await double(number)
        seen.append(number)
    return seen


def test_signals_between_them_come_in_the_order_of_the_journal(
    environment: WorkflowEnvironment,
) -> None:
    handle = counting.start(150)
    for number in range(1, 40):
        handle.signal("add", number)
    first = handle.result(60)
    assert sorted(first) == sorted([*range(150), *range(-39, 0)])

    (events,) = environment.history.workflows.events([handle.run_id]).values()
    assert _order(events) == first
    environment.restart()
    assert handle.result(60) == first


def _order(events: list[Event]) -> list[int]:
    """The signals and the ends of steps as they stand in the history."""
    found: list[int] = []
    signals = steps = 0
    for event in events:
        kind = type(event).__name__
        if kind == "SignalReceived":
            signals += 1
            found.append(-signals)
        elif kind == "StepCompleted":
            found.append(steps)
            steps += 1
    return found


@step
async def block(gate: str) -> str:
    _gates[gate].wait()
    return gate


_gates = {"gate": threading.Event()}


@workflow
async def blocked() -> str:
    state = "waiting"

    @workflow.query
    def state_now() -> str:
        return state

    await double(1)
    await double(2)
    return await block("gate")


def test_a_body_that_blocks_its_loop_keeps_nobody_waiting(
    environment: WorkflowEnvironment,
) -> None:
    handle = blocked.start()
    assert handle.query("state_now") == "waiting"
    assert one_after_another.start(0).result(60) == []
    _gates["gate"].set()
    assert handle.result(60) == "gate"


_told: list[Any] = []


@step
async def tells(number: int) -> str:
    """Sets a variable of its context, on both sides of a wait."""
    before = _colour.get()
    _colour.set(f"step {number}")
    if number % 2:
        await asyncio.sleep(0)
    _told.append((before, _colour.get(), asyncio.current_task()))
    return _colour.get()


@workflow
async def in_a_row(steps: int) -> list[str]:
    return [await tells(number) for number in range(steps)]


def test_a_task_that_goes_from_step_to_step_gives_each_a_context_of_its_own(
    environment: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evercell.engine.workflow.runner._STRETCH", 3600.0)
    _told.clear()
    assert in_a_row.start(20).result(60) == [f"step {number}" for number in range(20)]
    assert [told[:2] for told in _told] == [("none", f"step {number}") for number in range(20)]
    if sys.version_info < (3, 14):
        assert len({told[2] for told in _told}) < 20


@step
async def ends_its_task(number: int) -> int:
    """Cancels the task that it is in, and does not wait for that."""
    task = asyncio.current_task()
    assert task is not None
    if number % 2:
        task.cancel()
    _told.append(task)
    return number


@workflow
async def through_cancelled_tasks(steps: int) -> list[int]:
    return [await ends_its_task(number) for number in range(steps)]


def test_a_task_that_a_body_cancelled_does_not_go_on_with_another_step(
    environment: WorkflowEnvironment,
) -> None:
    _told.clear()
    assert through_cancelled_tasks.start(8).result(60) == list(range(8))
    assert all(_told[number] is not _told[number + 1] for number in (1, 3, 5))


@step
async def leaves_a_task_behind() -> None:
    async def later() -> None:
        await asyncio.sleep(0)
        _told.append("the task's turn")

    _told.append(asyncio.ensure_future(later()))


@step
async def waits_for_it(number: int) -> int:
    return sum(isinstance(told, str) for told in _told)


@workflow
async def beside_a_task() -> int:
    await leaves_a_task_behind()
    number = 0
    while not await waits_for_it(number):
        number += 1
    return number


def test_what_a_body_left_on_the_loop_has_its_turn(
    environment: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evercell.engine.workflow.runner._STRETCH", 3600.0)
    _told.clear()
    assert beside_a_task.start().result(60) < 20
