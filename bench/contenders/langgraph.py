"""LangGraph's functional API with its SQLite saver."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from time import perf_counter
from typing import TYPE_CHECKING, Any

from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver
from langgraph.func import entrypoint, task

from bench.contenders import ANSWER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@task
def ask(number: int) -> str:
    return ANSWER


@task
async def ask_async(number: int) -> str:
    return ANSWER


def loop(request: dict[str, Any]) -> float:
    begin = perf_counter()
    for number in range(request["steps"]):
        ask(number).result()
    return perf_counter() - begin


async def fan_out(request: dict[str, Any]) -> float:
    begin = perf_counter()
    await asyncio.gather(*map(ask_async, range(request["steps"])))
    return perf_counter() - begin


async def loop_async(request: dict[str, Any]) -> int:
    for number in range(request["steps"]):
        await ask_async(number)
    return 0


class Contender:
    """Tasks of an entrypoint; each round is a thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stack = ExitStack()
        saver = self._stack.enter_context(SqliteSaver.from_conn_string(str(folder / "sync.sqlite")))
        self._loop = entrypoint(checkpointer=saver)(loop)

    def sequential(self, tag: str, steps: int) -> float:
        """Seconds for `steps` tasks, each one's result awaited."""
        config: Any = {"configurable": {"thread_id": tag}}
        seconds: Any = self._loop.invoke({"steps": steps}, config, durability="sync")
        return float(seconds)

    def concurrent(self, tag: str, steps: int, limit: int) -> float:
        """Seconds for `steps` async tasks, `limit` at a time."""
        return asyncio.run(self._fan_out(tag, steps, limit))

    async def _fan_out(self, tag: str, steps: int, limit: int) -> float:
        path = str(self._folder / "async.sqlite")
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            graph = entrypoint(checkpointer=saver)(fan_out)
            config: Any = {"configurable": {"thread_id": tag}, "max_concurrency": limit}
            begin = perf_counter()
            await graph.ainvoke({"steps": steps}, config, durability="sync")
            # Its writes go on in the background; they are durable when the invocation ends.
            return perf_counter() - begin

    def many(self, tag: str, runs: int, steps: int) -> float:
        """Seconds for `runs` invocations of `steps` tasks each, at once."""
        return asyncio.run(self._many(tag, runs, steps))

    async def _many(self, tag: str, runs: int, steps: int) -> float:
        path = str(self._folder / "async.sqlite")
        async with AsyncSqliteSaver.from_conn_string(path) as saver:
            graph = entrypoint(checkpointer=saver)(loop_async)
            configs: list[Any] = [
                {"configurable": {"thread_id": f"{tag} {number}"}} for number in range(runs)
            ]
            begin = perf_counter()
            await asyncio.gather(
                *[graph.ainvoke({"steps": steps}, config, durability="sync") for config in configs]
            )
            return perf_counter() - begin

    def close(self) -> None:
        """Close the database."""
        self._stack.close()


class Program:
    """An entrypoint that is invoked again on its thread."""

    def __init__(
        self, folder: Path, mark: Callable[[str], None], reached: Callable[[], None]
    ) -> None:
        mark("imports")
        self._stack = ExitStack()  # the saver is closed when this is forgotten
        path = str(folder / "db.sqlite")
        saver = self._stack.enter_context(SqliteSaver.from_conn_string(path))

        @task
        def last() -> None:
            reached()

        @entrypoint(checkpointer=saver)
        def resumable(steps: int) -> None:
            for number in range(steps):
                ask(number).result()
            last().result()

        self._resumable = resumable
        mark("opened")

    def run(self, steps: int, *, resuming: bool) -> None:
        """Invoke it with its input, or without one: then it resumes."""
        config: Any = {"configurable": {"thread_id": "resumable"}}
        self._resumable.invoke(None if resuming else steps, config, durability="sync")
