"""A notebook's cells carried out on paper: what each variable's version would be, cell by cell.

    differs(reads)              the first input that is certainly another one
    doubts(reads)               inputs that only an earlier cell's run can settle
    restored, recomputed, ran   one more cell has taken effect, or may have

A cell that would run makes its names unsure. A later cell that gives such a name back settles it.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

import msgspec

from evercell.cell.bonds import Bonds
from evercell.cell.capture import RESULT
from evercell.cell.effects import MODULES
from evercell.cell.project import PREFIX
from evercell.cell.source import linked_names
from evercell.cell.versions import LINEAGE, NO_LINEAGE, advanced, difference

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from evercell.cell.source import Source
    from evercell.engine.decide import CellRecord

__all__ = ["Doubt", "Forecast"]


class Doubt(msgspec.Struct, frozen=True):
    """An input whose version the cell at `index` decides by running."""

    name: str
    index: int
    makes: bool  # it binds the name; else it could only change what the name holds


class Forecast:
    """The versions as a kernel would have them after the cells so far, from a fresh start."""

    def __init__(self, records: Iterable[CellRecord], file_version: Callable[..., bytes]) -> None:
        """`records`: every finished execution of the run. `file_version`: the version now of a
        pseudo-name such as "@file:tools.py"."""
        self._file_version = file_version
        self._versions: dict[str, bytes] = {}  # of variables and of process state
        self._bonds = Bonds()
        self._lineage = NO_LINEAGE
        self._doubts: dict[str, Doubt] = {}
        self._links: dict[str, frozenset[str]] = {}  # name -> what the cell that made it read
        self._makers: dict[str, int] = {}  # name -> index of the cell
        self._imported: set[str] = set()
        # What no cell ever made is there from the start: what startup files define.
        self._made = {n for record in records for p in record.completed.products for n in p.names}

    def version(self, name: str, without: Collection[str] = ()) -> bytes | None:
        """The version of a variable or a pseudo-name; None if only a run can tell. Of the names
        in a folder those `without` don't count."""
        doubt = self._doubts.get(name)
        if doubt is not None and doubt.makes:
            return None
        if name == LINEAGE:
            return self._lineage
        if name.startswith(PREFIX):
            return self._file_version(name, without)
        return self._versions.get(name, b"")

    def maker(self, name: str) -> int | None:
        """Index of the cell that makes the variable, or may make it."""
        return self._makers.get(name)

    def differs(self, reads: Mapping[str, bytes]) -> str | None:
        """The first recorded input that is certainly another one, in words; None if there is
        none."""
        for name, version in reads.items():
            now = self.version(name)
            if now is not None and now != version and not self._is_given(name):
                return difference(name, version, now)
        return None

    def doubts(self, reads: Iterable[str]) -> tuple[Doubt, ...]:
        """Those among the inputs that are unsure; what a cell binds comes first."""
        found = [self._doubts[name] for name in sorted(reads) if name in self._doubts]
        return tuple(sorted(found, key=lambda doubt: not doubt.makes))

    def inputs(self, source: Source, record: CellRecord) -> dict[str, bytes]:
        """The versions now of all that the record read, and that the source may read. Those that
        only a run can tell are left out: `doubts` names them."""
        names = {*record.completed.reads, *source.reads, *self._closure(source.reads)}
        found = ((name, self.version(name)) for name in sorted(names))
        return {name: version for name, version in found if version is not None}

    # -- one more cell ---------------------------------------------------------------------------

    def restored(self, index: int, record: CellRecord) -> None:
        """The record's effects are given back by the cell at `index`."""
        completed = record.completed
        for name in completed.deleted:
            self._versions.pop(name, None)
            self._doubts.pop(name, None)
        reads = frozenset(name for name in completed.reads if not name.startswith("@"))
        products = {p: [n for n in p.names if n != RESULT] for p in completed.products}
        made = {name for names in products.values() for name in names}
        self._bonds.leave((*made, *completed.deleted), self._versions)
        for product, names in products.items():
            self._bonds.form(names, product.refers)
            self._versions.update(dict.fromkeys(names, product.version))
        for name in made:
            self._doubts.pop(name, None)
            self._links[name] = reads
            self._makers[name] = index
        for change in completed.ambient:
            self._versions[change.name] = change.version
            self._doubts.pop(change.name, None)
        self._lineage = advanced(
            self._lineage,
            completed.key,
            [(p.names, p.traced or p.version) for p in completed.products],
            completed.deleted,
            [(change.name, change.version) for change in completed.ambient],
        )

    def recomputed(self, index: int, record: CellRecord, transformed: str) -> None:
        """The cell runs with the inputs that it had. What its statements tie to what can't be
        stored is made anew, and may come out as something else; the rest keeps its values."""
        self.restored(index, record)
        self._notice_imports(transformed)
        products = record.completed.products
        lost = {n for p in products if p.payload is None for n in p.names if n != RESULT}
        tied = linked_names(transformed, lost, loose=self._imported) - lost
        names = {n for p in products if p.payload is not None for n in p.names}
        self._doubt(tied & names, index, makes=True)
        self._doubt((LINEAGE,), index, makes=bool(tied & names))

    def ran(
        self, index: int, source: Source, transformed: str, former: CellRecord | None = None
    ) -> None:
        """The cell runs, or may run, and its outcome is open; `former` is what it did earlier."""
        self._notice_imports(transformed)
        reads = self._closure(self._versions if source.escapes else source.reads) | source.reads
        makes = set(source.stores)
        if former is not None:
            made = _effects(former)
            # Once it is edited, it can only make again what it can still get hold of.
            edited = former.started.source_digest != source.digest
            makes |= made & (reads | {MODULES}) if edited else made
        # What shares with a name that is bound anew has another version from then on.
        before = dict(self._versions)
        self._bonds.leave(makes, self._versions)
        makes |= {name for name, version in before.items() if self._versions[name] != version}
        self._doubt(reads - makes, index, makes=False)
        self._doubt((*makes, LINEAGE), index, makes=True)
        self._links.update(dict.fromkeys(makes, reads))
        self._makers.update(dict.fromkeys(makes, index))

    # -- inside ----------------------------------------------------------------------------------

    def _doubt(self, names: Iterable[str], index: int, *, makes: bool) -> None:
        for name in names:
            known = self._doubts.get(name)
            if known is None or makes or not known.makes:
                self._doubts[name] = Doubt(name, index, makes)

    def _closure(self, names: Iterable[str]) -> frozenset[str]:
        """Variables that code can get hold of through `names`: a function's globals, what an
        instance was made from."""
        found: set[str] = set()
        queue = [name for name in names if name in self._links]
        while queue:
            name = queue.pop()
            if name not in found:
                found.add(name)
                queue += [other for other in self._links[name] if other in self._links]
        return frozenset(found)

    def _is_given(self, name: str) -> bool:
        """Whether only a kernel's startup can have defined the variable."""
        return not name.startswith("@") and name not in self._made and name not in self._versions

    def _notice_imports(self, transformed: str) -> None:
        try:
            tree = ast.parse(transformed)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return
        for node in ast.walk(tree):
            if isinstance(node, ast.Import | ast.ImportFrom):
                self._imported.update(a.asname or a.name.partition(".")[0] for a in node.names)


def _effects(record: CellRecord) -> set[str]:
    """The names of all that an execution made, changed or deleted."""
    completed = record.completed
    names = {name for product in completed.products for name in product.names if name != RESULT}
    return names.union(completed.deleted, (change.name for change in completed.ambient))
