"""For tests of code that uses Evercell: time that the test moves, workflows without a notebook,
a kernel without wire."""

from __future__ import annotations

import ast
import inspect
import io
import threading
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, Any

from evercell.cell.outputs import Message
from evercell.engine.host import NOTHING, Ran
from evercell.engine.workflow.environment import WorkflowEnvironment
from evercell.engine.workflow.replaying import Replayed, Replayer

if TYPE_CHECKING:
    from types import CodeType

    from evercell.errors import EvercellError

__all__ = ["ExecHost", "ManualClock", "Replayed", "Replayer", "WorkflowEnvironment"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


class ManualClock:
    """A `Clock` that stands still until it is moved; sleeping moves it, and takes no real time.

    Ids count up, so that a test's history is the same each time.
    """

    def __init__(self, now: int = 1_767_225_600_000_000_000) -> None:
        """`now`: nanoseconds since the epoch; 2026-01-01 00:00 UTC by default."""
        self._now = now
        self._monotonic = 0.0
        self._ids = 0
        self._lock = threading.Lock()
        self.slept: list[float] = []  # seconds, in order

    def now(self) -> int:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def new_id(self, length: int = 10) -> str:
        with self._lock:
            self._ids += 1
            number, digits = self._ids, ""
        while number:
            number, digit = divmod(number, len(_ALPHABET))
            digits = _ALPHABET[digit] + digits
        return digits.rjust(length, "0")

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass; a negative number jumps the wall clock back, as NTP may do."""
        with self._lock:
            self._now += int(seconds * 1_000_000_000)
            self._monotonic += max(0.0, seconds)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.advance(seconds)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        if seconds is None:
            return event.wait()
        if not event.is_set():
            self.sleep(seconds)
        return event.is_set()

    async def sleep_async(self, seconds: float) -> None:
        self.sleep(seconds)


class ExecHost:
    """A `Host` for one cell, over plain `exec`: no kernel, no wire, no magics.

    A cell's last expression is its result, prints become stream messages, and `await` works at the
    top. The namespace should be that of `sys.modules["__main__"]`, as in a kernel; otherwise the
    classes of the cells can't be told from those of the test.
    """

    def __init__(self, source: str, namespace: dict[str, Any], execution_count: int = 1) -> None:
        self._source = source
        self._namespace = namespace
        self._count = execution_count
        self.messages: list[Message] = []  # all that was published, by the cell or again
        self.result: object = NOTHING
        self.error: BaseException | None = None
        self.ran = False  # it was executed, not restored
        self.notes: list[str] = []

    async def run(self) -> Ran:
        """Execute the cell. What is neither an Exception nor a KeyboardInterrupt passes through,
        as if the kernel died."""
        self.ran = True
        out, err = _Stream("stdout", self.messages), _Stream("stderr", self.messages)
        try:
            with redirect_stdout(out), redirect_stderr(err):
                self.result = await self._execute()
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the cell's own business
            self.error = error
            return Ran(self._failed(error), tuple(self.messages), error, NOTHING)
        if self.result is not NOTHING:
            self.messages.append(_execute_result(self.result, self._count))
        return Ran(self._ok(), tuple(self.messages), None, self.result)

    def run_again(self, code: CodeType) -> BaseException | None:
        """Execute the code of an earlier cell; what it prints is dropped."""
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                exec(code, self._namespace)  # noqa: S102 - running the user's cell is the point
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the cell's own business
            return error
        return None

    def replay(self, messages: tuple[Message, ...], result: object) -> dict[str, Any]:
        """Publish recorded messages and take the recorded result."""
        self.messages.extend(messages)
        self.result = result
        return self._ok()

    def refuse(self, error: EvercellError) -> dict[str, Any]:
        """Show `error` instead of the cell."""
        self.error = error
        return self._failed(error)

    def note(self, text: str) -> None:
        """Keep a line that belongs to no cell's recorded outputs."""
        self.notes.append(text)

    @property
    def text(self) -> str:
        """What the cell printed and showed."""
        streams = (m.content.get("text") for m in self.messages)
        results = (m.content.get("data", {}).get("text/plain") for m in self.messages)
        return "".join(a or b or "" for a, b in zip(streams, results, strict=True))

    async def _execute(self) -> object:
        tree = ast.parse(self._source)
        last = tree.body[-1] if tree.body else None
        shown = ast.Expression(tree.body.pop().value) if isinstance(last, ast.Expr) else None  # type: ignore[attr-defined]
        await self._evaluate(tree, "exec")
        value = None if shown is None else await self._evaluate(shown, "eval")
        return NOTHING if value is None else value

    async def _evaluate(self, tree: ast.Module | ast.Expression, mode: str) -> object:
        flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        code = compile(tree, f"<cell {self._count}>", mode, flags, dont_inherit=True)
        value = eval(code, self._namespace)  # noqa: S307 - running the user's cell is the point
        return await value if code.co_flags & inspect.CO_COROUTINE else value

    def _ok(self) -> dict[str, Any]:
        return {"status": "ok", "execution_count": self._count, "user_expressions": {}}

    def _failed(self, error: BaseException) -> dict[str, Any]:
        content = {"ename": type(error).__name__, "evalue": str(error), "traceback": []}
        self.messages.append(Message("error", content))
        return {"status": "error", "execution_count": self._count, **content}


class _Stream(io.TextIOBase):
    """Text as stream messages; neighbours are joined, as ipykernel does."""

    def __init__(self, name: str, messages: list[Message]) -> None:
        self._name = name
        self._messages = messages

    def writable(self) -> bool:
        return True

    def write(self, text: str) -> int:
        last = self._messages[-1] if self._messages else None
        if last is not None and last.content.get("name") == self._name:
            last.content["text"] += text
        else:
            self._messages.append(Message("stream", {"name": self._name, "text": text}))
        return len(text)


def _execute_result(value: object, count: int) -> Message:
    content = {"data": {"text/plain": repr(value)}, "metadata": {}, "execution_count": count}
    return Message("execute_result", content)
