"""A notebook without a kernel: runs cells in a plain namespace, records and restores them."""

from __future__ import annotations

import ast
import sys
import types
from dataclasses import dataclass, field
from typing import Any

from msgspec.structs import replace

from evercell.cell.capture import NOTHING, RESULT, Capture
from evercell.cell.identity import cell_key
from evercell.cell.namespace import Namespace
from evercell.cell.source import parse_source
from evercell.events import AmbientChange, CellCompleted, Payload, Product


@dataclass
class Bench:
    """One kernel process."""

    root: Any = None
    records: list[CellCompleted] = field(default_factory=list)
    blobs: dict[bytes, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.module = types.ModuleType("__main__")
        sys.modules["__main__"] = self.module
        self.ns: dict[str, Any] = vars(self.module)
        self.space = Namespace(self.ns, self.root)
        self.log: list[str] = []

    def run(self, text: str, untracked: str | None = None) -> Capture:
        """Execute a cell and record it."""
        source = parse_source(text, text)
        before = self.space.before(source)
        result = execute(text, self.ns)
        capture = self.space.after(
            before,
            source,
            key=lambda reads: cell_key(source.digest, 0, reads, {}),
            result=result,
            untracked=untracked,
        )
        self.records.append(self.event(capture))
        self.sources = [*getattr(self, "sources", []), source.digest]
        return capture

    def event(self, capture: Capture) -> CellCompleted:
        return CellCompleted(
            run_id="r",
            at=0,
            activity_id="a",
            key=capture.key,
            duration=0,
            reads=capture.reads,
            products=tuple(
                Product(
                    p.names,
                    p.version,
                    None if p.stream is None else self.put(p.stream),
                    tuple(self.put(b) for b in p.buffers),
                    p.reason,
                    p.refers,
                )
                for p in capture.products
            ),
            deleted=capture.deleted,
            ambient=tuple(
                AmbientChange(a.name, a.version, None if a.data is None else self.put(a.data))
                for a in capture.ambient
            ),
            outputs=None,
            result=capture.result_name,
            restorable=capture.restorable,
            reason=capture.reason,
        )

    def put(self, data: Any) -> Payload:
        stored = bytes(data)
        return Payload(str(hash(stored)).encode(), "pickle", len(stored), stored)

    def restore(self, event: CellCompleted, submodules: tuple[str, ...] = ()) -> object:
        decoded = self.space.decode(event, lambda payload: payload.data, submodules=submodules)
        return self.space.apply(decoded)

    def replay(self, cells: list[str], history: Bench) -> list[str]:
        """Run All in a new process: restore what the history answers, execute the rest."""
        self.results: list[object] = []
        for text in cells:
            source = parse_source(text, text)
            self.log.append(self._cell(text, source, history))
        return self.log

    def _cell(self, text: str, source: Any, history: Bench) -> str:
        candidates = zip(history.sources, history.records, strict=True)
        for digest, event in reversed(list(candidates)):
            if digest != source.digest or not event.restorable:
                continue
            if self.space.lookup(event.reads) is not None:
                continue
            lost = [p for p in event.products if p.payload is None and p.names != (RESULT,)]
            if not lost and all(a.payload is not None for a in event.ambient):
                self.results.append(self.restore(event, source.submodules))
                return "restored"
            fresh = {p.names: p.version for p in self.run(text).products if p.stream is not None}
            kept = [p for p in event.products if fresh.get(p.names, p.version) != p.version]
            over = replace(event, products=tuple(kept), deleted=(), ambient=(), result=None)
            self.space.apply(self.space.decode(over, lambda p: p.data, partial=True))
            return "recomputed"
        self.run(text)
        return "executed"


def execute(text: str, ns: dict[str, Any]) -> object:
    """Run a cell as IPython does: the last expression's value is the result."""
    tree = ast.parse(text)
    last = tree.body[-1] if tree.body else None
    if isinstance(last, ast.Expr):
        tree.body.pop()
        exec(compile(tree, "<cell>", "exec", dont_inherit=True), ns)
        value = eval(compile(ast.Expression(last.value), "<cell>", "eval", dont_inherit=True), ns)
        return NOTHING if value is None else value
    exec(compile(tree, "<cell>", "exec", dont_inherit=True), ns)
    return NOTHING
