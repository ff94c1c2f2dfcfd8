"""Evercell's workflows, without a kernel: a history and a worker, on real time."""

from __future__ import annotations

import asyncio
import gc
import resource
import sys
import time
from time import perf_counter
from typing import TYPE_CHECKING

from bench.contenders import ANSWER
from evercell import step, workflow
from evercell.clock import SystemClock
from evercell.engine.workflow.loading import replayed
from evercell.engine.workflow.replaying import Replayer
from evercell.events import RunStarted
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from pathlib import Path

CHUNK = 500  # steps that a replayed workflow has under way
_KILO = 1 if sys.platform == "darwin" else 1024  # bytes in the unit of ru_maxrss


@step
async def ask(tag: str, number: int) -> str:
    return ANSWER


@workflow
async def loop(tag: str, steps: int) -> float:
    with workflow.unsafe():
        begin = perf_counter()
    for number in range(steps):
        await ask(tag, number)
    with workflow.unsafe():
        return perf_counter() - begin


@workflow
async def wide(tag: str, steps: int) -> int:
    for first in range(0, steps, CHUNK):
        await asyncio.gather(*[ask(tag, first + n) for n in range(CHUNK)])
    return steps


@workflow
async def sleeper(number: int) -> None:
    await asyncio.sleep(3600)


class Contender:
    """Runs of one host."""

    def __init__(self, folder: Path) -> None:
        self._environment = WorkflowEnvironment(folder / "history", clock=SystemClock())
        self._finished: dict[int, str] = {}  # steps -> run_id

    def sequential(self, tag: str, steps: int) -> float:
        """Seconds for `steps` steps of one workflow, without its beginning and end."""
        return float(loop.start(tag, steps).result(600))

    def many(self, tag: str, runs: int, steps: int) -> float:
        """Seconds for `runs` workflows of `steps` steps, started at once."""
        begin = perf_counter()
        handles = [loop.start(f"{tag} {number}", steps) for number in range(runs)]
        for handle in handles:
            handle.result(600)
        return perf_counter() - begin

    def replay(self, steps: int, *, reading: bool) -> float:
        """Seconds to replay a finished run of `steps` steps: from its events in memory, or with
        `reading` them from the history in DuckDB."""
        environment = self._environment
        history, worker = environment.history, environment.worker
        if steps not in self._finished:
            handle = wide.start(f"replay {steps}", steps)
            handle.result(600)
            history.fold()
            self._finished[steps] = handle.run_id
        run_id = self._finished[steps]
        if reading:
            gc.collect()
            begin = perf_counter()
            (found,) = Replayer(wide).replay_folder(history.folder, [run_id])
            seconds = perf_counter() - begin
            assert found.error is None, found.error
            return seconds
        events = history.workflows.events([run_id])[run_id]
        (started,) = [event for event in events if isinstance(event, RunStarted)]
        gc.collect()
        begin = perf_counter()
        instance = worker.call(lambda: replayed(worker, started, events)).result()
        seconds = perf_counter() - begin
        assert instance.finished is not None
        return seconds

    def sleepers(self, count: int) -> float:
        """Megabytes by which the process's peak grows for `count` workflows that sleep."""
        sleeper.start(0)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for number in range(count):
            sleeper.start(number)
        self._environment.worker.call(lambda: None).result()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return (after - before) * _KILO / 1e6

    def idle(self, seconds: float) -> float:
        """Share of one core that the process takes meanwhile, in percent."""
        begin = time.process_time()
        time.sleep(seconds)
        return (time.process_time() - begin) / seconds * 100

    def close(self) -> None:
        """Stop."""
        self._environment.close()
