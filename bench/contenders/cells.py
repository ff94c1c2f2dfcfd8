"""What watching a cell costs beside what the cell does: capture of many small objects, and a table
that is only read."""

from __future__ import annotations

import pickle
import sys
import types
from time import perf_counter
from typing import TYPE_CHECKING, Any

from evercell.cell.namespace import Namespace
from evercell.cell.source import parse_source

if TYPE_CHECKING:
    from pathlib import Path

_SETUP = (
    "import dataclasses\n"
    "class Plain:\n    def __init__(self, n): self.n = n; self.text = str(n)\n"
    "@dataclasses.dataclass(slots=True)\nclass Point:\n    x: int\n    y: float\n"
)
_MAKING = {
    "instances": "[Plain(n) for n in range(count)]",
    "slots": "[Point(n, 1.0) for n in range(count)]",
    "dicts": "[{'n': n, 'text': str(n)} for n in range(count)]",
    "lists": "[[n] for n in range(count)]",
}
_TABLE = "import numpy, pandas\ntable = pandas.DataFrame({'a': numpy.zeros(size // 8)})"


class Contender:
    """A namespace under watch, as a kernel has it."""

    def __init__(self, _folder: Path) -> None:
        module = types.ModuleType("__main__")
        sys.modules["__main__"] = module
        self._ns: dict[str, Any] = vars(module)
        self._space = Namespace(self._ns)
        self._run(_SETUP)

    def pickle(self, kind: str, count: int) -> float:
        """Seconds to pickle the objects."""
        self._ns["count"] = count
        value = eval(_MAKING[kind], self._ns)
        begin = perf_counter()
        pickle.dumps(value, 5)
        return perf_counter() - begin

    def capture(self, kind: str, count: int) -> float:
        """Seconds that are added to the cell that makes them."""
        self._ns["count"] = count
        added = self._run(f"value = {_MAKING[kind]}")
        self._run("value = None")
        return added

    def plain(self, size: int, cell: str) -> float:
        """Seconds of a cell that reads a table of `size` bytes."""
        self._make(size)
        begin = perf_counter()
        exec(cell, self._ns)
        return perf_counter() - begin

    def watched(self, size: int, cell: str) -> float:
        """The same, with what watching adds."""
        self._make(size)
        begin = perf_counter()
        self._run(cell)
        return perf_counter() - begin

    def close(self) -> None:
        """Nothing is held."""

    def _make(self, size: int) -> None:
        if "table" not in self._ns:
            self._ns["size"] = size
            self._run(_TABLE)

    def _run(self, cell: str) -> float:
        begin = perf_counter()
        source = parse_source(cell, cell)
        before = self._space.before(source)
        began = perf_counter()
        exec(cell, self._ns)
        ended = perf_counter()
        self._space.after(before, source, key=b"bench")
        return perf_counter() - begin - (ended - began)
