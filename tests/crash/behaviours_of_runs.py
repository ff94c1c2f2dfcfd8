"""Behaviours of runs: how they begin and end, and what becomes of others then."""

from __future__ import annotations

__all__ = ["CANCEL", "COMMANDS", "CONTINUE", "FAMILY_ENDED", "FORK", "SCHEDULE", "child"]


def child(policy: str, status: str) -> tuple[str, ...]:
    """A child that is open when its parent ends."""
    return (
        """
@workflow
async def child():
    try:
        await workflow.wait_signal("go")
        return await pay("went")
    except asyncio.CancelledError:
        await asyncio.shield(pay("cleaned up"))
        raise

@workflow
async def parent():
    answer = await helper.run("helped")
    child.start(id="the child", parent_close_policy="POLICY")
    await pay(answer)
    return "parent is done"

@workflow
async def helper(label):
    return await pay(label)
""".replace("POLICY", policy),
        "handle = parent.start()",
        "said = await handle",
        "other = workflow.get_handle('the child')"
        + ("\nother.signal('go')" * (policy == "abandon")),
        """
import time
until = time.monotonic() + 30
while other.status == "running" and time.monotonic() < until:
    time.sleep(0.01)
""",
        f"result = [said, other.status]\nassert other.status == {status!r}, other.describe()",
    )


FAMILY_ENDED = (
    """
@workflow
async def below():
    await workflow.wait_signal("never")

@workflow
async def between():
    await below.run(id="below", parent_close_policy="request_cancel")

@workflow
async def above():
    await pay("before")
    await between.run()
""",
    "handle = above.start()",
    """
import time
from evercell.errors import RunNotFoundError
until = time.monotonic() + 30
while time.monotonic() < until:
    try:
        other = workflow.get_handle("below")
        break
    except RunNotFoundError:
        time.sleep(0.01)
""",
    "handle.terminate()",
    """
while other.status == "running" and time.monotonic() < until:
    time.sleep(0.01)
""",
    "result = [handle.status, other.status]",
)

CANCEL = (
    """
@workflow
async def flow():
    try:
        await pay("a")
        await asyncio.sleep(3600)
    except asyncio.CancelledError:
        await asyncio.shield(pay("clean up"))
        return "cleaned up"

@workflow
async def stopped(label):
    await pay(label)
    await asyncio.sleep(3600)

@workflow
async def early():
    for unborn in (pay("never"), stopped.run("nor this")):
        call = asyncio.ensure_future(unborn)
        call.cancel()
        await asyncio.sleep(0.005)
    shielded = asyncio.ensure_future(asyncio.shield(pay("shielded")))
    await asyncio.sleep(0)
    shielded.cancel()
    return await pay("went on")
""",
    "first, second, third = flow.start(), stopped.start('b'), stopped.start('c')",
    "fourth = early.start()",
    "first.cancel('enough')",
    "second.cancel()",
    "third.terminate()",
    """
ends = []
for handle in (second, third):
    try:
        await handle
    except BaseException as error:
        ends.append(type(error).__name__)
""",
    "result = [await first, ends, await fourth]",
)

CONTINUE = (
    """
@workflow
async def flow(number, so_far):
    so_far = [*so_far, await pay(f"round {number}")]
    if number < 3:
        workflow.continue_as_new(number + 1, so_far)
    so_far.append(await workflow.wait_signal("end"))
    return so_far
""",
    "handle = flow.start(1, [])",
    "handle.signal('end', 'over')",
    "result = await handle",
)

SCHEDULE = (
    """
@workflow
async def tick():
    return await pay(f"tick of {workflow.info().run_id}")
""",
    "schedule = tick.schedule('ticks', every='1s', overlap='buffer_all')",
    """
import time
until = time.monotonic() + 30
while len(schedule.describe().recent) < 1 and time.monotonic() < until:
    time.sleep(0.01)
schedule.pause()
""",
    "schedule.trigger()",
    """
def fired():
    triggered = [due % 1_000_000_000 > 0 for due, _ in schedule.describe().recent]
    return [not all(triggered), sum(triggered)]

while fired() != [True, 1] and time.monotonic() < until + 30:
    time.sleep(0.01)
result = fired()
""",
)

FORK = (
    """
@workflow
async def agent(topic):
    plan = await pay(f"plan {topic}")
    return await pay(f"do {plan}")
""",
    "first = agent.start('a')",
    "original = await first",
    "second = first.fork(at='pay#1', override={'pay': 'BETTER'})",
    "result = [original, await second]",
)

COMMANDS = (
    """
import time
import evercell
from evercell.engine.session import current_session

@step(retry=RetryPolicy(initial_interval=3600))
async def stuck(label):
    act(label)
    raise ValueError(label)

@workflow
async def waits():
    return [await stuck("a"), await pay("end")]

@workflow
async def stays():
    await workflow.wait_signal("never")

def settled(handle):
    # Until its step waits for its next attempt, or is over.
    controls = current_session().workflows.runner.controls
    until = time.monotonic() + 30
    while time.monotonic() < until:
        waiting = any(control._in_backoff for control in list(controls.values()))
        if waiting or "StepCompleted" in [type(event).__name__ for event in handle.history()]:
            return
        time.sleep(0.01)
""",
    "first, second = waits.start(id='first'), stays.start(id='second')",
    "settled(first)\nevercell.skip('first', 'stuck', 'given')",
    "evercell.terminate('second')",
    "result = [await first, second.status]",
)
