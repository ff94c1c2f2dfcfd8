"""Attributes that a library's own call sets on classes of libraries: `tqdm.pandas()`, accessors.

    Watch.begin()       before the cell: how many attributes each class has
    Watch.end(before)   after it: the classes that have others now

The code of the cell does not tell of these (see patches.py for what it tells). A class that is
bound at the top of a loaded package has its attributes counted; where somebody replaces attributes,
as notebook extensions like to do with the ways a table is shown, their values are compared.
In a package that the cell itself loaded, an attribute counts as set by the cell if it came from the
notebook, or from a package that is known to patch others.
"""

from __future__ import annotations

import gc
import operator
import sys
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Count", "Watch"]

Count = tuple[list[int], list[tuple[object, ...]]]
_REPLACED = frozenset({
    "pandas.DataFrame", "pandas.Series", "polars.DataFrame", "polars.Series", "builtins",
    "warnings", "asyncio",
})  # fmt: skip
_PATCHERS = frozenset({"tqdm", "swifter", "pandarallel", "itables", "hvplot", "nest_asyncio"})
_HEAP_TYPE = 1 << 9  # flag of a class that is not made in C


class _Watched:
    """The classes of this process, in the order in which their packages were loaded."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.attributes: list[Mapping[str, object]] = []
        self.closely: list[tuple[str, Mapping[str, object]]] = []
        self._known: set[int] = set()
        self._packages: set[str] = set()
        self._modules = 0

    def look(self) -> None:
        """Add what was loaded since the last look."""
        if len(sys.modules) == self._modules:
            return
        self._modules = len(sys.modules)
        for name, module in list(sys.modules.items()):
            spec = getattr(module, "__spec__", None)
            ready = type(module) is ModuleType and not getattr(spec, "_initializing", False)
            if "." in name or name in self._packages or name == "__main__" or not ready:
                continue
            self._packages.add(name)
            self._add(name, vars(module))

    def _add(self, package: str, variables: Mapping[str, object]) -> None:
        if package in _REPLACED:
            self.closely.append((package, variables))
        value: Any
        for name, value in list(variables.items()):
            # Of the type: a lazy proxy's `__class__` would load what it stands for.
            if not issubclass(type(value), type) or id(value) in self._known:
                continue
            if value.__module__ == "__main__" or not value.__flags__ & _HEAP_TYPE:
                continue
            self._known.add(id(value))
            self.names.append(f"{package}.{name}")
            self.attributes.append(vars(value))
            if self.names[-1] in _REPLACED:
                self.closely.append((self.names[-1], vars(value)))


_watched = _Watched()


class Watch:
    """The looks of a namespace's cells. Looking takes longest where the processor has met nothing
    of it for a while, so a cell begins with what the last one ended with, unless something was
    loaded since; what a callback changed in between counts as the next cell's."""

    def __init__(self) -> None:
        self._last: Count | None = None
        self._modules = 0

    def begin(self) -> Count:
        """As it is before a cell."""
        if self._last is None or len(sys.modules) != self._modules:
            self._last = _count()
        return self._last

    def end(self, before: Count) -> list[str]:
        """What has other attributes than before, as "package.Class.attribute" where that is known;
        sorted."""
        self._last = _count()
        self._modules = len(sys.modules)
        return _changes(before, self._last)

    def forget(self) -> None:
        """Other code than a cell's ran since the last one."""
        self._last = None


def _count() -> Count:
    _watched.look()
    close = [tuple(attributes.values()) for _, attributes in _watched.closely]
    return list(map(len, _watched.attributes)), close


def _changes(before: Count, now: Count) -> list[str]:
    counts, close = now
    found: list[str] = []
    if counts != before[0]:
        found = [name for index in range(len(before[0])) for name in _added(index, before, counts)]
        for index in range(len(before[0]), len(counts)):
            found += _foreign(index)
    for (name, _), old, new in zip(_watched.closely, before[1], close, strict=False):
        if not _same(old, new) and not any(each.startswith(name) for each in found):
            found.append(name)
    return sorted(set(found))


def _same(old: tuple[object, ...], new: tuple[object, ...]) -> bool:
    """Whether they are the same objects: a comparison would call whatever they define."""
    return len(old) == len(new) and all(map(operator.is_, old, new))


def _added(index: int, before: Count, counts: list[int]) -> list[str]:
    old, new = before[0][index], counts[index]
    if old == new:
        return []
    name = _watched.names[index]
    added = [each for each in list(_watched.attributes[index])[old:] if _is_public(each)]
    return [f"{name}.{each}" for each in added] if new > old else [name]


def _is_public(attribute: str) -> bool:
    """Not what a class or the interpreter notes down in the course of time, such as a lock."""
    return not attribute.startswith("_") or attribute.startswith(("_repr_", "_ipython_", "_nest_"))


def _foreign(index: int) -> Iterator[str]:
    """Attributes of a class whose package is new that belong to another package."""
    name = _watched.names[index]
    own = name.partition(".")[0]
    for attribute, value in list(_watched.attributes[index].items()):
        holder = type(value).__module__ not in ("builtins", "_abc")
        parts = gc.get_referents(value) if holder and not isinstance(value, type) else [value]
        for part in parts:
            if isinstance(part, FunctionType | type) and _is_elsewhere(part.__module__, own):
                yield f"{name}.{attribute}"


def _is_elsewhere(module: object, own: str) -> bool:
    package = str(module).partition(".")[0]
    return package in _PATCHERS - {own} or package == "__main__"
