"""A notebook without a kernel: a real session and history, cells run by `eval`."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import inspect
import io
import resource
import sys
import traceback
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.cell.capture import NOTHING
from evercell.cell.outputs import Message
from evercell.engine.host import CellRequest, Ran
from evercell.engine.run import RunRequest
from evercell.engine.session import Session

if TYPE_CHECKING:
    from typing import Self

    from evercell.clock import Clock
    from evercell.events import Event


class Shell:
    """A host that runs cells as a kernel does, and keeps what they show."""

    def __init__(self, source: str, live: dict[str, Any]) -> None:
        self._source, self._live = source, live
        self.notes: list[str] = []
        self.shown: tuple[Message, ...] = ()
        self.error: BaseException | None = None
        self.ran = False

    async def run(self) -> Ran:
        self.ran = True
        printed = io.StringIO()
        error: BaseException | None = None
        messages = []
        with contextlib.redirect_stdout(printed):
            try:
                code = compile(self._source, "<cell>", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                outcome = eval(code, self._live)
                if inspect.iscoroutine(outcome):
                    await outcome
            except Exception as raised:
                error = raised
        if printed.getvalue():
            messages.append(Message("stream", {"name": "stdout", "text": printed.getvalue()}))
        if error is not None:
            lines = traceback.format_exception(error)
            messages.append(
                Message("error", {"ename": "E", "evalue": str(error), "traceback": lines})
            )
        self.shown, self.error = tuple(messages), error
        return Ran({"status": "error" if error else "ok"}, self.shown, error, NOTHING)

    def run_again(self, code: types.CodeType) -> BaseException | None:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                exec(code, self._live)
        except Exception as error:
            return error
        return None

    def replay(self, messages: tuple[Message, ...], result: object) -> dict[str, Any]:
        self.shown = messages
        return {"status": "ok"}

    def refuse(self, error: Exception) -> dict[str, Any]:
        raise error

    def note(self, text: str) -> None:
        self.notes.append(text)


class Notebook:
    """A kernel process over the history in `folder`."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self.live: dict[str, Any] = vars(module)
        request = RunRequest("/nb.ipynb", {}, None)
        self.session = Session.open(folder, request, self.live, clock=clock)
        self._runner = asyncio.Runner()
        self._count = 0

    def cell(self, source: str) -> Shell:
        self._count += 1
        return self.again(source)

    def again(self, source: str) -> Shell:
        """The last cell once more."""
        shell = Shell(source, self.live)
        request = CellRequest(source, source, self._count, cell_id=f"c{self._count}")
        self._runner.run(self.session.execute(request, shell))
        return shell

    def close(self) -> list[str]:
        """Returns all text that a reader of the database finds."""
        tables = self.session.history.query("SELECT * FROM store.event").rows
        views = [
            self.session.history.query(f"SELECT * FROM {view}").rows
            for view in ("runs", "cells", "steps", "attempts", "events")
        ]
        self.stop()
        return [repr(tables), repr(views)]

    def stop(self) -> None:
        """The kernel ends in good order."""
        self.session.close()
        self._runner.close()


class Watched(Notebook):
    """A notebook whose events are kept; open in a `with`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.events: list[Event] = []
        self.session.history.subscribe(self.events.extend)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.session.close()


def peak() -> int:
    """The most memory, in bytes, that this process has held."""
    if sys.platform == "linux":  # whose getrusage counts what started the process, too
        status = Path("/proc/self/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used if sys.platform == "darwin" else used * 1024
