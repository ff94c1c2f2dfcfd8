"""Effects of a cell outside the namespace that nothing can put back: it has to run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

from evercell.cell.capture import CapturedAmbient
from evercell.cell.database import kept_in_duckdb, uses_duckdb
from evercell.cell.patches import patched
from evercell.cell.setups import setups

if TYPE_CHECKING:
    from evercell.cell.capture import Before
    from evercell.cell.namespace import Namespace
    from evercell.cell.reach import Reach
    from evercell.cell.source import Source

__all__ = ["DUCKDB", "MODULES", "unrestorable_effects"]

MODULES = "@modules"  # what cells changed in modules; every cell after them depends on it
DUCKDB = "@duckdb"  # what is in duckdb's default connection; whoever uses it depends on it


def unrestorable_effects(
    space: Namespace, before: Before, source: Source, reach: Reach, key: bytes
) -> list[CapturedAmbient]:
    """Those of the cell with `key`, which has just run."""
    found = []
    shell = source.shell or (("a function that it uses",) if reach.shell else ())
    if shell:
        version = blake3(b"shell" + source.digest).digest(16)
        ways = ", ".join(f"%{n}" if n.isidentifier() else n for n in shell)
        found.append(CapturedAmbient("@shell", version, None, f"{ways} may change the shell"))
    if "recompute" in source.directives:
        version = space.ambient.versions.get("@asked", b"")
        found.append(CapturedAmbient("@asked", version, None, "its author asked for it"))
    if names := _changed(space, before, source, reach):
        found.append(_by_cell(MODULES, key, f"it changed {', '.join(names[:3])}"))
    if kept := _kept_in_duckdb(space, source, reach):
        reason = f"duckdb's default connection has {kept}"
        found.append(_by_cell(DUCKDB, key, reason))
    return found


def _by_cell(name: str, key: bytes, reason: str) -> CapturedAmbient:
    version = blake3(b"by cell" + key + name.encode()).digest(16)
    return CapturedAmbient(name, version, None, reason)


def _changed(space: Namespace, before: Before, source: Source, reach: Reach) -> list[str]:
    """What the cell changed in modules, in words."""
    modules = space.project.reached(before.reach.modules | reach.modules | source.facts.imports)
    now = space.project.fingerprint(modules.values())
    old = before.modules | space.project.imported()
    names = sorted(n for n in now if n in old and now[n] != old[n])
    names += patched(
        before.attributes,
        reach.modules | source.facts.imports,
        before.reach.attributes_set | source.facts.attributes_set,
    )
    names += [name for name in space.watch.end(before.count) if name not in names]
    return names + setups(dict.fromkeys((*source.setups, *sorted(reach.setups))), space.ns)


def _kept_in_duckdb(space: Namespace, source: Source, reach: Reach) -> str | None:
    """What the default connection has that is lost with this process, if the cell used it."""
    function = uses_duckdb(reach.databases | source.databases, space.ns)
    if function is None:
        return None
    kept = kept_in_duckdb(function)
    had = space.ambient.versions.get(DUCKDB)
    return kept or ("what an earlier cell made" if had else None)
