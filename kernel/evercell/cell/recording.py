"""From a finished run to its Capture.

bindings that differ, and fingerprints of the co-variables that were touched
  -> which co-variables there are now -> which of them changed
  -> a product each: a verified stream, or the reason why there is none
  -> versions by content, so that an unchanged result stops a chain of misses
"""

from __future__ import annotations

from types import FunctionType
from typing import TYPE_CHECKING

from blake3 import blake3
from msgspec.structs import replace

from evercell.cell.capture import NOTHING, RESULT, Capture, CapturedAmbient, CapturedGroup
from evercell.cell.covariables import Observation, connect, observe, together
from evercell.cell.database import uses_duckdb
from evercell.cell.effects import (
    DUCKDB,
    MODULES,
    changed_outside,
    unrestorable_effects,
    without_registered,
)
from evercell.cell.products import join_circles, make_products, unknowable
from evercell.cell.quiet import untouched
from evercell.cell.reach import Reach
from evercell.codec.canonical import SCALARS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from evercell.cell.capture import Before
    from evercell.cell.namespace import Namespace
    from evercell.cell.source import Source

__all__ = ["FAILED", "Recording"]

FAILED = "it failed"  # such a cell may have left nothing behind
_ABSENT = object()
Group = frozenset[str]


class Recording:
    """One cell's comparison of before and after; used once."""

    def __init__(  # noqa: PLR0917 - what `Namespace.after` was given
        self,
        space: Namespace,
        before: Before,
        source: Source,
        key: bytes | Callable[[Mapping[str, bytes]], bytes],
        result: object,
        untracked: str | None,
        files: Mapping[str, bytes],
    ) -> None:
        self._space = space
        self._before = before
        self._source = source
        self._key = key
        self._result = result
        self._untracked = untracked
        self._files = files
        self._old_groups = dict(space.groups)
        now = {name: space.ns[name] for name in space.visible()}
        old = before.bindings
        self._rebound = {n for n, v in now.items() if old.get(n, _ABSENT) is not v}
        self._deleted = tuple(n for n in old if n not in now)
        self._now = now
        self._untouched: frozenset[str] = frozenset()  # large ones, known to be what they were
        self._natural: frozenset[Group] = frozenset()  # the co-variables that were looked at

    def capture(self) -> Capture:
        space = self._space
        space.forget((*self._rebound, *self._deleted))
        self._let_go()
        space.in_turn.difference_update(self._rebound, self._deleted)
        self._untouched = self._find_untouched()
        space.suspect(self._before.reach.names - self._untouched)
        reach = space.reach(self._source)
        space.suspect(reach.names - self._before.reach.names - self._untouched)
        reach = self._widen(reach)
        groups = self._groups_now(reach)
        self._natural = frozenset(groups)
        changed = self._with_holders([g for g in groups if self._is_changed(g, reach)])
        changed, result_name, extra = self._place_result(changed)
        outside = changed_outside(space, self._before, self._source, reach)
        observations = join_circles({g: self._observe(g) for g in changed}, self._observe)
        observations = without_registered(space, observations)
        changes = space.ambient.changes(self._before.ambient)
        reads = self._reads(reach, {c.name for c in changes}, changed, result_name)
        key = self._key if isinstance(self._key, bytes) else self._key(reads)
        values = {g: self._values(g) for g in observations}
        trusted = self._untracked is None
        products, unverified = make_products(
            observations, values, key, self._before.versions, space.ns, trusted=trusted
        )
        products += extra
        ambient = [
            CapturedAmbient(
                c.name,
                # What can't be put back is known by the cell that makes it, whenever it runs.
                c.version if c.data else blake3(b"by cell" + key + c.name.encode()).digest(16),
                c.data,
                None if c.data else f"{c.words} can't be put back",
            )
            for c in changes
        ]
        ambient += unrestorable_effects(space, self._source, reach, outside, key)
        self._commit(groups, products, ambient, key)
        capture = self._capture(key, reads, products, ambient, result_name, reach)
        return capture if unverified is None else replace(capture, unverified=unverified)

    # -- what changed ----------------------------------------------------------------------------

    def _let_go(self) -> None:
        """What the cell parted with ends here, as it would without us; what its end does to other
        variables, through `__del__` or a finalizer, is the cell's doing."""
        before = self._before
        for name in (*self._rebound, *self._deleted):
            before.bindings.pop(name, None)
            self._space._bindings.pop(name, None)
            known = before.singles.get(name)
            if known is not None:
                before.singles[name] = replace(known, dumped=None, pins=())

    def _find_untouched(self) -> frozenset[str]:
        """Large arrays and tables that the cell can't have changed in place."""
        reach, source = self._before.reach, self._source
        if not (reach.quiet and source.facts.quiet) or reach.escapes or source.escapes:
            return frozenset()
        if self._untracked is not None:
            return frozenset()
        touched = {n: self._now[n] for n in reach.names if n in self._now}
        known = {
            name: self._before.singles[name].spans
            for name in touched.keys() - self._rebound
            if name in self._before.singles
        }
        made = [*(self._now[name] for name in self._rebound), self._result]
        return untouched(touched, known, made, reach.modules | source.facts.imports)

    def _widen(self, reach: Reach) -> Reach:
        """Names that came within reach while the cell ran may have been touched as well."""
        old = self._before.reach
        return Reach(
            old.names | reach.names,
            old.direct | reach.direct,
            old.stores | reach.stores,
            old.attributes_set | reach.attributes_set,
            tuple(dict.fromkeys((*old.escapes, *reach.escapes))),
            old.modules | reach.modules,
            old.seeds or reach.seeds,
            old.anywhere or reach.anywhere,
            old.shell or reach.shell,
            old.quiet and reach.quiet,
            old.direct_modules | reach.direct_modules,
            old.looks_up or reach.looks_up,
            old.setups | reach.setups,
            old.databases | reach.databases,
        )

    def _groups_now(self, reach: Reach) -> list[Group]:
        """The co-variables that the cell created or may have touched."""
        space = self._space
        names = {n for n in reach.names | self._rebound if n in self._now}
        for group in [space.groups.get(n) for n in names]:
            names |= group or set()
        # What was deleted or bound anew leaves the rest of its co-variable behind.
        gone = self._rebound.union(self._deleted)
        for name in gone:
            names |= {n for n in self._old_groups.get(name, ()) if n in self._now}
        names |= self._holders(gone)
        space.suspect(names - self._untouched)
        names |= self._sharing(names)
        observations = {name: self._single(name) for name in names}
        return connect(observations)

    def _holders(self, gone: set[str]) -> set[str]:
        """What held the former value of one of `gone` by its name, and now holds it by itself."""
        known = self._before.singles
        return {n for n in self._now if n in known and not gone.isdisjoint(known[n].refers)}

    def _sharing(self, names: set[str]) -> set[str]:
        """Other variables, untouched as far as is known, that share an object with `names`."""
        touched = together(map(self._single, names))
        found: set[str] = set()
        for name, known in self._before.singles.items():
            if name in names or name not in self._now or not (known.ids or known.held):
                continue
            if any(known.touches(seen) for seen in touched):
                found.add(name)
        for name in list(found):
            found |= self._space.groups.get(name, frozenset())
        self._space.suspect(found)
        return found

    def _is_changed(self, group: Group, reach: Reach) -> bool:
        if group & self._rebound or group & self._source.definite:
            return True
        if not group & reach.names:
            return False  # at most it shares otherwise than before; the objects are what they were
        seen = self._space.joint(group)
        if seen.dumped is None and not group & reach.direct:
            return False  # a client that only steps use: the history answers for them
        old = self._before.fingerprints.get(group)
        if old is not None:
            return old != seen.digest
        if self._regrouped(group):
            return True
        known = [self._before.singles.get(name) for name in group]
        return len(group) > 1 or any(
            k is None or k.digest != self._single(n).digest
            for n, k in zip(group, known, strict=True)
        )

    def _regrouped(self, group: Group) -> bool:
        """Whether names joined or left it, other than those that were deleted or bound anew."""
        gone = self._rebound | set(self._deleted)
        old = {self._old_groups.get(name, frozenset((name,))) - gone for name in group}
        return old != {group}

    def _single(self, name: str) -> Observation:
        seen = self._space.single(name)
        assert seen is not None  # noqa: S101 - only present names get here
        return seen

    def _with_holders(self, changed: list[Group]) -> list[Group]:
        """Join what holds a function or class that changed in place.

        Restoring makes another object of it, so each value that holds it by name is stored with it.
        One that the cell bound anew needs no such thing: the others hold the older one.
        """
        space = self._space
        joined = list(changed)
        pending = [n for g in changed for n in g if self._is_definition(n)]
        while pending:
            name = pending.pop()
            home = next(g for g in joined if name in g)
            for other in self._now:
                if other in home or name not in self._single(other).refers:
                    continue
                group = next((g for g in joined if other in g), None)
                if group is None:
                    group = space.groups.get(other, frozenset((other,)))
                    pending += [n for n in group if self._is_definition(n)]
                joined = [g for g in joined if g not in (home, group)]
                home = home | group
                joined.append(home)
        return joined

    def _is_definition(self, name: str) -> bool:
        """Whether it is bound to the same function, class or step as before the cell."""
        value = self._now[name]
        kind = type(value)
        by_name = isinstance(value, type | FunctionType) or hasattr(kind, "__evercell_step__")
        return name not in self._rebound and (by_name or kind.__name__ == "_lru_cache_wrapper")

    # -- the displayed value ---------------------------------------------------------------------

    def _place_result(
        self, changed: list[Group]
    ) -> tuple[list[Group], str | None, list[CapturedGroup]]:
        """Where `Out[n]` comes from on a restore: a variable, a product, or nowhere."""
        if self._result is NOTHING:
            return changed, None, []
        if type(self._result) not in SCALARS:
            for name, value in self._now.items():
                if value is self._result:
                    return changed, name, []
        own = observe({RESULT: self._result}, self._space.ns)
        touched = [g for g in self._known_groups() if len(connect({"a": own, **{
            f"={n}": self._single(n) for n in g
        }})) == 1]  # fmt: skip
        if all(group in changed for group in touched):
            joined = frozenset((RESULT,)).union(*touched)
            return [g for g in changed if g not in touched] + [joined], RESULT, []
        names = ", ".join(sorted(n for g in touched for n in g))
        version = blake3(b"result" + own.digest).digest(16)
        reason = f"it shares objects with {names}"
        return changed, RESULT, [CapturedGroup((RESULT,), version, None, (), reason)]

    def _known_groups(self) -> set[Group]:
        names = [n for n in self._now if n in self._space._singles]
        return self._space.groups_of(names)

    # -- products --------------------------------------------------------------------------------

    def _values(self, group: Group) -> dict[str, object]:
        return {n: self._result if n == RESULT else self._now[n] for n in sorted(group)}

    def _observe(self, group: Group) -> Observation:
        if group in self._natural:
            return self._space.joint(group)
        return observe(self._values(group), self._space.ns)

    # -- the rest --------------------------------------------------------------------------------

    def _reads(
        self, reach: Reach, ambient: set[str], changed: list[Group], result_name: str | None
    ) -> dict[str, bytes]:
        """Every input, a superset; b"" for a name that was absent."""
        space, versions = self._space, self._before.versions
        names = set(reach.names)
        # A binding that may have been skipped, or made what was there already: it depends on it.
        made = {n for group in changed for n in group}
        names |= {n for n in self._source.stores | reach.stores if n not in made}
        # What is stored together with something new is given back as it was here.
        names |= made - self._rebound - {RESULT}
        if result_name not in (None, RESULT):
            names.add(str(result_name))
        reads = {name: versions.get(name, b"") for name in sorted(names)}
        seeds = self._source.facts.seeds or reach.seeds
        reads.update(space.ambient.read(ambient, seeds=seeds))
        modules = reach.modules | self._source.facts.imports
        reads.update(space.project.data(self._files))
        reads.update(space.project.reads(space.project.reached(modules)))
        reads[MODULES] = space.ambient.versions.get(MODULES, b"")
        if uses_duckdb(reach.databases | self._source.databases, space.ns):
            reads[DUCKDB] = space.ambient.versions.get(DUCKDB, b"")
        if self._source.escapes or reach.escapes:
            reads["@lineage"] = self._before.lineage
        return reads

    def _commit(
        self,
        groups: list[Group],
        products: list[CapturedGroup],
        ambient: Iterable[CapturedAmbient],
        key: bytes,
    ) -> None:
        """The namespace knows its new state."""
        space = self._space
        ambient = tuple(ambient)
        left_something = bool(products or self._deleted or ambient)
        made = {n for product in products for n in product.names if n != RESULT}
        space.bonds.leave({*made, *self._rebound, *self._deleted}, space.versions)
        for name in self._deleted:
            space.versions.pop(name, None)
        for group in groups:
            for name in group:
                space.groups[name] = group
        for product in products:
            names = [name for name in product.names if name != RESULT]
            space.versions.update(dict.fromkeys(names, product.version))
            space.traces.note(product.version, product.traced)
            space.bonds.form(names, product.refers)
        for change in ambient:
            space.ambient.versions[change.name] = change.version
        space.settle()
        if self._untracked is None:
            versions = [(p.names, p.version) for p in products]
            space.advance(key, versions, self._deleted, [(a.name, a.version) for a in ambient])
        elif self._untracked != FAILED or left_something:
            space.lineage = unknowable()

    def _capture(  # noqa: PLR0917 - all that makes a Capture
        self,
        key: bytes,
        reads: dict[str, bytes],
        products: list[CapturedGroup],
        ambient: list[CapturedAmbient],
        result_name: str | None,
        reach: Reach,
    ) -> Capture:
        reason = self._untracked
        if reason is None and self._source.volatile:
            reason = "it is marked volatile"
        restorable = reason is None
        if restorable:
            lost = [f"{', '.join(p.names)}: {p.reason}" for p in products if _is_lost(p)]
            lost += [str(a.reason) for a in ambient if a.data is None]
            reason = "; ".join(lost) or None
        return Capture(
            key=key,
            reads=reads,
            products=tuple(products),
            deleted=self._deleted,
            ambient=tuple(ambient),
            result_name=result_name,
            restorable=restorable,
            reason=reason,
            reach=reach,
        )


def _is_lost(product: CapturedGroup) -> bool:
    """Whether its cell must run again; a displayed value alone is no reason for that."""
    return product.stream is None and product.names != (RESULT,)
