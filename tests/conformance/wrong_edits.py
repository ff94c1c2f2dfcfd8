"""A workflow with something of everything, and edits of it that don't fit a run that it has
begun."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["EDITS", "SETTING", "SOURCE", "Edit"]

SETTING = """
import asyncio
from contextlib import suppress
from evercell import step, workflow

@step(version=1)
async def work(what, n=0):
    write(f"work {what} {n}")
    if what == "slow":
        await asyncio.Event().wait()
    return n + 1

@step(version=1)
async def other(what, n=0):
    write(f"other {what} {n}")
    return n

@workflow(name="helper")
async def helper(n):
    await workflow.wait_signal("stop")
    return n

@workflow(name="short")
async def short(n):
    return n

@workflow(name="another")
async def another(n):
    write("another")
    return n
"""

SOURCE = """
@workflow(name="main")
async def main(n):
    total = 0
    gate = asyncio.Event()

    @workflow.update
    async def extend(by):
        return await work("extend", by)

    @workflow.signal
    async def note(text):
        await work("note", len(text))

    first = await work("first", n)
    second = await work("second", first)
    parts = await asyncio.gather(work("left"), work("right"))
    await asyncio.sleep(60)
    token = workflow.side_effect(lambda: 7, name="token")
    if workflow.patched("newer"):
        total += 1
    named = await work("named", workflow.random().randint(1, 1000))
    for number in range(3):
        total += await work("loop", number)
    workflow.upsert_memo({"stage": "middle"})
    workflow.upsert_search_attributes({"kind": "a"})
    below = await short.run(n)
    reached = workflow.get_handle("helper")
    await reached.signal("hello", 1)
    slow = asyncio.ensure_future(work("slow"))
    async with asyncio.timeout(30):
        await workflow.wait_signal("enough")
    slow.cancel()
    approved = await workflow.approval("Go on?")
    word = await workflow.wait_signal("word", str)
    await work("word", len(word))
    await workflow.wait_condition(lambda: workflow.now() is not None)
    await reached.cancel()
    with suppress(TimeoutError):
        await workflow.wait_signal("nobody", timeout=5)
    await work("before the end")
    await workflow.wait_signal("end")
    return await work("end", total)
"""


@dataclass(frozen=True)
class Edit:
    """`old` in the source becomes `new`. `at`: part of the line where the code stands then."""

    name: str
    old: str
    new: str
    recorded: str
    asked: str
    at: str


def row(  # noqa: PLR0917 - a table
    name: str, old: str, new: str, recorded: str, asked: str, at: str = ""
) -> Edit:
    return Edit(name, old, new, recorded, asked, at or next(iter(new.strip().splitlines()), ""))


YET = "nothing of the kind yet"
SLOW = """    async with asyncio.timeout(30):
        await workflow.wait_signal("enough")
"""

EDITS = [
    row(
        "a step renamed", 'work("first", n)', 'other("first", n)',
        r"step work\(\{\"what\":\"first\"", "step 'other'",
    ),
    row(
        "a step's argument changed", '"second", first)', '"second", first + 1)',
        r"step work\(\{\"what\":\"second\",\"n\":2", "step 'work'",
    ),
    row(
        "an argument more", '"second", first)', '"second", n=first, what2=None)',
        r"step work\(\{\"what\":\"second\"", "", '"second"',
    ),
    row(
        "a step before all", "    first = ", '    await work("new")\n    first = ',
        r"step work\(\{\"what\":\"first\"", "step 'work'",
    ),
    row(
        "a step between", "    second = ", '    await other("new")\n    second = ',
        r"step work\(\{\"what\":\"second\"", "step 'other'",
    ),
    row(
        "a step removed", '    second = await work("second", first)\n', "",
        r"step work\(\{\"what\":\"second\"", "step 'work'", '"left"',
    ),
    row(
        "two steps swapped",
        '    first = await work("first", n)\n    second = await work("second", first)\n',
        '    second = await work("second", n)\n    first = await work("first", second)\n',
        r"step work\(\{\"what\":\"first\"", "step 'work'",
    ),
    row(
        "a gather's order", 'work("left"), work("right")', 'work("right"), work("left")',
        r"step work\(\{\"what\":\"left\"", "step 'work'", "gather",
    ),
    row(
        "a gather with less", 'work("left"), work("right")', 'work("right")',
        r"step work\(\{\"what\":\"left\"", "step 'work'", "gather",
    ),
    row(
        "a gather with more", 'work("right"))', 'work("right"), other("third"))',
        r"timer \(sleep\)", "step 'other'", "gather",
    ),
    row(
        "a timer removed", "    await asyncio.sleep(60)\n", "",
        r"timer \(sleep\)", "side effect 'token'", "side_effect",
    ),
    row(
        "a timer more", "    second = ", "    await workflow.sleep('1h')\n    second = ",
        r"step work\(\{\"what\":\"second\"", "timer",
    ),
    row(
        "a step instead of a timer", "await asyncio.sleep(60)", 'await other("instead")',
        r"timer \(sleep\)", "step 'other'",
    ),
    row(
        "a wait made a poll", "    await asyncio.sleep(60)",
        "    while True:\n        await asyncio.sleep(1)",
        "side effect 'token'", "timer", "asyncio.sleep(1)",
    ),
    row(
        "a side effect renamed", 'name="token"', 'name="ticket"',
        "side effect 'token'", "side effect 'ticket'", "ticket",
    ),
    row(
        "a side effect removed", '    token = workflow.side_effect(lambda: 7, name="token")\n', "",
        "side effect 'token'", "patched 'newer'", "patched",
    ),
    row(
        "a patch removed without a word", 'if workflow.patched("newer"):', "if True:",
        "patched 'newer'", "step 'work'", '"named"',
    ),
    row(
        "a patch renamed", 'workflow.patched("newer")', 'workflow.patched("newest")',
        "patched 'newer'", "step 'work'", '"named"',
    ),
    row(
        "a random number more", "    named = ", "    workflow.random().random()\n    named = ",
        r"step work\(\{\"what\":\"named\"", "step 'work'", '"named"',
    ),
    row(
        "a loop once less", "range(3)", "range(2)",
        r"step work\(\{\"what\":\"loop\",\"n\":2", "attributes", "upsert_memo",
    ),
    row(
        "a loop once more", "range(3)", "range(4)",
        "attributes", "step 'work'", '"loop"',
    ),
    row(
        "another memo", '"middle"', '"end"', "attributes .*middle", "attributes .*end",
    ),
    row(
        "a search attribute removed", '    workflow.upsert_search_attributes({"kind": "a"})\n', "",
        "attributes .*kind", "child 'short'", "short.run",
    ),
    row(
        "another child", "short.run(n)", "another.run(n)", "child 'short'", "child 'another'",
    ),
    row(
        "a child's arguments", "short.run(n)", "short.run(n + 1)", "child 'short'", "child 'short'",
    ),
    row(
        "a child made a step", "short.run(n)", "other(n)", "child 'short'", "step 'other'",
    ),
    row(
        "a signal to another run", 'get_handle("helper")', 'get_handle("others")',
        "signal 'helper' 'hello'", "signal 'others' 'hello'", 'signal("hello"',
    ),
    row(
        "another signal", 'signal("hello", 1)', 'signal("hallo", 1)',
        "signal 'helper' 'hello'", "signal 'helper' 'hallo'",
    ),
    row(
        "a signal's argument", 'signal("hello", 1)', 'signal("hello", 2)',
        "signal 'helper' 'hello'", "signal 'helper' 'hello'",
    ),
    row(
        "a timeout removed", SLOW, '    await workflow.wait_signal("enough")\n',
        r"timer \(timeout\)", "approval 'Go on\\?'", "approval",
    ),
    row(
        "a cancellation of a step removed", "    slow.cancel()\n", "",
        "cancel of step", "step 'work'", 'work("word"',
    ),
    row(
        "another question", '"Go on?"', '"Continue?"', "approval 'Go on\\?'", "approval 'Continue",
    ),
    row(
        "a question with a form", '"Go on?")', '"Go on?", schema=int)',
        "approval 'Go on\\?'", "approval 'Go on",
    ),
    row(
        "a signal's name", 'wait_signal("word", str)', 'wait_signal("text", str)',
        r"step work\(\{\"what\":\"word\"", YET, 'wait_signal("text"',
    ),
    row(
        "a condition that does not hold", "workflow.now() is not None", "False",
        "cancel of run 'helper'", YET, "wait_condition",
    ),
    row(
        "a cancellation removed", "    await reached.cancel()\n", "",
        "cancel of run 'helper'", "timer", "nobody",
    ),
    row(
        "the end moved forward", "    await work(\"before the end\")\n", "    return 1\n",
        r"step work\(\{\"what\":\"before the end\"", "end 'completed'", "@workflow(name",
    ),
    row(
        "a failure where there was none", "    word = ", '    raise ValueError("no")\n    word = ',
        r"step work\(\{\"what\":\"word\"", "end 'failed'", "",
    ),
    row(
        "continued as new too early", "    word = ",
        "    workflow.continue_as_new(n)\n    word = ",
        r"step work\(\{\"what\":\"word\"", "end 'continued as new'", "",
    ),
    row(
        "an update that does more", 'return await work("extend", by)',
        'await other("more")\n        return await work("extend", by)',
        r"step work\(\{\"what\":\"extend\"", "step 'other'",
    ),
    row(
        "an update that does nothing", 'return await work("extend", by)', "return by",
        r"step work\(\{\"what\":\"extend\"", "end of update", "@workflow.update",
    ),
    row(
        "a signal's handler that does nothing", 'await work("note", len(text))', "pass",
        r"step work\(\{\"what\":\"note\"", YET, "asyncio.sleep(60)",
    ),
]  # fmt: skip
