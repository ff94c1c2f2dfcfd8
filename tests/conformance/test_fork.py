"""Forks: a new run that shares a history up to a step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from evercell import step, workflow
from evercell.errors import ForkError

if TYPE_CHECKING:
    from evercell.testing import WorkflowEnvironment


class Ledger:
    def __init__(self) -> None:
        self.calls: list[str] = []


def test_a_fork_shares_results_and_takes_an_override(env: WorkflowEnvironment) -> None:
    ledger = Ledger()
    env.worker.live["ledger"] = ledger

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
    assert first.result(30) == "did plan of llamas"
    second = first.fork(at="act", override={"plan": "a better plan"})
    assert second.result(30) == "did a better plan"
    assert ledger.calls == ["plan llamas", "act plan of llamas", "act a better plan"]
    (row,) = env.history.query(
        "select detail->'$.start'->>'forked_from', detail->'$.start'->'$.overrides' "
        "from events where run_id = $run and type = 'RunStarted'",
        {"run": second.run_id},
    ).rows
    assert row[0] == first.run_id
    assert first.result(30) == "did plan of llamas"


def test_a_fork_of_a_failed_run_goes_on_at_the_failure(env: WorkflowEnvironment) -> None:
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
        failed.result(30)
    broken[0] = False
    assert failed.fork().result(30) == 41
    assert calls == ["paid 4", "shaky", "shaky"]


def test_edited_steps_need_a_word(env: WorkflowEnvironment) -> None:
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

        env.worker.define(flow)
        env.worker.live["flow"] = flow

    define(1)
    first = env.worker.live["flow"].start()
    assert first.result(30) == 2
    define(100)
    with pytest.raises(ForkError, match="score"):
        first.fork(at="last")
    assert first.fork(at="last", accept_edits=True).result(30) == 2
    assert first.fork(at="score").result(30) == 101
    with pytest.raises(ForkError, match="its steps are: score#0, last#0"):
        first.fork(at="nothing")
    with pytest.raises(ForkError, match="no result before"):
        first.fork(at="score", override={"score": 3})
