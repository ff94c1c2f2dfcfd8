"""Restored variables that are not there yet: they stay on disk until somebody needs them.

    restore -> Waiting: the names, and what loads them       versions are known, values are not
    a cell runs -> which of them can it get hold of? -> loaded before it begins
    Out[n], _   -> a Deferred stands there until then

The namespace is an exact dict, so nothing is loaded by being looked up. A cell gets what its code,
and the code that it can reach, names; also in a text, for `df.query("x > @limit")` and SQL over
variables look names up in the caller's frame. Where tracking is unsound it gets everything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import field

from evercell.cell.capture import RESULT
from evercell.cell.names import shown_places

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["Deferred", "Pending", "Waiting"]

_RESULTS = frozenset({"_", "__", "___", "Out", "_oh"})


class Deferred:
    """Stands for a displayed value that was not loaded."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"<{self._name}: not loaded yet>"


class Waiting(msgspec.Struct, eq=False):
    """A recorded co-variable, or the displayed value, that nobody has needed so far.

    Where a postponed cell has it for an input it is `shared`: whoever loads it, the variables and
    the cell get the same objects.
    """

    names: frozenset[str]
    read: Callable[[], dict[str, Any]]  # all of it, or an error and nothing
    stands: dict[str, Deferred] = field(default_factory=dict)  # for the displayed value, by name
    shared: bool = False
    values: dict[str, Any] | None = None  # of what is shared, once read

    __repr__ = object.__repr__  # it holds values of the user's

    def load(self) -> dict[str, Any]:
        """Its variables' values by name. Raises PayloadError, RestoreError."""
        values = self.read() if self.values is None else self.values
        if self.shared:
            self.values = values
        return values

    def found(self, name: str) -> object:
        """The value of `name` if it is known already, else what waits for it."""
        return self if self.values is None else self.values[name]

    def deferred(self, name: str) -> Deferred:
        """What stands for the value of `name` in `Out`."""
        return self.stands.setdefault(name, Deferred(name))


class Pending:
    """What waits, by variable."""

    def __init__(self) -> None:
        self._waiting: dict[str, Waiting] = {}
        self._results: list[Waiting] = []  # displayed values that are no variables

    def __bool__(self) -> bool:
        return bool(self._waiting or self._results)

    def __contains__(self, name: object) -> bool:
        return name in self._waiting

    def __iter__(self) -> Iterator[str]:
        return iter(self._waiting)

    def add(self, waiting: Waiting) -> None:
        """`waiting` is what its names stand for now."""
        for name in waiting.names:
            if name == RESULT:
                self._results.append(waiting)
            else:
                self._waiting[name] = waiting

    def get(self, name: str) -> Waiting | None:
        """What `name` waits for."""
        return self._waiting.get(name)

    def drop(self, names: Iterable[str]) -> None:
        """`names` are bound to something else or gone."""
        for name in names:
            self._waiting.pop(name, None)

    def of(self, names: Iterable[str]) -> list[Waiting]:
        """What the names wait for, each once; the displayed values, if a name may mean them."""
        found = {id(w): w for w in map(self._waiting.get, names) if w is not None}
        if not _RESULTS.isdisjoint(names):
            shown = [w for w in self._waiting.values() if w.stands]
            found.update({id(w): w for w in (*self._results, *shown)})
        return list(found.values())

    def all(self) -> list[Waiting]:
        """Everything that waits, each once."""
        return list({id(w): w for w in (*self._waiting.values(), *self._results)}.values())

    def loaded(self, waiting: Waiting, values: dict[str, Any], ns: dict[str, Any]) -> set[str]:
        """Put the values where they belong: under the names that still wait for them, and where
        something stands for them. Returns those names."""
        names = {name for name in waiting.names if self._waiting.get(name) is waiting}
        self.drop(names)
        self._results = [other for other in self._results if other is not waiting]
        ns.update({name: values[name] for name in names})
        for name, stand in waiting.stands.items():
            _replace(stand, values[name], ns)
        return names


def _replace(stand: Deferred, value: object, ns: dict[str, Any]) -> None:
    shown = ns.get("_oh")
    for place in (ns, shown if isinstance(shown, dict) else {}, *shown_places(ns)):
        for key in [key for key, found in place.items() if found is stand]:
            place[key] = value
