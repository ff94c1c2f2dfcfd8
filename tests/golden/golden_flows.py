"""The workflows of the golden histories. Recorded runs must fit them for ever: what is here is
never changed, only added to."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from evercell import RetryPolicy, approval, heartbeat, step, workflow

__all__ = ["FLOWS", "STUCK"]

STUCK = threading.Event()  # set by a step that then hangs


@step(version=1)
async def work(value: Any) -> Any:
    return value


@step(version=1)
def thread(value: int) -> int:
    return value + 1


@step(version=1, retry=RetryPolicy(maximum_attempts=2, initial_interval=3))
async def fails(message: str) -> None:
    heartbeat(message)
    raise ValueError(message)


@step(version=1)
async def stuck() -> None:
    STUCK.set()
    await asyncio.Event().wait()


@workflow(name="golden.steps")
async def steps(n: int) -> list[Any]:
    seen: list[Any] = [await work({"n": n})]
    seen += await asyncio.gather(*(thread(each) for each in range(n)))
    try:
        await fails("as ever")
    except ValueError as error:
        seen.append(str(error))
    return seen


@workflow(name="golden.timers")
async def timers() -> list[Any]:
    seen: list[Any] = [workflow.random().randint(1, 10**6), str(workflow.uuid4())]

    async def later(seconds: float) -> None:
        await asyncio.sleep(seconds)
        seen.append(await work(seconds))

    async with asyncio.TaskGroup() as group:
        for seconds in (30, 10, 20):
            group.create_task(later(seconds))
    try:
        async with asyncio.timeout(5):
            await workflow.wait_signal("never")
    except TimeoutError:
        seen.append(workflow.now().isoformat())
    return seen


@workflow(name="golden.messages")
async def messages() -> list[Any]:
    seen: list[Any] = []
    over = False

    @workflow.signal
    async def add(item: str) -> None:
        seen.append(await work(item))

    @workflow.query
    def count() -> int:
        return len(seen)

    @workflow.update
    async def finish(item: str) -> int:
        nonlocal over
        seen.append(await work(item))
        over = True
        return len(seen)

    @finish.validator
    def not_empty(item: str) -> None:
        if not item:
            raise ValueError("empty")

    seen.append(await workflow.wait_signal("early", int))
    await workflow.wait_condition(lambda: over)
    return seen


@workflow(name="golden.child")
async def child(fate: str) -> str:
    if fate == "fails":
        raise LookupError(fate)
    if fate == "waits":
        await workflow.wait_signal("word")
    return await work(fate)  # type: ignore[no-any-return]


@workflow(name="golden.parent")
async def parent() -> list[Any]:
    seen: list[Any] = [await child.run("returns")]
    try:
        await child.run("fails")
    except LookupError:
        seen.append("failed")
    waiting = child.start("waits", id="golden-waiting", parent_close_policy="request_cancel")
    await workflow.get_handle("golden-waiting").signal("word")
    seen.append(await waiting)
    child.start("waits", parent_close_policy="abandon")
    return seen


@workflow(name="golden.canceled")
async def canceled() -> None:
    try:
        await asyncio.shield(work("shielded"))
        await workflow.wait_signal("never")
    finally:
        await work("cleaned up")


@workflow(name="golden.dropped")
async def dropped() -> list[Any]:
    tasks = [asyncio.ensure_future(stuck()), asyncio.ensure_future(asyncio.sleep(50))]
    await workflow.wait_signal("enough")
    for task in tasks:
        task.cancel()
    return [str(await workflow.approval("Go on?", timeout="1d"))]


@workflow(name="golden.chain")
async def chain(n: int) -> str:
    workflow.upsert_memo({"left": n})
    if n:
        await asyncio.sleep(60)
        workflow.continue_as_new(n - 1)
    return str(await workflow.wait_signal("kept"))


@workflow(name="golden.markers")
async def markers() -> list[Any]:
    seen: list[Any] = [workflow.side_effect(lambda: 42, name="answer")]
    seen.append(workflow.patched("newer"))
    workflow.deprecate_patch("oldest")
    workflow.upsert_search_attributes({"kind": "golden"})
    seen.append(await approval("Ship it?", schema={"type": "object"}))
    return seen


@workflow(name="golden.open")
async def opened() -> list[Any]:
    first = await work("first")
    await asyncio.sleep(3600)
    second = await work("second")
    return [first, second, await workflow.wait_signal("end"), await work("third")]


FLOWS = (steps, timers, messages, child, parent, canceled, dropped, chain, markers, opened)
