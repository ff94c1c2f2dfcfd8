"""Workflows whose history can't be written for a while: each scenario's outcome as JSON.

RLIMIT_FSIZE makes every write fail, in this process only, and lets them succeed again.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell import RetryPolicy, settings, step, workflow
from evercell.engine.run import RunRequest
from evercell.engine.session import Session
from evercell.engine.workflow.definition import DEFINED
from evercell.errors import HistoryWriteError
from evercell.testing import Replayer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LIMIT = 60  # seconds
LARGE = 200_000  # bytes, which are a file of their own


sys.dont_write_bytecode = True  # cut off at the limit, it would be there for all that follow


class Outage:
    def __init__(self) -> None:
        self._hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]

    def begin(self, size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, self._hard))

    def end(self) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (self._hard, self._hard))


outage = Outage()
calls: list[str] = []
entered, leave = threading.Event(), threading.Event()
second_entered, leave_second = threading.Event(), threading.Event()


@contextmanager
def no_room(*, for_journal: bool = False) -> Iterator[None]:
    """`for_journal`: there is room for it, and for no large value."""
    outage.begin(LARGE // 2 if for_journal else 1)
    try:
        yield
    finally:
        outage.end()


def refusal(call: Callable[[], Any]) -> str:
    """The message of the HistoryWriteError that it raises."""
    try:
        value = call()
    except HistoryWriteError as error:
        return error.message
    return f"it gave {value!r}"


@step
def hold(label: str, size: int = 1) -> str:
    calls.append(label)
    entered.set()
    assert leave.wait(LIMIT)
    return label * size


@step
async def pay(label: str) -> str:
    calls.append(label)
    return label.upper()


@workflow
async def adds() -> list[str]:
    got = []
    for _ in range(3):
        number = await workflow.wait_signal("add", int)
        got.append(await pay(f"add {number}"))
    return got


def signals() -> Any:
    handle = adds.start()
    handle.signal("add", 1)
    with no_room():
        refused = [refusal(lambda: handle.signal("add", 2))]  # in the journal's queue for good
        refused.append(refusal(lambda: handle.result(LIMIT)))
        refused.append(refusal(lambda: handle.signal("add", 100)))
        refused.append(refusal(adds.start))
    handle.signal("add", 3)
    return [refused, handle.result(LIMIT)]


@workflow
async def holds(size: int) -> list[Any]:
    got = await hold("held", size)
    return [len(got), await pay("after")]


def step_ends(size: int) -> Any:
    handle = holds.start(size)
    assert entered.wait(LIMIT)
    with no_room():
        leave.set()
        refused = refusal(lambda: handle.result(LIMIT))
    return [[refused], handle.result(LIMIT)]


@step(retry=RetryPolicy(initial_interval=0.01, maximum_attempts=5))
def fails_once() -> str:
    calls.append("try")
    if calls.count("try") == 1:
        entered.set()
        assert leave.wait(LIMIT)
        raise ValueError
    return "done"


@workflow
async def retries() -> list[str]:
    return [await fails_once(), await pay("after")]


def attempt_fails() -> Any:
    handle = retries.start()
    assert entered.wait(LIMIT)
    with no_room():
        leave.set()
        refused = refusal(lambda: handle.result(LIMIT))
    return [[refused], handle.result(LIMIT)]


@workflow
async def gives_much() -> list[int]:
    await workflow.wait_signal("go")
    text = await pay("x") * LARGE
    workflow.upsert_memo({"large": "soon"})
    return [await length.run(text), workflow.side_effect(lambda: len(text))]


@workflow
async def length(text: str) -> str:
    return text


def run_gives_much() -> Any:
    handle = gives_much.start()
    with no_room(for_journal=True):
        handle.signal("go")
        refused = [refusal(lambda: handle.result(LIMIT))]
        refused.append(refusal(lambda: handle.result(LIMIT)))  # DuckDB's own files are too large
    got, size = handle.result(LIMIT)
    return [refused, [len(got), size]]


@step
def hold_second() -> str:
    second_entered.set()
    assert leave_second.wait(LIMIT)
    return "second"


@workflow
async def races() -> list[str]:
    tasks = [asyncio.ensure_future(call) for call in (hold_second(), hold("first"))]
    got = [await following for following in asyncio.as_completed(tasks)]
    return [await pay(label) for label in got]


def order_is_kept() -> Any:
    handle = races.start()
    assert entered.wait(LIMIT)
    assert second_entered.wait(LIMIT)
    with no_room():
        leave.set()
        refused = refusal(lambda: handle.result(LIMIT))
    leave_second.set()  # the first one is durable by now, and its run does not know yet
    return [[refused], handle.result(LIMIT)]


@workflow
async def naps() -> list[str]:
    await workflow.wait_signal("go")
    await asyncio.sleep(0.05)
    return [await pay("after")]


def timer_is_due() -> Any:
    handle = naps.start()
    handle.signal("go")
    with no_room():
        refused = refusal(lambda: handle.result(LIMIT))
    return [[refused], handle.result(LIMIT)]


SCENARIOS: dict[str, Callable[[], Any]] = {
    "signals": signals,
    "a step ends": lambda: step_ends(1),
    "a step with a large result ends": lambda: step_ends(LARGE),
    "an attempt fails": attempt_fails,
    "a timer is due": timer_is_due,
    "a run gives much": run_gives_much,
    "two steps end": order_is_kept,
}


def main() -> None:
    folder = Path(sys.argv[1])
    settings.change(compress=False)  # else what is large is not
    session = Session.open(folder, RunRequest("/outage.ipynb", {}, None), globals())
    for name, scenario in SCENARIOS.items():
        calls.clear()
        entered.clear()
        leave.clear()
        refused, result = scenario()
        told = {"refused": refused, "result": result, "calls": list(calls)}
        print(json.dumps([name, told]), flush=True)
    session.close()
    replayed = Replayer(*DEFINED.values(), live=globals()).replay_folder(folder)
    wrong = [f"{it.workflow} {it.run_id}: {it.error}" for it in replayed if it.error is not None]
    print(json.dumps(["replays", [len(replayed), wrong]]))


if __name__ == "__main__":
    main()
