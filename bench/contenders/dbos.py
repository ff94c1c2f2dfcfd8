"""DBOS, its system database in SQLite."""

from __future__ import annotations

import asyncio
import threading
from time import perf_counter
from typing import TYPE_CHECKING

from bench.contenders import ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

from dbos import DBOS, SetWorkflowID


@DBOS.step()
def ask(tag: str, number: int) -> str:
    return ANSWER


@DBOS.step()
async def ask_async(tag: str, number: int) -> str:
    return ANSWER


@DBOS.workflow()
def loop(tag: str, steps: int) -> float:
    begin = perf_counter()
    for number in range(steps):
        ask(tag, number)
    return perf_counter() - begin


@DBOS.workflow()
async def fan_out(tag: str, steps: int, limit: int) -> float:
    gate = asyncio.Semaphore(limit)

    async def one(number: int) -> str:
        async with gate:
            return await ask_async(tag, number)

    begin = perf_counter()
    await asyncio.gather(*map(one, range(steps)))
    return perf_counter() - begin


_reached: Callable[[], None]


@DBOS.step()
def last() -> None:
    _reached()


@DBOS.workflow()
def resumable(steps: int) -> None:
    for number in range(steps):
        ask("resume", number)
    last()


def _launch(folder: Path) -> None:
    DBOS(
        config={
            "name": "bench",
            "system_database_url": f"sqlite:///{folder / 'dbos.sqlite'}",
            "application_version": "bench",
            "executor_id": "bench",
            "log_level": "ERROR",
        }
    )
    DBOS.launch()


class Contender:
    """Steps of workflows."""

    def __init__(self, folder: Path) -> None:
        _launch(folder)
        self._runner = asyncio.Runner()

    def sequential(self, tag: str, steps: int) -> float:
        """Seconds for `steps` steps of one workflow, without its beginning and end."""
        return loop(tag, steps)

    def concurrent(self, tag: str, steps: int, limit: int) -> float:
        """Seconds for `steps` async steps of one workflow, `limit` at a time."""
        return self._runner.run(fan_out(tag, steps, limit))

    def many(self, tag: str, runs: int, steps: int) -> float:
        """Seconds for `runs` workflows of `steps` steps, started at once."""
        begin = perf_counter()
        handles = [DBOS.start_workflow(loop, f"{tag} {number}", steps) for number in range(runs)]
        for handle in handles:
            handle.get_result()
        return perf_counter() - begin

    def close(self) -> None:
        """End DBOS."""
        self._runner.close()
        DBOS.destroy()


class Program:
    """A workflow that DBOS recovers by itself when it is launched again."""

    def __init__(
        self, folder: Path, mark: Callable[[str], None], reached: Callable[[], None]
    ) -> None:
        global _reached  # noqa: PLW0603 - a recovered workflow gets no object of ours
        _reached = reached
        mark("imports")
        _launch(folder)
        mark("opened")

    def run(self, steps: int, *, resuming: bool) -> None:
        """Run the workflow, or wait until its recovery got to the end."""
        if resuming:
            threading.Event().wait()
        with SetWorkflowID("resumable"):
            resumable(steps)
