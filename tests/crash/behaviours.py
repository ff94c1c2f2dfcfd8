"""Notebooks, a behaviour of the engine each: their cells as source. The last one sets `result`.

They are what a user would write: run again from the top after a kill, they have to come to the same
result, and no step that was finished may run again.
"""

from __future__ import annotations

from behaviours_of_runs import CANCEL, COMMANDS, CONTINUE, FAMILY_ENDED, FORK, SCHEDULE, child

__all__ = ["AT_ONCE", "BEHAVIOURS"]

_COMMON = """
import asyncio
from evercell import RetryPolicy, current_step, heartbeat, heartbeat_details, step, workflow
from evercell.errors import UsageError, WorkflowClosedError
from behaviour_kit import act

@step
async def pay(label):
    act(label)
    return label.upper()
"""

_RETRIES = (
    """
@step(retry=RetryPolicy(initial_interval=0.005, maximum_attempts=20))
async def flaky(label, failures):
    act(label)
    if current_step().attempt <= failures:
        raise ValueError(label)
    return label

@workflow
async def flow():
    return [await pay("a"), await flaky("b", 2), await pay("c")]
""",
    "handle = flow.start()",
    "result = await handle",
)

_CELL_STEPS = (
    """
@step(retry=RetryPolicy(initial_interval=0.005, maximum_attempts=20))
def flaky(label, failures):
    act(label)
    if current_step().attempt <= failures:
        raise ValueError(label)
    return label
""",
    "first = await pay('a')",
    "second = flaky('b', 1)",
    "result = [first, second, await pay.map(['c', 'd', 'e'], max_concurrency=2)]",
)

_TIMER = (
    """
@workflow
async def flow():
    got = [await pay("a")]
    await asyncio.sleep(0.02)
    try:
        async with asyncio.timeout(0.02):
            await workflow.wait_signal("never")
    except TimeoutError:
        got.append(await pay("b"))
    await workflow.sleep(0.01, summary="last")
    return [*got, await pay("c")]
""",
    "handle = flow.start()",
    "result = await handle",
)

_SIGNAL = (
    """
@workflow
async def sums():
    got = []
    for _ in range(3):
        number = await workflow.wait_signal("add", int)
        got.append(await pay(f"add {number}"))
    return got

@workflow
async def sends(target):
    other = workflow.get_handle(target)
    await other.signal("add", 2)
    await pay("between")
    await other.signal("add", 3)
""",
    "handle = sums.start(id='sums')",
    "handle.signal('add', 1)",
    "sender = await sends.run('sums')",
    "result = await handle",
)

_UPDATE = (
    """
@workflow
async def counter():
    total = 0
    done = False

    @workflow.update
    async def add(number):
        nonlocal total
        await pay(f"add {number}")
        total += number
        return total

    @workflow.signal
    def finish():
        nonlocal done
        done = True

    await workflow.wait_condition(lambda: done)
    return total
""",
    "handle = counter.start()",
    "first = handle.update('add', 5).result(30)",
    "second = handle.update('add', 7).result(30)",
    "handle.signal('finish')",
    "result = [first, second, await handle]",
)


_APPROVAL = (
    """
@workflow
async def flow():
    await pay("before")
    if await workflow.approval("go on?", timeout="1h"):
        return await pay("after")
    return "rejected"
""",
    "handle = flow.start()",
    """
import time
until = time.monotonic() + 30
while time.monotonic() < until:
    try:
        handle.answer(True)
        break
    except UsageError:  # it is not asked yet, or was answered before the kill
        if handle.status == "completed" or any(
            type(event).__name__ == "ApprovalAnswered" for event in handle.history()
        ):
            break
        time.sleep(0.01)
    except WorkflowClosedError:
        break
""",
    "result = await handle",
)

_GATHER = (
    """
@step
async def slowly(label, seconds):
    act(label)
    await asyncio.sleep(seconds)
    return label

@workflow
async def flow():
    rest = workflow.random()
    calls = (slowly(f"call {n}", rest.random() / 100) for n in range(6))
    both = await asyncio.gather(*calls)
    return [*both, await pay("end")]
""",
    "handle = flow.start()",
    "result = await handle",
)

_HEARTBEAT = (
    """
@step(heartbeat_timeout=5, retry=RetryPolicy(initial_interval=0.005, maximum_attempts=20))
async def copies(parts):
    begin = heartbeat_details()[0] if heartbeat_details() else 0
    for part in range(begin, parts):
        act(f"part {part}")
        heartbeat(part + 1)
        if part == 1 and begin == 0:
            raise ConnectionError
    return parts

@workflow
async def flow():
    return [await copies(4), await pay("end")]
""",
    "handle = flow.start()",
    "result = await handle",
)

_PATCHED = (
    """
@workflow
async def flow():
    await pay("a")
    if workflow.patched("new"):
        marked = workflow.side_effect(lambda: "seen")
        await pay(f"{marked} b")
    workflow.deprecate_patch("old")
    workflow.upsert_memo({"at": "end"})
    return await pay("c")
""",
    "handle = flow.start()",
    "result = [await handle, handle.describe().memo]",
)

_CELL_WAITS = (
    "from evercell import answer, approval, run_id, signal, sleep, wait_signal",
    "await sleep(0.02)",
    "first = await pay('a')",
    "sleep(0.01)",
    "signal(run_id(), 'word', 'early')",
    "word = await wait_signal('word', str)",
    """
asked = approval("go on?", timeout="1h")
answer(run_id(), True, activity_id="go on?")
allowed = await asked
""",
    """
try:
    await wait_signal('never', timeout=0.02)
except TimeoutError:
    late = await pay('late')
""",
    "result = [first, word, allowed, late, await pay('b')]",
)

BEHAVIOURS: dict[str, tuple[str, ...]] = {
    name: (_COMMON, *cells)
    for name, cells in {
        "steps with retries": _RETRIES,
        "steps in cells": _CELL_STEPS,
        "timers": _TIMER,
        "signals": _SIGNAL,
        "updates": _UPDATE,
        "child, terminated with its parent": child("terminate", "terminated"),
        "child, cancelled with its parent": child("request_cancel", "canceled"),
        "child, abandoned": child("abandon", "completed"),
        "family, ended from outside": FAMILY_ENDED,
        "cancellation": CANCEL,
        "commands": COMMANDS,
        "continue-as-new": CONTINUE,
        "schedule": SCHEDULE,
        "fork": FORK,
        "approval": _APPROVAL,
        "gather": _GATHER,
        "heartbeats": _HEARTBEAT,
        "patches and markers": _PATCHED,
        "waits in cells": _CELL_WAITS,
    }.items()
}

AT_ONCE = {
    "steps in cells": 2,
    "signals": 2,
    "child, terminated with its parent": 2,
    "child, cancelled with its parent": 2,
    "child, abandoned": 2,
    "cancellation": 5,
    "schedule": 2,
    "gather": 6,
}
"""How many steps may be in flight at a time, where it is more than one."""
