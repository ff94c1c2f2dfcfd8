"""The user's namespace under watch: what each cell reads, what it changes, and giving it back.

    lookup(reads)            may a record answer? all it read must be what is there now
    before(source)           fingerprints of what the cell may touch
    ... the cell runs ...
    after(before, source)    bindings and fingerprints compared -> Capture
    decode(event), apply     a recorded cell's effects, all or nothing

The namespace stays the exact dict that the shell runs code in; nothing watches while code runs.
Between cells each variable has a version: what a reader's key holds for it, b"" while absent.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.cell.ambient import AmbientState
from evercell.cell.bonds import Bonds
from evercell.cell.callbacks import Callbacks
from evercell.cell.capture import NOTHING, RESULT, Before, Capture, Decoded
from evercell.cell.covariables import Observation, connect, observe
from evercell.cell.functions import KnownFunctions
from evercell.cell.names import ShellNames
from evercell.cell.patches import look
from evercell.cell.pending import Pending
from evercell.cell.products import unknowable
from evercell.cell.project import PREFIX, Project
from evercell.cell.reach import Reach, reach_of, texts_of
from evercell.cell.recording import Recording
from evercell.cell.restore import decode_cell, load_modules
from evercell.cell.versions import LINEAGE, NO_LINEAGE, Traces, advanced, difference, tagged
from evercell.cell.watch import Watch
from evercell.cell.words import words_in
from evercell.codec.canonical import SCALARS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping
    from pathlib import Path

    from evercell.cell.pending import Waiting
    from evercell.cell.source import Source
    from evercell.codec.buffers import Buffer
    from evercell.events import CellCompleted, Payload, Product

__all__ = ["Namespace"]

_ABSENT = object()


class Namespace:
    """A live namespace with versions. Not thread-safe: one cell runs at a time."""

    def __init__(self, ns: dict[str, Any], project_root: Path | None = None) -> None:
        self.ns = ns
        self.versions: dict[str, bytes] = {}
        self.lineage = NO_LINEAGE  # digest of all that came before
        self.lost: str | None = None  # why versions can't be trusted any more
        self.ambient = AmbientState(ns)
        self.project = Project(project_root)
        self.callbacks = Callbacks(ns)
        self.groups: dict[str, frozenset[str]] = {}  # name -> its co-variable
        self.bonds = Bonds()
        self.pending = Pending()
        self._shell = ShellNames(ns)
        self.traces = Traces()
        self.watch = Watch()
        self.in_turn: set[str] = set()  # unstorable, and made by cells that must run in their turn
        self._bindings: dict[str, object] = {}  # at the end of the last cell
        self._singles: dict[str, Observation] = {}
        self._joints: dict[frozenset[str], Observation] = {}
        self._functions = KnownFunctions(ns)
        self._disturbed = False
        # Restored names -> all names of their product, until somebody asks what shares with what.
        self._ungrouped: dict[str, frozenset[str]] = {}
        for name in self.visible():
            # What startup files defined is known by its content.
            seen = self.single(name)
            known = seen is not None and seen.dumped is not None
            version = tagged(b"initial", seen.digest) if seen and known else unknowable()
            self.versions[name], self._bindings[name] = version, ns[name]

    # -- looking up ------------------------------------------------------------------------------

    def lookup(self, reads: Mapping[str, bytes]) -> str | None:
        """None if everything recorded in `reads` is so now; else what differs, in words."""
        if self.lost is not None:
            return f"the state of this kernel (a cell before: {self.lost})"
        self._notice()
        for name, version in reads.items():
            now = self.version(name)
            if now != version:
                return difference(name, version, now)
        return None

    def version(self, name: str, without: Collection[str] = ()) -> bytes:
        """The current version of a variable or a pseudo-name ("@cwd", "@file:tools.py", ...); of
        the names in a folder those `without` don't count."""
        if not name.startswith("@"):
            return self.versions.get(name, b"")
        if name == LINEAGE:
            return self.lineage
        if name.startswith(PREFIX):
            return self.project.version(name, without)
        return self.ambient.versions.get(name, b"")

    # -- around a run ----------------------------------------------------------------------------

    def before(self, source: Source) -> Before:
        """Look at what the cell may touch. The namespace is not changed."""
        ambient = self._notice()
        self.project.begin()
        reach = self.reach(source)
        prints = {group: self.joint(group).digest for group in self.groups_of(reach.names)}
        modules = self.project.reached(reach.modules)
        used = reach.modules | source.facts.imports
        return Before(
            bindings=dict(self._bindings),
            versions=dict(self.versions),
            ambient=ambient,
            lineage=self.lineage,
            reach=reach,
            fingerprints=prints,
            singles=dict(self._singles),
            modules=self.project.fingerprint(modules.values()),
            attributes=look(used, reach.attributes_set | source.facts.attributes_set),
            count=self.watch.begin(),
            callbacks=self.callbacks.look(used, modules.values()),
            called=self.callbacks.content(),
        )

    def after(
        self,
        before: Before,
        source: Source,
        *,
        key: bytes | Callable[[Mapping[str, bytes]], bytes],
        result: object = NOTHING,
        untracked: str | None = None,
        files: Mapping[str, bytes] | None = None,
    ) -> Capture:
        """Compare, and record what the cell made.

        `key` is the cell's key, or makes it from the cell's reads. `result` is the displayed value.
        `untracked` says why the run can't be trusted (a thread that still runs, the cell failed):
        nothing of it becomes a hit, and what it changed gets versions that nothing else has.
        `files`: what it read as data, with the versions, by absolute path.
        """
        return Recording(self, before, source, key, result, untracked, files or {}).capture()

    def disturb(self) -> None:
        """Code of the notebook goes on beside the cells: before the next one, what the variables
        hold is compared with what they hold now."""
        for name in self.visible():
            self.single(name)
        self._disturbed = True

    # -- giving back -----------------------------------------------------------------------------

    def decode(
        self,
        event: CellCompleted,
        fetch: Callable[[Payload], Buffer],
        *,
        partial: bool = False,
        submodules: Iterable[str] = (),
        may_wait: Callable[[Product], bool] = lambda _: False,
        later_run: Waiting | None = None,
    ) -> Decoded:
        """Decode a recorded cell completely; no variable is touched. `partial` leaves out what has
        no payload, for laying the rest over a recomputed cell. `submodules` are loaded: the cell
        had imported them, and others may use them as attributes. What `may_wait` is read when it
        is needed; `later_run` makes what has no payload. Raises RestoreError."""
        load_modules(submodules)
        return decode_cell(
            self, event, fetch, partial=partial, may_wait=may_wait, later_run=later_run
        )

    def apply(self, decoded: Decoded) -> object:
        """Put a decoded cell's effects in place. Returns the value for `Out[n]`, or NOTHING."""
        later = {n: w for w in decoded.waiting for n in w.names}
        there = decoded.values.keys() | later.keys() - {RESULT}
        for name in (*decoded.deleted, *later):
            self.ns.pop(name, None)
        self._shell.give_back(decoded.deleted, self.ns)
        self.watch.forget()
        self.forget(decoded.deleted)
        for name in decoded.deleted:
            self.versions.pop(name, None)
        self.ns.update(decoded.values)
        self.forget(there)
        for waiting in decoded.waiting:
            self.pending.add(waiting)
        self.in_turn.difference_update(there, decoded.deleted)
        self.bonds.leave((*there, *decoded.deleted), self.versions)
        for version, trace in decoded.traced:
            self.traces.note(version, trace)
        for names, version in decoded.groups:
            product = frozenset(n for n in names if n in there)
            self.bonds.form(product, decoded.refers[names])
            self.versions.update(dict.fromkeys(product, version))
            self._ungrouped.update(dict.fromkeys(product - later.keys(), product))
        for name, version, put_back in decoded.ambient:
            put_back()
            self.ambient.versions[name] = version
        self.ambient.settle()
        self.settle()
        if not decoded.partial:
            ambient = tuple((name, version) for name, version, _ in decoded.ambient)
            self.advance(decoded.key, decoded.groups, decoded.deleted, ambient)
        shown = RESULT if RESULT in later else decoded.result_name
        if shown is not None and decoded.result is NOTHING:
            return later[shown].deferred(shown) if shown in later else self._shown(shown)
        return decoded.result

    def _shown(self, name: str) -> object:
        """The displayed value that is a variable of an earlier cell, or this one's."""
        waiting = self.pending.get(name)
        return self.ns.get(name, NOTHING) if waiting is None else waiting.deferred(name)

    # -- what waits to be loaded -----------------------------------------------------------------

    def lacking(self, source: Source, text: str) -> list[Waiting]:
        """What the cell could get hold of and is not there yet; `text` is what else may name a
        variable. Loading it may bring more within reach."""
        if not self.pending:
            return []
        reach = self.reach(source)
        if source.escapes or reach.escapes or self.lost is not None:
            return self.pending.all()
        texts = texts_of(source, reach.names, self.ns)
        return self.pending.of(reach.names | texts | words_in(text))

    def provide(self, names: Iterable[str] | None) -> None:
        """Load those of the names that wait; None: all. Raises PayloadError, RestoreError."""
        for waiting in self.pending.all() if names is None else self.pending.of(names):
            self.load(waiting)

    def load(self, waiting: Waiting) -> None:
        """Give the variables their values. Raises PayloadError, RestoreError; then they wait on."""
        self.watch.forget()
        names = self.pending.loaded(waiting, waiting.load(), self.ns)
        self._bindings.update({name: self.ns[name] for name in names})
        self._ungrouped.update(dict.fromkeys(names, frozenset(names)))

    # -- what the parts of this package share ------------------------------------------------------

    def visible(self) -> list[str]:
        """The user's names, in the order of the namespace."""
        return [name for name in self.ns if not self._shell.hides(name)]

    def single(self, name: str) -> Observation | None:
        """One variable as it is; None if it is absent."""
        if self._shell.hides(name) or name not in self.ns:
            return None
        known = self._singles.get(name)
        if known is None:
            self._group_restored(name)
            known = self._singles.get(name)
        if known is None:
            known = self._singles[name] = observe({name: self.ns[name]}, self.ns)
            self._functions.note(name, self.ns[name])
        return known

    def joint(self, group: frozenset[str]) -> Observation:
        """A co-variable as it is."""
        if len(group) == 1:
            (name,) = group
            single = self.single(name)
            assert single is not None  # noqa: S101 - groups hold present names
            return single
        known = self._joints.get(group)
        if known is None:
            known = self._joints[group] = observe({n: self.ns[n] for n in group}, self.ns)
        return known

    def groups_of(self, names: Iterable[str]) -> set[frozenset[str]]:
        """The co-variables of the present ones among `names`."""
        for name in names:
            self._group_restored(name)
        return {self.groups.get(n, frozenset((n,))) for n in names if self._present(n)}

    def reach(self, source: Source) -> Reach:
        """What the cell may touch, through the values that are there now."""
        called = self.registered()
        return reach_of(source, self.ns, self.single, self.groups, self.visible, called)

    def registered(self) -> Observation | None:
        """What is called from outside of the namespace, with the variables that it can reach."""
        if not self.callbacks:
            return None
        return self.callbacks.observation(self.visible(), self.single)

    def suspect(self, names: Iterable[str]) -> None:
        """What is known of their contents may be out of date."""
        for name in names:
            value = self.ns.get(name)
            if type(value) not in SCALARS and not self._functions.unchanged(name, value):
                self._singles.pop(name, None)
            group = self.groups.get(name)
            if group is not None:
                self._joints.pop(group, None)

    def forget(self, names: Iterable[str]) -> None:
        """They are bound to something else or gone: their co-variables go on without them."""
        names = tuple(names)
        self.pending.drop(names)
        for name in names:
            self._group_restored(name)
            self._singles.pop(name, None)
            group = self.groups.pop(name, None)
            if group is not None:
                self._joints.pop(group, None)
                rest = group - {name}
                self.groups.update(dict.fromkeys(rest, rest))

    def learn(self, group: frozenset[str], version: bytes) -> None:
        """`group` is a co-variable of this version."""
        for name in group:
            old = self.groups.get(name)
            if old is not None and old != group:
                self.forget((name,))
        for name in group:
            self.groups[name] = group
            self.versions[name] = version

    def settle(self) -> None:
        """What is bound now is known."""
        self._bindings = {name: self.ns[name] for name in self.visible()}

    def advance(
        self,
        key: bytes,
        groups: Iterable[tuple[tuple[str, ...], bytes]],
        deleted: Iterable[str],
        ambient: Iterable[tuple[str, bytes]],
    ) -> None:
        """One more cell belongs to what came before."""
        traced = [(names, self.traces.of(version)) for names, version in groups]
        self.lineage = advanced(self.lineage, key, traced, deleted, ambient)

    def _group_restored(self, name: str) -> None:
        """A product may hold more than one co-variable: tell them apart."""
        product = self._ungrouped.pop(name, None)
        if product is None:
            return
        present = [n for n in product if self._present(n)]
        for other in present:
            self._ungrouped.pop(other, None)
        for group in connect({n: observe({n: self.ns[n]}, self.ns) for n in present}):
            self.groups.update(dict.fromkeys(group, group))

    def _present(self, name: str) -> bool:
        return not self._shell.hides(name) and name in self.ns

    def _notice(self) -> dict[str, Any]:
        """Give what changed outside of any cell, by a callback or a thread, a version of its own.
        Returns the ambient state."""
        if self._disturbed:
            self._disturbed = False
            self._notice_contents(self.visible())
        elif (called := self.registered()) is not None:  # by a signal, a thread of a library
            seen = {n: self._singles[n] for n in called.names & self._singles.keys()}
            self._notice_contents([name for name, known in seen.items() if not known.volatile])
        rebound = [
            name
            for name in self.visible()
            if self._bindings.get(name, _ABSENT) is not self.ns[name]
        ]
        gone = self._bindings.keys() - self.ns.keys()
        if rebound or gone:
            self.forget((*rebound, *gone))
            self.in_turn.difference_update(rebound, gone)
            self.bonds.leave((*rebound, *gone), self.versions)
            for name in gone:
                self.versions.pop(name, None)
            for name in rebound:
                self.versions[name] = unknowable()
            self.lineage = unknowable()
            self._group_anew()
            self.settle()
        return self.ambient.notice(unknowable)

    def _notice_contents(self, names: list[str]) -> None:
        before = dict(self._singles)
        self.suspect(names)
        for name in names:
            old, new = before.get(name), self.single(name)
            known = old is not None and new is not None and old.digest == new.digest
            if not known and self._bindings.get(name, _ABSENT) is self.ns[name]:
                self.lineage = unknowable()
                for other in self.groups.get(name, (name,)):
                    self.versions[other] = unknowable()

    def _group_anew(self) -> None:
        observations = {name: self.single(name) for name in self.visible()}
        for group in connect({n: o for n, o in observations.items() if o is not None}):
            known = {self.groups.get(name) for name in group}
            if len(group) > 1 and known != {group}:
                self.learn(group, unknowable())
