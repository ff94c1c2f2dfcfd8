"""Attributes that a cell sets on modules and on the classes in them: monkeypatches.

    look(modules, attributes)          before the cell: what the names are bound to
    patched(before, modules, ...)      after it: those bound to something else

Only attributes that some code within reach assigns are looked at, in modules within reach. In a
module that the cell itself loaded there is nothing to compare with: an attribute that the cell
assigns and the module has counts as patched, and on a class what the notebook defined.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Bound", "look", "patched"]

Bound = dict[str, dict[str, object]]  # module -> "Class.attribute" or "attribute" -> its value


def look(modules: Iterable[str], attributes: frozenset[str]) -> Bound:
    """What `attributes` are bound to in those of `modules` that are loaded."""
    if not attributes:
        return {}
    loaded = ((name, sys.modules.get(name)) for name in sorted(set(modules)))
    return {
        name: dict(_bound(module, attributes))
        for name, module in loaded
        if isinstance(module, ModuleType) and name != "__main__"
    }


def patched(before: Bound, modules: Iterable[str], attributes: frozenset[str]) -> list[str]:
    """Dotted names that the cell bound anew or removed, sorted."""
    found: set[str] = set()
    for name, now in look(modules, attributes).items():
        old = before.get(name)
        if old is None:
            found.update(
                f"{name}.{path}"
                for path, value in now.items()
                if "." not in path or getattr(value, "__module__", None) == "__main__"
            )
            continue
        found.update(
            f"{name}.{path}"
            for path in old.keys() | now.keys()
            if old.get(path, before) is not now.get(path, before)
        )
    return sorted(found)


def _bound(module: ModuleType, attributes: frozenset[str]) -> Iterator[tuple[str, object]]:
    variables = vars(module)
    yield from ((a, variables[a]) for a in attributes if a in variables)
    for name, value in list(variables.items()):
        if isinstance(value, type) and value.__module__ != "__main__":
            own = vars(value)
            yield from ((f"{name}.{a}", own[a]) for a in attributes if a in own)
