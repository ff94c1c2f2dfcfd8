"""Two kernels for one notebook: Evercell's engine over a real history, and plain `exec`.

    Laboratory.restart()           both begin again, as after a kill; the history stays
    Laboratory.execute(cell)       both run the cell; everything that can be seen must be equal

A restart folds the recorded events in memory: folding them through DuckDB is the history's own
tests' business, and takes a hundred times as long.
"""

from __future__ import annotations

import asyncio
import decimal
import os
import random
import shutil
import sys
import tempfile
import types
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evercell.cell.capture import Unrestored
from evercell.cell.pending import Deferred
from evercell.clock import SystemClock
from evercell.engine.host import CellRequest
from evercell.engine.notebook import NotebookRun
from evercell.engine.run import Run, RunRequest
from evercell.engine.scope import forget_scopes
from evercell.engine.state import RunState
from evercell.events import (
    CellCompleted,
    CellFailed,
    CellRestored,
    CellStarted,
    CellVerified,
    StepCompleted,
    StepFailed,
    StepStarted,
    decode_event,
)
from evercell.history import History, StepRecord
from evercell.history.encoding import encode
from evercell.history.steps import StepTable
from evercell.testing import ExecHost
from property.describe import describe, without_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from evercell.events import Event

_LOOK_EVERY = 4  # cells: in between, what nobody has needed yet is left to wait
_CELL_EVENTS = (CellStarted, CellCompleted, CellFailed, CellRestored, CellVerified)
_PATIENCE = 60.0  # seconds that a kernel that does not die at once gives what is being tried


class Killed(BaseException):
    """The kernel process died here."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A notebook's cell; its id stays over edits."""

    cell_id: str
    source: str


class World:
    """What is outside of the notebook: steps ask it, and it counts what each cell paid for.

    What plain `exec` asks in one execution of a cell is what it may cost in all of them together.
    """

    def __init__(self) -> None:
        self.module = types.ModuleType("world")
        self.module.ask = self.ask  # type: ignore[attr-defined]
        self.cell: str | None = None
        self.asked: Counter[tuple[object, ...]] = Counter()  # by the execution that runs now
        self._paid: Counter[tuple[object, ...]] = Counter()
        self._allowed: Counter[tuple[object, ...]] = Counter()

    def ask(self, *question: object) -> str:
        """An answer that somebody paid for."""
        self.asked[self.cell, *question] += 1
        return f"answer to {question!r}"

    def pay(self) -> None:
        """Evercell's execution is over."""
        self._paid += self.asked
        self.asked.clear()

    def allow(self) -> None:
        """Plain execution of the same cell is over."""
        self._allowed |= self.asked
        self.asked.clear()

    def forgive(self) -> None:
        """An execution was killed: how much it may have cost is not known exactly."""
        self._allowed |= self._paid

    def paid_twice(self) -> list[tuple[object, ...]]:
        """Calls with a finished result that were made once more."""
        return [call for call, times in self._paid.items() if times > self._allowed[call]]


@dataclass
class Kernel:
    """A process: its namespace, and its ambient state while another one has the floor."""

    module: types.ModuleType = field(default_factory=lambda: types.ModuleType("__main__"))
    ambient: tuple[Any, ...] = ()

    @property
    def ns(self) -> dict[str, Any]:
        return vars(self.module)

    @contextmanager
    def floor(self) -> Iterator[None]:
        """Let this kernel be the process."""
        main, outside = sys.modules["__main__"], _take_ambient()
        sys.modules["__main__"] = self.module
        _put_ambient(self.ambient or _FRESH)
        try:
            yield
        finally:
            self.ambient = _take_ambient()
            sys.modules["__main__"] = main
            _put_ambient(outside)

    def seen(self, waiting: Iterable[str]) -> dict[str, object]:
        """Everything that code of the notebook could see, apart from what waits to be loaded."""
        (_, state, _), arrays, environ, precision = self.ambient
        positions = (state[-1], arrays[2], hash((state, arrays)))
        there = {name: value for name, value in self.ns.items() if name not in waiting}
        return {**describe(there, self.ns), "ambient": (positions, environ, precision)}


class Laboratory:
    """A history, and the two kernels of the moment."""

    def __init__(self, folder: Path) -> None:
        self.history = History(folder)
        self.world = World()
        self.log: list[str] = []
        self._events: list[bytes] = []
        self._count = 0
        self._runner = asyncio.Runner()
        self.history.subscribe(lambda events: self._events.extend(map(encode, events)))
        self.restart()

    def close(self) -> None:
        """Let go of the folder."""
        forget_scopes()
        self.cells.verifying.close(0)
        self._runner.close()
        self.history.close()

    def restart(self) -> None:
        """Both kernels die and begin anew."""
        forget_scopes()
        if hasattr(self, "cells"):  # every other one dies before all that it made is known
            self.cells.verifying.close(_PATIENCE * (self._count % 2))
        self.plain, self.durable = Kernel(), Kernel()
        events = [decode_event(data) for data in self._events]
        state = RunState.fold(e for e in events if isinstance(e, _CELL_EVENTS))
        request = RunRequest("/notebook.ipynb", {}, None)
        run = Run(
            self.history,
            SystemClock(),
            "run",
            request,
            None,
            state,
            frozenset(),
            _steps=_steps(events),
        )
        with self.durable.floor():
            self.cells = NotebookRun(run, self.durable.ns)
        self.log.append("-- restart")

    def execute(self, cell: Cell, kill_at: int | None = None, use_ids: bool = True) -> None:
        """Run the cell in both kernels and compare; or kill the process at that many lines of it,
        if it has as many and is not restored. Raises AssertionError."""
        self._count += 1
        host = _MortalHost(cell.source, self.durable.ns, self._count, kill_at)
        request = CellRequest(
            cell.source, cell.source, self._count, cell.cell_id if use_ids else None
        )
        self.world.cell = cell.cell_id
        try:
            with self.durable.floor(), _module(self.world.module):
                self._runner.run(self.cells.execute(request, host))
        except Killed:
            self.world.pay()
            self.world.forgive()
            self.log.append(f"[{cell.cell_id}] killed at line {kill_at}\n{_indent(cell.source)}")
            self.restart()
            return
        self.world.pay()
        plain = ExecHost(cell.source, self.plain.ns, self._count)
        forget_scopes()
        with self.plain.floor(), _module(self.world.module):
            self._runner.run(plain.run())
        self.world.allow()
        events = [decode_event(data) for data in self._events]
        last = next(e for e in reversed(events) if isinstance(e, CellStarted | CellRestored))
        how = f"{'ran' if host.ran else 'restored'}: {last.reason}"
        self.log.append(f"[{cell.cell_id}] {how}\n{_indent(cell.source)}")
        if self._count % _LOOK_EVERY == 0:
            self._load()
        self._compare(host, plain, use_ids)

    def look(self) -> None:
        """Load all that waits, and compare it. Raises AssertionError."""
        self._load()
        self._compare_variables("\n".join(self.log))

    def _load(self) -> None:
        with self.durable.floor(), _module(self.world.module):
            self.cells.namespace.provide(None)

    def _compare(self, host: ExecHost, plain: ExecHost, use_ids: bool) -> None:
        story = "\n".join(self.log)
        assert type(host.error) is type(plain.error), f"{host.error!r}, {plain.error!r}\n{story}"
        texts = [without_addresses(str(e)) for e in (host.error, plain.error)]
        assert texts[0] == texts[1], f"{texts}\n{story}"
        shown, wanted = without_addresses(host.text), without_addresses(plain.text)
        assert shown == wanted, f"shown {shown!r}, not {wanted!r}\n{story}"
        result, wanted_result = host.result, plain.result
        if isinstance(result, Unrestored | Deferred):
            result = wanted_result = None
        is_names = [{k for k, v in ns.items() if v is r} for ns, r in (
            (self.durable.ns, result), (self.plain.ns, wanted_result)
        )]  # fmt: skip
        if not isinstance(wanted_result, int | str | float | bytes | bool | None):
            assert is_names[0] == is_names[1], f"the result is {is_names}\n{story}"
        self._compare_variables(story)
        # Without ids a cell that is run again is another cell: nothing tells them apart.
        assert not (use_ids and self.world.paid_twice()), (
            f"paid twice: {self.world.paid_twice()}\n{story}"
        )

    def _compare_variables(self, story: str) -> None:
        waiting = set(self.cells.namespace.pending)
        got, expected = self.durable.seen(waiting), self.plain.seen(waiting)
        absent = [name for name in waiting if name not in self.plain.ns]
        assert not absent, f"{absent} wait, and should not be there\n{story}"
        different = [n for n in {**got, **expected} if got.get(n) != expected.get(n)]
        lines = [f"{n}: {got.get(n)}\n  not {expected.get(n)}" for n in different[:3]]
        assert not different, "\n".join([*lines, story])


class _MortalHost(ExecHost):
    def __init__(self, source: str, ns: dict[str, Any], count: int, kill_at: int | None) -> None:
        super().__init__(source, ns, count)
        self._lines = kill_at
        self._filename = f"<cell {count}>"

    async def run(self) -> Any:
        if self._lines is None:
            return await super().run()
        before = sys.gettrace()
        sys.settrace(self._trace)
        try:
            return await super().run()
        finally:
            sys.settrace(before)

    def _trace(self, frame: types.FrameType, event: str, _argument: object) -> Callable[..., Any]:
        if event == "line" and frame.f_code.co_filename == self._filename:
            assert self._lines is not None
            if self._lines == 0:
                raise Killed
            self._lines -= 1
        return self._trace


@contextmanager
def laboratory() -> Iterator[Laboratory]:
    """A laboratory in a folder in memory, where the system has one."""
    shared = Path("/dev/shm")
    base = shared if os.access(shared, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="evercell-", dir=base))
    try:
        made = Laboratory(folder / ".evercell")
        try:
            yield made
        finally:
            made.close()
    finally:
        shutil.rmtree(folder)


def _steps(events: list[Event]) -> dict[str, StepTable]:
    """The recorded calls of each slot, as a kernel that attaches would read them."""
    started: dict[str, StepStarted] = {}
    tables: dict[str, StepTable] = {}
    for event in events:
        match event:
            case StepStarted():
                started[event.activity_id] = event
                status, result, error = "in doubt", None, None
            case StepCompleted():
                status, result, error = "completed", event.result, None
            case StepFailed():
                status, result, error = "failed", None, event.error
            case _:
                continue
        of = started[event.activity_id]
        table = tables.setdefault(of.slot, StepTable())
        table[of.key, of.ordinal] = StepRecord(
            of.activity_id,
            of.key,
            of.ordinal,
            status,
            1,
            of.at_most_once,
            result,
            error,  # type: ignore[arg-type]
        )
    return tables


@contextmanager
def _module(module: types.ModuleType) -> Iterator[None]:
    sys.modules[module.__name__] = module
    try:
        yield
    finally:
        del sys.modules[module.__name__]


def _take_ambient() -> tuple[Any, ...]:
    kind, keys, *rest = np.random.get_state(legacy=True)
    environ = {k: v for k, v in os.environ.items() if k.startswith("ZOO_")}
    precision = decimal.getcontext().prec
    return random.getstate(), (kind, keys.tobytes(), *rest), environ, precision


def _put_ambient(state: tuple[Any, ...]) -> None:
    rng, (kind, keys, *rest), environ, precision = state
    random.setstate(rng)
    np.random.set_state((kind, np.frombuffer(keys, np.uint32), *rest))
    for name in [n for n in os.environ if n.startswith("ZOO_")]:
        del os.environ[name]
    os.environ.update(environ)
    decimal.getcontext().prec = precision


def _fresh_ambient() -> tuple[Any, ...]:
    _, keys, *rest = np.random.RandomState(0).get_state(legacy=True)
    return random.Random(0).getstate(), ("MT19937", keys.tobytes(), *rest), {}, 28


_FRESH = _fresh_ambient()


def _indent(source: str) -> str:
    return "\n".join(f"    {line}" for line in source.splitlines())
