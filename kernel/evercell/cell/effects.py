"""Effects of a cell outside the namespace that nothing can put back: it has to run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3
from msgspec.structs import replace

from evercell.cell.capture import CapturedAmbient
from evercell.cell.database import kept_in_duckdb, uses_duckdb
from evercell.cell.finalizers import finalized
from evercell.cell.patches import patched
from evercell.cell.setups import setups

if TYPE_CHECKING:
    from evercell.cell.capture import Before
    from evercell.cell.covariables import Observation
    from evercell.cell.namespace import Namespace
    from evercell.cell.reach import Reach
    from evercell.cell.source import Source

__all__ = ["DUCKDB", "MODULES", "changed_outside", "unrestorable_effects", "without_registered"]

MODULES = "@modules"  # what cells changed in modules; every cell after them depends on it
DUCKDB = "@duckdb"  # what is in duckdb's default connection; whoever uses it depends on it


_HELD = "it is called from outside of the notebook's variables, or what is called holds it"
_FINALIZED = "weakref.finalize has something called for it"
Group = frozenset[str]


def changed_outside(space: Namespace, before: Before, source: Source, reach: Reach) -> list[str]:
    """What the cell that has just run changed in modules and libraries, and where it registered
    something of the notebook or took it away, in words."""
    used = reach.modules | source.facts.imports
    modules = space.project.reached(before.reach.modules | used)
    now = space.project.fingerprint(modules.values())
    old = before.modules | space.project.imported()
    names = sorted(n for n in now if n in old and now[n] != old[n])
    names += patched(
        before.attributes, used, before.reach.attributes_set | source.facts.attributes_set
    )
    names += space.watch.end(before.count)
    space.callbacks.watch(names)
    registered = space.callbacks.look(used, modules.values())
    if registered or before.callbacks:
        one, other = ({(n, id(v)) for n, v in each} for each in (before.callbacks, registered))
        names += sorted({name for name, _ in one ^ other})
        if one == other and before.called != space.callbacks.content():  # no variable may hold it
            names.append(f"what is registered at {before.callbacks[0][0]}")
    names += setups(dict.fromkeys((*source.setups, *sorted(reach.setups))), space.ns)
    return list(dict.fromkeys(names))


def without_registered(
    space: Namespace, found: dict[Group, Observation]
) -> dict[Group, Observation]:
    """What is registered outside is that very object: a restored one would not be called, nor
    would anything be called for it."""
    called, objects = space.registered(), finalized()
    if called is None and not objects:
        return found

    def why_not(seen: Observation, group: Group) -> str | None:
        if seen.reason is not None:
            return seen.reason
        if not seen.ids.isdisjoint(objects):
            return _FINALIZED
        holds = called is not None and space.callbacks.holds(called, seen, group)
        return _HELD if holds else None

    return {
        group: seen if (reason := why_not(seen, group)) is None else _not_stored(seen, reason)
        for group, seen in found.items()
    }


def _not_stored(seen: Observation, reason: str) -> Observation:
    return replace(seen, dumped=None, reason=reason)


def unrestorable_effects(
    space: Namespace, source: Source, reach: Reach, outside: list[str], key: bytes
) -> list[CapturedAmbient]:
    """Those of the cell with `key`, which has just run; `outside` as `changed_outside` found."""
    found = []
    shell = source.shell or (("a function that it uses",) if reach.shell else ())
    if shell:
        version = blake3(b"shell" + source.digest).digest(16)
        ways = ", ".join(f"%{n}" if n.isidentifier() else n for n in shell)
        found.append(CapturedAmbient("@shell", version, None, f"{ways} may change the shell"))
    if "recompute" in source.directives:
        version = space.ambient.versions.get("@asked", b"")
        found.append(CapturedAmbient("@asked", version, None, "its author asked for it"))
    if outside:
        found.append(_by_cell(MODULES, key, f"it changed {', '.join(outside[:3])}"))
    if kept := _kept_in_duckdb(space, source, reach):
        reason = f"duckdb's default connection has {kept}"
        found.append(_by_cell(DUCKDB, key, reason))
    return found


def _by_cell(name: str, key: bytes, reason: str) -> CapturedAmbient:
    version = blake3(b"by cell" + key + name.encode()).digest(16)
    return CapturedAmbient(name, version, None, reason)


def _kept_in_duckdb(space: Namespace, source: Source, reach: Reach) -> str | None:
    """What the default connection has that is lost with this process, if the cell used it."""
    function = uses_duckdb(reach.databases | source.databases, space.ns)
    if function is None:
        return None
    kept = kept_in_duckdb(function)
    had = space.ambient.versions.get(DUCKDB)
    return kept or ("what an earlier cell made" if had else None)
