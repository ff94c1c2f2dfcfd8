"""Forks: a new run that shares a history up to a step."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from conformance_kit import LIMIT, error_of

from evercell import step, workflow
from evercell.errors import ForkError, NondeterminismError, NotStorableError

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


class Ledger:
    def __init__(self) -> None:
        self.calls: list[str] = []


def test_a_fork_shares_results_and_takes_an_override(world: WorkflowEnvironment) -> None:
    ledger = Ledger()
    world.worker.live["ledger"] = ledger

    @step(version=1)
    async def plan(topic: str) -> str:
        ledger.calls.append(f"plan {topic}")
        return f"plan of {topic}"

    @step(version=1)
    async def act(plan: str) -> str:
        ledger.calls.append(f"act {plan}")
        return f"did {plan}"

    @workflow
    async def agent(topic: str) -> str:
        return await act(await plan(topic))

    first = agent.start("llamas")
    assert first.result(LIMIT) == "did plan of llamas"
    second = first.fork(at="act", override={"plan": "a better plan"})
    assert second.result(LIMIT) == "did a better plan"
    assert ledger.calls == ["plan llamas", "act plan of llamas", "act a better plan"]
    (row,) = world.history.query(
        "select detail->'$.start'->>'forked_from', detail->'$.start'->'$.overrides' "
        "from events where run_id = $run and type = 'RunStarted'",
        {"run": second.run_id},
    ).rows
    assert row[0] == first.run_id
    assert first.result(LIMIT) == "did plan of llamas"


def test_a_fork_of_a_failed_run_goes_on_at_the_failure(world: WorkflowEnvironment) -> None:
    calls: list[str] = []
    broken = [True]

    @step(version=1)
    async def paid(x: int) -> int:
        calls.append(f"paid {x}")
        return x * 10

    @step(version=1)
    async def shaky(x: int) -> int:
        calls.append("shaky")
        if broken[0]:
            raise ConnectionError("no network")
        return x + 1

    @workflow
    async def flow() -> int:
        return await shaky(await paid(4))

    failed = flow.start()
    with pytest.raises(ConnectionError):
        failed.result(LIMIT)
    broken[0] = False
    assert failed.fork().result(LIMIT) == 41
    assert calls == ["paid 4", "shaky", "shaky"]


def test_edited_steps_need_a_word(world: WorkflowEnvironment) -> None:
    def define(bonus: int) -> None:
        @step(name="score")
        async def score(x: int) -> int:
            return x + bonus

        @step(name="last", version=1)
        async def last(x: int) -> int:
            return x

        @workflow(name="flow")
        async def flow() -> int:
            return await last(await score(1))

        world.worker.define(flow)
        world.worker.live["flow"] = flow

    define(1)
    first = world.worker.live["flow"].start()
    assert first.result(LIMIT) == 2
    define(100)
    with pytest.raises(ForkError, match="score"):
        first.fork(at="last")
    assert first.fork(at="last", accept_edits=True).result(LIMIT) == 2
    assert first.fork(at="score").result(LIMIT) == 101
    with pytest.raises(ForkError, match="its steps are: score#0, last#0"):
        first.fork(at="nothing")
    with pytest.raises(ForkError, match="no result before"):
        first.fork(at="score", override={"last": 3})
    # Its own result counts no more, whatever its code is.
    assert first.fork(at="score", override={"score": 3}).result(LIMIT) == 3


def test_a_failed_step_is_given_a_result(world: WorkflowEnvironment) -> None:
    calls: list[str] = []

    @step(version=1)
    async def plan() -> str:
        calls.append("plan")
        return "a plan"

    @step(version=1)
    async def act(what: str) -> str:
        calls.append(what)
        raise RuntimeError("no network")

    @step(version=1)
    async def tell(what: str) -> str:
        calls.append(what)
        return what

    @workflow
    async def flow() -> str:
        return await tell(await act(await plan()))

    failed = flow.start()
    assert isinstance(error_of(failed), RuntimeError)
    for at in (None, "act"):
        calls.clear()
        forked = failed.fork(at=at, override={"act": "done by hand"})
        assert forked.result(LIMIT) == "done by hand"
        assert calls == ["done by hand"]
    world.restart()
    assert forked.result(LIMIT) == "done by hand"


def test_a_fork_shares_signals_timers_and_chance(world: WorkflowEnvironment) -> None:
    @step(version=1)
    async def note(text: str) -> str:
        return text

    @workflow
    async def flow() -> list[object]:
        seen: list[object] = [workflow.random().random(), await workflow.wait_signal("word")]
        await asyncio.sleep(3600)
        seen += [workflow.time(), await note("a"), await note("b"), await note("a")]
        return seen

    first = flow.start()
    first.signal("word", "shared")
    original = first.result(LIMIT)
    forked = first.fork(at="note#2", override={"note#1": "other"}).result(LIMIT)
    assert forked == [*original[:4], "other", "a"]


def test_a_fork_of_a_fork(world: WorkflowEnvironment) -> None:
    @step(version=1)
    async def plan(n: int) -> int:
        return n

    @workflow
    async def flow() -> list[int]:
        return [await plan(1), await plan(2), await plan(3)]

    first = flow.start()
    assert first.result(LIMIT) == [1, 2, 3]
    second = first.fork(at="plan#1", override={"plan#0": 10})
    assert second.result(LIMIT) == [10, 2, 3]
    third = second.fork(at="plan#2", override={"plan#1": 20})
    assert third.result(LIMIT) == [10, 20, 3]
    assert first.fork(at="plan#2").result(LIMIT) == [1, 2, 3]
    world.restart()
    assert third.result(LIMIT) == [10, 20, 3]


def test_an_override_that_leads_elsewhere_is_followed_by_new_steps(
    world: WorkflowEnvironment,
) -> None:
    calls: list[str] = []
    world.worker.live["calls"] = calls

    @step(version=1)
    async def judge(text: str) -> bool:
        calls.append("judge")
        return True

    @step(version=1)
    async def act(what: str) -> str:
        calls.append(what)
        return what

    @workflow
    async def flow() -> str:
        return await act("publish" if await judge("x") else "revise")

    first = flow.start()
    assert first.result(LIMIT) == "publish"
    assert first.fork(at="act", override={"judge": False}).result(LIMIT) == "revise"
    assert calls == ["judge", "publish", "revise"]


def test_an_override_that_the_shared_history_contradicts_is_refused(
    world: WorkflowEnvironment,
) -> None:
    @step(version=1)
    async def judge(text: str) -> bool:
        return True

    @step(version=1)
    async def act(what: str) -> str:
        return what

    @workflow
    async def flow() -> list[str]:
        first = await act("publish" if await judge("x") else "revise")
        return [first, await act("end")]

    first = flow.start()
    assert first.result(LIMIT) == ["publish", "end"]
    before = world.history.query("select count(*) from runs").rows
    with pytest.raises(NondeterminismError, match="publish"):
        first.fork(at="act#1", override={"judge": False})
    with pytest.raises(NotStorableError):
        first.fork(at="act#1", override={"judge": (n for n in range(3))})
    assert world.history.query("select count(*) from runs").rows == before
