"""Evercell: steps in a recorded cell, as in the kernel, but without one: no shell, no wire."""

from __future__ import annotations

import ast
import asyncio
import inspect
from time import perf_counter
from typing import TYPE_CHECKING, Any

from bench import hooks
from evercell.engine.host import NOTHING, CellRequest, Ran
from evercell.engine.run import RunRequest
from evercell.engine.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evercell.errors import EvercellError

DEFINITIONS = f"""
import asyncio
from bench import hooks
from evercell import step

@step
def ask(tag, number):
    return {"a" * 200!r}

@step
async def ask_async(tag, number):
    return {"a" * 200!r}

@step(version=1)
def last():
    hooks.reached()
"""

LOOP = """
for number in range({steps}):
    ask({tag!r}, number)
"""
LOOP_ASYNC = """
for number in range({steps}):
    await ask_async({tag!r}, number)
"""
GATHER = """
await asyncio.gather(*[ask_async({tag!r}, number) for number in range({steps})])
"""
MAP = """
ask.map([{tag!r}] * {steps}, range({steps}), max_concurrency={limit})
"""
MAP_ASYNC = """
await ask_async.map([{tag!r}] * {steps}, range({steps}), max_concurrency={limit})
"""

# Recorded with many at a time, resumed by a loop: the cell was edited, its steps are the same.
RECORD = """
ask.map(["resume"] * {steps}, range({steps}), max_concurrency=64)
last()
"""
RESUME = """
ask("resume", 0)
hooks.mark("first answer")
for number in range(1, {steps}):
    ask("resume", number)
last()
"""


class Shell:
    """The host of a cell: runs its code in the namespace and takes the time of that alone."""

    def __init__(self, source: str, live: dict[str, Any], execution_count: int) -> None:
        self._code = compile(source, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        self._live = live
        self._count = execution_count
        self.seconds = 0.0

    async def run(self) -> Ran:
        begin = perf_counter()
        outcome = eval(self._code, self._live)
        if inspect.iscoroutine(outcome):
            await outcome
        self.seconds = perf_counter() - begin
        return Ran(self._reply(), (), None, NOTHING)

    def replay(self, messages: tuple[Any, ...], result: object) -> dict[str, Any]:
        return self._reply()

    def refuse(self, error: EvercellError) -> dict[str, Any]:
        raise error

    def note(self, text: str) -> None:
        print(text)

    def _reply(self) -> dict[str, Any]:
        return {
            "status": "ok",
            "execution_count": self._count,
            "payload": [],
            "user_expressions": {},
        }


class Notebook:
    """A notebook on an engine of its own, its history in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._live: dict[str, Any] = {"__name__": "__main__"}
        self._count = 0
        self._runner = asyncio.Runner()
        # Not a path in `folder`: a copy of the folder holds the same notebook's history.
        request = RunRequest("/bench.ipynb", {}, None)
        self._session = Session.open(folder / "history", request, self._live)

    def cell(self, cell_id: str, source: str) -> float:
        """Restore or run the cell; seconds that its code ran."""
        self._count += 1
        shell = Shell(source, self._live, self._count)
        request = CellRequest(source, source, self._count, cell_id=cell_id)
        self._runner.run(self._session.execute(request, shell))
        return shell.seconds

    def close(self) -> None:
        """Detach from the run."""
        self._session.close()
        self._runner.close()


class Contender:
    """A cell per round."""

    def __init__(self, folder: Path) -> None:
        self._notebook = Notebook(folder)
        self._notebook.cell("definitions", DEFINITIONS)

    def sequential(self, tag: str, steps: int, *, asynchronous: bool = False) -> float:
        """Seconds for `steps` steps in a loop."""
        source = LOOP_ASYNC if asynchronous else LOOP
        return self._notebook.cell(tag, source.format(tag=tag, steps=steps))

    def concurrent(self, tag: str, steps: int, limit: int, *, how: str) -> float:
        """Seconds for `steps` steps by `gather`, `map` (threads) or `map_async`."""
        source = {"gather": GATHER, "map": MAP, "map_async": MAP_ASYNC}[how]
        return self._notebook.cell(tag, source.format(tag=tag, steps=steps, limit=limit))

    def close(self) -> None:
        """Detach from the run."""
        self._notebook.close()


class Program:
    """A notebook of two cells: definitions, and the steps."""

    def __init__(
        self, folder: Path, mark: Callable[[str], None], reached: Callable[[], None]
    ) -> None:
        mark("imports")
        hooks.mark, hooks.reached = mark, reached
        self._notebook = Notebook(folder)
        mark("opened")

    def run(self, steps: int, *, resuming: bool) -> None:
        """Run All."""
        self._notebook.cell("definitions", DEFINITIONS)
        source = RESUME if resuming else RECORD
        self._notebook.cell("steps", source.format(steps=steps))
