"""Why a cell would be a hit or a miss: each recorded input beside what it is now.

explain_cell -> Explanation: the preview, the inputs, the source as it was, the calls that missed
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Literal

import msgspec

from evercell.cell.project import PREFIX
from evercell.cell.versions import LINEAGE
from evercell.engine.decide import Execute
from evercell.readable import clipped

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from evercell.engine.decide import CellRecord
    from evercell.engine.forecast import Forecast
    from evercell.engine.preview import CellPreview, Looked, NotebookCell, Previewer
    from evercell.engine.run import Run
    from evercell.engine.state import RunState
    from evercell.events import Product

__all__ = ["Explanation", "Input", "MissedCall", "explain_cell"]

Change = Literal["same", "changed", "new", "gone", "unsure"]
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_STATEMENT = 60  # characters of a statement that are shown
_CALLS = 20  # missed calls that are looked at


class Input(msgspec.Struct, frozen=True):
    """One thing that decided."""

    name: str
    kind: str  # "variable", "function", "class", "module", "file", "process state", ...
    change: Change
    cell: int | None = None  # index of the cell that makes it now
    detail: str | None = None  # what is different, in words


class MissedCall(msgspec.Struct, frozen=True):
    """A step that ran in the cell's last execution, and what the history had nearest to it."""

    name: str
    reason: str


class Explanation(msgspec.Struct, frozen=True):
    """Of one cell."""

    preview: CellPreview
    inputs: tuple[Input, ...]  # those that decided first
    source_before: str | None  # as it was recorded, if it was edited since
    last: str | None  # what happened to it last, and why, as the history says
    calls: tuple[MissedCall, ...]


def explain_cell(
    run: Run, previewer: Previewer, cells: Iterable[NotebookCell], chosen: int
) -> Explanation | None:
    """Why the cell whose index is `chosen` would be restored or run; None if there is none."""
    for cell in cells:
        looked = previewer.look(cell)
        if cell.index != chosen:
            previewer.take(looked)
            continue
        record = _compared(run.state, looked)
        inputs = (
            () if record is None else _inputs(run.state, previewer.forecast, record, looked.left)
        )
        edited = record is not None and record.started.source_digest != looked.source.digest
        slot = looked.place.slot
        event = next((e for e in run.state.cells() if e.slot == slot), None)
        return Explanation(
            preview=previewer.take(looked),
            inputs=tuple(sorted(inputs, key=lambda found: found.change == "same")),
            source_before=record.started.source if edited and record is not None else None,
            last=None if event is None else event.reason,
            calls=() if event is None else _missed(run, slot, event.activity_id),
        )
    return None


def _compared(state: RunState, looked: Looked) -> CellRecord | None:
    """The record that fits, or that comes nearest to fitting."""
    if not isinstance(looked.decision, Execute):
        return looked.decision.record
    same = state.records(looked.source.digest)
    return next((r for r in same if r.started.ordinal == looked.place.ordinal), looked.former)


def _inputs(
    state: RunState,
    forecast: Forecast,
    record: CellRecord,
    left: Mapping[str, frozenset[bytes]],
) -> list[Input]:
    unsure = {doubt.name: doubt for doubt in forecast.doubts(record.completed.reads)}
    found = []
    for name, version in record.completed.reads.items():
        now = forecast.version(name)
        doubt = unsure.get(name)
        if not version and not now and doubt is None:
            continue  # absent then and now: a builtin, as a rule
        before, after = _maker(state, name, version), _maker(state, name, now or b"")
        made = before or after
        kind = _kind(name, None if made is None else made[0])
        if doubt is not None and (doubt.makes or now == version):
            verb = "makes" if doubt.makes else "could change"
            detail = f"cell {doubt.index + 1} {verb} it by running"
            found.append(Input(name, kind, "unsure", doubt.index, detail))
        elif now == version or now in left.get(name, ()):
            found.append(Input(name, kind, "same", forecast.maker(name)))
        else:
            change: Change = "gone" if not now else "changed" if version else "new"
            detail_of = _detail(name, before, after) if before and after else None
            found.append(Input(name, kind, change, forecast.maker(name), detail_of))
    return found


def _maker(state: RunState, name: str, version: bytes) -> tuple[CellRecord, Product] | None:
    """The execution that made this version of the variable."""
    for record in reversed(state.finished()):
        for product in record.completed.products:
            if name in product.names and product.version == version:
                return record, product
    return None


def _kind(name: str, record: CellRecord | None) -> str:
    if name.startswith("@"):
        return _PSEUDO.get(name, "file" if name.startswith(PREFIX) else "process state")
    statement = None if record is None else _statement(record.started.source, name)
    return _KINDS.get(type(statement), "variable")


_PSEUDO = {LINEAGE: "all that comes before"}
_KINDS: dict[type, str] = {
    ast.FunctionDef: "function",
    ast.AsyncFunctionDef: "function",
    ast.ClassDef: "class",
    ast.Import: "import",
    ast.ImportFrom: "import",
}


def _detail(
    name: str, before: tuple[CellRecord, Product], after: tuple[CellRecord, Product]
) -> str | None:
    """What is different between two versions of a variable, from the cells that made them."""
    old, new = (_statement(made[0].started.source, name) for made in (before, after))
    if old is None or new is None:
        return None
    if ast.dump(old) != ast.dump(new):
        if isinstance(old, _Definition) and isinstance(new, _Definition):
            return "its code was edited"
        return f"was `{_shown(old)}`, is `{_shown(new)}`"
    if not isinstance(old, _Definition):
        return None
    if before[1].payload == after[1].payload:
        return "its code is the same, what it refers to is not"
    return "its code is the same; a default, its closure or an attribute is not"


def _statement(source: str, name: str) -> ast.stmt | None:
    """The last statement at the top of `source` that binds `name`."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return next((node for node in reversed(tree.body) if name in _bound(node)), None)


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, _Definition):
        return {node.name}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {a.asname or a.name.partition(".")[0] for a in node.names}
    return {
        n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }


def _shown(node: ast.stmt) -> str:
    return clipped(" ".join(ast.unparse(node).split()), _STATEMENT)


_CALLED = """
SELECT name, CAST(arguments AS VARCHAR), cell_activity_id = $cell
FROM steps
WHERE run_id = $run_id AND slot = $slot
"""


def _missed(run: Run, slot: str, activity_id: str) -> tuple[MissedCall, ...]:
    """The steps that the cell's last execution called for the first time though the cell had called
    steps of this name before."""
    rows = run.history.query(
        _CALLED, {"run_id": run.run_id, "slot": slot, "cell": activity_id}
    ).rows
    known: dict[str, list[str]] = {}
    found: list[MissedCall] = []
    for name, arguments, latest in rows:
        if not latest:
            known.setdefault(str(name), []).append(str(arguments))
        elif str(name) in known and len(found) < _CALLS:
            found.append(MissedCall(str(name), _why_missed(str(arguments), known[str(name)])))
    return tuple(found)


def _why_missed(arguments: str, known: Sequence[str]) -> str:
    if arguments in known:
        return (
            "same arguments: its function changed (code, a helper, a constant or data that it "
            "reads), or it was called more often"
        )
    differences = [_differing(arguments, other) for other in known]
    nearest = min(differences, key=len)
    return f"no recorded call has its arguments; the nearest differs in {', '.join(nearest)}"


def _differing(one: str, other: str) -> list[str]:
    first, second = (_as_object(text) for text in (one, other))
    return sorted(
        name for name in first.keys() | second.keys() if first.get(name) != second.get(name)
    )


def _as_object(text: str) -> Mapping[str, object]:
    try:
        found = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return {"arguments": text}
    return found if isinstance(found, dict) else {"arguments": found}
