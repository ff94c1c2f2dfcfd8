"""Tasks, races, timeouts and groups around steps of random latency: however their results came,
the history leads the code there again, from its end and from any earlier moment."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from evercell import events as e
from evercell import step, workflow
from evercell.engine.workflow.asks import ASKED, REACHED, identity_of
from evercell.engine.workflow.definition import DEFINED
from evercell.engine.workflow.loading import replayed
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from pathlib import Path


BATCH = 250  # runs at a time


@step(version=1)
async def late(ticks: int, value: int) -> int:
    for _ in range(ticks):
        await asyncio.sleep(0)
    return value


@step(version=1)
def threaded(value: int) -> int:
    return value


class Player:
    """Does random things; the next thing depends on the order in which those before ended."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.seen: list[Any] = []

    async def act(self, depth: int) -> int:
        chance = self._chance
        kind = chance.randrange(9 if depth else 4)
        match kind:
            case 0 | 1:
                value = await late(chance.randrange(8), chance.randrange(100))
            case 2:
                value = await threaded(chance.randrange(100))  # type: ignore[misc] # see docs
            case 3:
                await asyncio.sleep(chance.choice([0, 0.5, 1, 1, 2]))
                value = round(workflow.time()) % 7
            case 4:
                value = sum(await asyncio.gather(*self._some(depth)))
            case 5:
                value = await self._race(depth)
            case 6:
                value = await self._hurry(depth)
            case 7:
                value = 0
                for done in asyncio.as_completed(
                    [asyncio.ensure_future(a) for a in self._some(depth)]
                ):
                    value = 3 * value + await done
            case _:
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(each) for each in self._some(depth)]
                value = max(task.result() for task in tasks)
        self.seen.append([kind, value])
        return value

    def _some(self, depth: int) -> list[Any]:
        return [self.act(depth - 1) for _ in range(self._chance.randint(2, 3))]

    async def _race(self, depth: int) -> int:
        tasks = [asyncio.ensure_future(each) for each in self._some(depth)]
        done, rest = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in rest:
            task.cancel()
        self.seen.append([len(done), len(rest)])
        return next(iter(done)).result()

    async def _hurry(self, depth: int) -> int:
        try:
            async with asyncio.timeout(self._chance.choice([0.5, 1, 3])):
                return await self.act(depth - 1)
        except TimeoutError:
            return -1


@workflow(name="random gather")
async def play(seed: int) -> list[Any]:
    player = Player(seed)
    await asyncio.gather(*(player.act(2) for _ in range(3)))
    return player.seen


def shape(event: e.Event) -> tuple[object, ...]:
    """What was asked for, without the ids that a replay makes anew."""
    identity = identity_of(event) or ()
    return identity[:1] if str(identity[0]).startswith("cancel of") else identity


def check(env: WorkflowEnvironment, seed: int, history: list[e.Event]) -> None:
    """Replay the whole history, then what was there at some earlier moment. For the worker's
    thread."""
    started = history[0]
    assert isinstance(started, e.RunStarted)
    [end] = [event for event in history if isinstance(event, e.RunFinished)]
    assert end.status == "completed", (seed, end)
    whole = replayed(env.worker, started, history)
    assert whole.finished == end, seed
    assert whole.take()[0] == [], seed
    whole.close()
    inputs = [n for n, event in enumerate(history) if isinstance(event, (*REACHED,))]
    cut = random.Random(seed).choice(inputs) + 1 if inputs else 0
    asked = [shape(event) for event in history if isinstance(event, (*ASKED,))]
    known = sum(isinstance(event, (*ASKED,)) for event in history[:cut])
    part = replayed(env.worker, started, history[:cut])
    new = [shape(event) for event in part.take()[0]]
    part.close()
    assert new == asked[known : known + len(new)], (seed, cut)


def run(env: WorkflowEnvironment, seeds: range) -> int:
    """Play these, and replay them; how many steps they had."""
    env.worker.define(play)
    handles = [play.start(seed) for seed in seeds]
    for handle in handles:
        handle.result(600)
    histories = env.history.workflows.events([handle.run_id for handle in handles])

    def work() -> None:
        for seed, handle in zip(seeds, handles, strict=True):
            check(env, seed, histories[handle.run_id])

    env.worker.call(work).result(600)
    return sum(isinstance(it, e.StepStarted) for events in histories.values() for it in events)


def test_a_replay_is_equal(world: WorkflowEnvironment) -> None:
    assert run(world, range(50)) > 100


@pytest.mark.soak
def test_a_replay_is_equal_ten_thousand_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    steps = 0
    for first in range(0, 10_000, BATCH):
        DEFINED.clear()
        with WorkflowEnvironment() as env:
            steps += run(env, range(first, first + BATCH))
    assert steps > 20_000
