"""Cells that were given back without what can't be stored: run again when a cell needs that.

    restore  -> Postponed: the variables that the cell had read, and the process state, as they
                were in its turn; its unstorable names wait
    a cell needs one -> the postponed cells that have to come before -> each runs where it finds
                what it had found, its steps answered -> only what waited is kept of it

Objects are kept, not copied, so a postponed cell runs at the latest before another cell that could
change one of them in place; what is only bound anew changes nothing for it. A restored cell binds,
and changes nothing.
"""

from __future__ import annotations

from contextlib import contextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from evercell.cell.capture import RESULT
from evercell.cell.covariables import observe
from evercell.cell.patches import look
from evercell.cell.pending import Waiting
from evercell.cell.postpone import is_fixed
from evercell.codec.canonical import SCALARS
from evercell.engine import clear, parts
from evercell.engine.scope import enter_scope
from evercell.errors import RestoreError
from evercell.events import CellFailed, CellStarted, ErrorInfo

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evercell.cell.namespace import Namespace
    from evercell.cell.source import Source
    from evercell.engine.decide import CellRecord
    from evercell.engine.host import CellRequest, Host
    from evercell.engine.places import Place
    from evercell.engine.run import Run
    from evercell.engine.scope import Scope

__all__ = ["Postponed", "PostponedCells"]

_ABSENT = object()
_SECOND = 1_000_000_000


class Postponed(msgspec.Struct, eq=False):
    """One cell, with all that running it takes."""

    source: Source
    request: CellRequest
    place: Place
    record: CellRecord
    reason: str  # why something can't be stored
    waiting: Waiting
    inputs: dict[str, object]  # what it had read; a Waiting where that waits
    ambient: dict[str, Any]
    failed: str | None = None

    __repr__ = object.__repr__  # it holds values of the user's

    def known_inputs(self) -> dict[str, object]:
        """What it had read; a Waiting where nobody has loaded that."""
        return {n: v.found(n) if isinstance(v, Waiting) else v for n, v in self.inputs.items()}


class PostponedCells:
    """The postponed cells of a kernel, in their order. `host` is that of the latest cell."""

    def __init__(self, run: Run, namespace: Namespace) -> None:
        self._run = run
        self._namespace = namespace
        self._cells: list[Postponed] = []
        self.host: Host | None = None

    def __bool__(self) -> bool:
        return bool(self._cells)

    def owns(self, waiting: Waiting) -> bool:
        """Whether it takes a run to give it what it waits for."""
        return any(cell.waiting is waiting for cell in self._cells)

    def postpone(
        self,
        source: Source,
        request: CellRequest,
        place: Place,
        record: CellRecord,
        reason: str,
    ) -> Postponed:
        """A cell that is about to be given back. Counts from `add` on."""
        space, completed = self._namespace, record.completed
        lost = frozenset(
            name
            for product in completed.products
            if product.payload is None
            for name in product.names
            if name != RESULT
        )
        inputs: dict[str, object] = {}
        for name in completed.reads:
            found = space.pending.get(name) or space.ns.get(name, _ABSENT)
            if isinstance(found, Waiting):
                found.shared = True
            if not name.startswith("@") and found is not _ABSENT:
                inputs[name] = found
        cell = Postponed(
            source, request, place, record, reason,
            Waiting(lost, lambda: self._make(cell)),
            inputs,
            space.ambient.known(),
        )  # fmt: skip
        return cell

    def add(self, cell: Postponed) -> None:
        """The cell was given back without what waits."""
        self._cells.append(cell)

    def touched(self, source: Source, *, beside: bool) -> list[Waiting]:
        """What has to be made before a cell runs that could change in place what a postponed cell
        had read. `beside`: code of the notebook runs on beside the cells."""
        self._prune()
        cells = [cell for cell in self._cells if cell.failed is None]
        if not cells:
            return []
        reach = self._namespace.reach(source)
        sets = reach.attributes_set | source.facts.attributes_set
        if source.facts.indirect_sets or "*" in sets:
            return [cell.waiting for cell in cells]
        live = self._namespace.ns
        return [
            cell.waiting
            for cell in cells
            if beside
            or any(
                live.get(name, _ABSENT) is value and not self._is_constant(value)
                for name, value in cell.known_inputs().items()
                if name in reach.names
            )
            or any(_could_be_patched(value, sets) for value in cell.known_inputs().values())
        ]

    def _is_constant(self, value: object) -> bool:
        return type(value) in SCALARS or is_fixed(value, self._namespace.ns)

    def _prune(self) -> None:
        """Forget cells of which nothing is needed any more."""
        waiting = {id(each) for each in self._namespace.pending.all()}
        needed: list[Postponed] = []
        for cell in reversed(self._cells):
            if id(cell.waiting) in waiting:
                needed.append(cell)
                waiting |= {id(v) for v in cell.inputs.values() if isinstance(v, Waiting)}
        self._cells = needed[::-1]

    # -- running one ------------------------------------------------------------------------------

    def _make(self, cell: Postponed) -> dict[str, Any]:
        """The values that `cell` makes. Raises RestoreError, and whatever reading inputs does."""
        if cell.failed is not None:
            raise RestoreError(cell.failed)
        for earlier in self._cells[: self._cells.index(cell)]:
            if earlier in self._cells and self._comes_before(earlier, cell):
                self._namespace.load(earlier.waiting)
        loaded: dict[int, dict[str, Any]] = {}
        for name, value in cell.inputs.items():
            if isinstance(value, Waiting):
                if id(value) not in loaded:
                    loaded[id(value)] = value.load()
                cell.inputs[name] = loaded[id(value)][name]
        values = self._run_again(cell)
        self._cells.remove(cell)
        for other in self._cells:
            for name, value in other.inputs.items():
                if value is cell.waiting:
                    other.inputs[name] = values[name]
        return values

    def _comes_before(self, earlier: Postponed, cell: Postponed) -> bool:
        """Whether `cell` uses what the earlier one makes, or could change what that had read."""
        values = {id(v) for v in earlier.known_inputs().values() if not self._is_constant(v)}
        values.add(id(earlier.waiting))
        return any(id(value) in values for value in cell.known_inputs().values())

    def _run_again(self, cell: Postponed) -> dict[str, Any]:
        run, host, code = self._run, self.host, cell.source.code
        assert host is not None  # noqa: S101 - a cell was executed: the one that was given back
        assert code is not None  # noqa: S101 - such a cell is never postponed
        names = ", ".join(sorted(cell.waiting.names))
        host.note(
            f"evercell: {names}: its cell runs again for this one, its steps answered from the "
            f"history, because it can't be stored ({cell.reason}).\n"
        )
        scope = self._scope(cell)
        run.history.append(started := self._started(cell, scope.cell))
        run.state.apply(started)
        begin = run.clock.monotonic()
        values: dict[str, Any] = {}
        with self._as_it_was(cell):
            with enter_scope(scope):
                error = host.run_again(code)
            found = self._namespace.ns
            values = {n: found[n] for n in cell.waiting.names if n in found}
        duration = int((run.clock.monotonic() - begin) * _SECOND)
        missing = sorted(cell.waiting.names - values.keys())
        if error is None and missing:
            error = NameError(f"{', '.join(missing)} was not made this time")
        if error is not None:
            raise self._failed(cell, scope.cell, names, error, duration)
        completed = replace(
            cell.record.completed,
            activity_id=scope.cell,
            at=run.clock.now(),
            duration=duration,
        )
        run.history.append(completed)
        run.state.apply(completed)
        return values

    @contextmanager
    def _as_it_was(self, cell: Postponed) -> Iterator[None]:
        """Names and process state as the cell had found them; afterwards as they are now."""
        live = self._namespace.ns
        now = dict(live)
        with self._namespace.ambient.switched(cell.ambient):
            for name in cell.record.completed.reads:
                if name in cell.inputs:
                    live[name] = cell.inputs[name]
                elif not name.startswith("@"):
                    live.pop(name, None)
            try:
                yield
            finally:
                for name in live.keys() - now.keys():
                    del live[name]
                live.update(now)

    def _scope(self, cell: Postponed) -> Scope:
        run, reads = self._run, cell.record.completed.reads
        live, slot = self._namespace.ns, cell.place.slot

        def data_version(name: str) -> bytes | None:
            value = cell.inputs.get(name, _ABSENT)
            if value is _ABSENT or live.get(name, _ABSENT) is not value:
                return None
            if name not in reads or observe({name: value}, live).dumped is None:
                return None
            return self._namespace.traces.of(reads[name])

        # What had failed fails again: it is part of what the cell did.
        return run.scope(slot, live, resuming=True, data_version=data_version)

    def _started(self, cell: Postponed, activity_id: str) -> CellStarted:
        reason = f"a cell needs what can't be stored: {cell.reason}"
        return parts.started(
            self._run,
            activity_id,
            place=cell.place,
            request=cell.request,
            source=cell.source,
            decision="recomputed",
            reason=reason,
        )

    def _failed(
        self, cell: Postponed, activity_id: str, names: str, error: BaseException, duration: int
    ) -> BaseException:
        """What to raise for a cell that raised `error` this time."""
        event = CellFailed(
            run_id=self._run.run_id,
            at=self._run.clock.now(),
            activity_id=activity_id,
            duration=duration,
            error=ErrorInfo(*clear.error(error)),
            interrupted=isinstance(error, KeyboardInterrupt),
        )
        self._run.history.append(event)
        self._run.state.apply(event)
        why = clear.text(f"{type(error).__name__}: {error}")
        cell.failed = (
            f"{names} can't be stored ({cell.reason}), and its cell failed when it ran again: "
            f"{why}. Run that cell."
        )
        return error if isinstance(error, KeyboardInterrupt) else RestoreError(cell.failed)


def _could_be_patched(value: object, attributes: frozenset[str]) -> bool:
    """Whether code that sets `attributes` could set one of the module or class of a module."""
    module = getattr(value, "__module__", None) if isinstance(value, type) else None
    if isinstance(value, ModuleType):
        module = value.__name__
    if not attributes or not isinstance(module, str):
        return False
    return any(look([module], attributes).values())
