"""The notebook's functions and objects that something outside of the namespace calls.

    a filter, handler or stream of a logger    `warnings.showwarning`, hooks in `sys`, `builtins`
    signal handlers, the event loop's handlers the shell's events and transformers
    what cells patched, lists and dicts of modules and registries of the project's own

Any later cell may have them called without naming them. So as long as they are registered, what
they can reach counts as used by every cell; and nothing that they hold is restored, which would be
another object than the one that is called.
"""

from __future__ import annotations

import builtins
import functools
import operator
import sys
from collections import deque
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from evercell.cell.covariables import conflicts, observe
from evercell.cell.registries import SINKS, TEXTS, registries
from evercell.codec.definitions import is_users

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from evercell.cell.covariables import Observation

__all__ = ["Callbacks", "Registered", "is_notebooks"]

Registered = list[tuple[str, object]]  # where, and the notebook's object that is there

_CONTAINERS = (list, tuple, dict, set, frozenset, deque)
_OPENED = frozenset({list, dict, tuple})
_NO_REGISTRY = frozenset({"__all__", "__builtins__", "__path__"})
_LARGEST = 500  # a container with more in it is no registry
_DEPTH = 4
# Of these it depends on the object what it runs or holds.
_TOLD_APART = frozenset({*_CONTAINERS, *SINKS, functools.partial})
_foreign: set[type] = set()  # kinds of libraries whose objects hold nothing of the notebook


class Callbacks:
    """What is registered outside of the namespace `live`."""

    def __init__(self, live: dict[str, Any]) -> None:
        self._live = live
        self._builtins: list[object] = []  # as they are, unless something was found there
        self._places: dict[str, None] = {}  # dotted names where something was found or patched
        # module -> how many names it has; of its containers, the ids of what is in them
        self._containers: dict[str, tuple[int, dict[str, tuple[int, ...]]]] = {}
        # What was there before any cell, by identity.
        self._theirs: dict[int, object] = {}
        self.now: Registered = []  # at the last look
        before = [value for _, value in self.look() if type(value) is not FunctionType]
        self._theirs = {id(value): value for value in before}
        self.look()

    def __bool__(self) -> bool:
        return bool(self.now)

    def watch(self, places: Iterable[str]) -> None:
        """Dotted names that a cell has patched, to be looked at from now on."""
        self._places.update(dict.fromkeys(places))

    def look(self, modules: Iterable[str] = (), project: Iterable[ModuleType] = ()) -> Registered:
        """What is registered now. `modules` are those that a cell can use, where something may have
        appeared; in modules of the `project` it is looked for in objects and classes, too."""
        self._search_builtins()
        for name in modules:
            self._search(name)
        known = () if self._nothing_known() else self._known()
        found = [*known, *self._placed()]
        for module in project:
            found += self._inside(module.__name__, vars(module), _DEPTH)
        self.now = [each for each in found if id(each[1]) not in self._theirs]
        return self.now

    def content(self) -> bytes | None:
        """What the objects found at the last look hold; None if there are none, or it can't be
        told."""
        seen = self.observation((), lambda _: None)
        return None if seen is None or seen.volatile else seen.digest

    def observation(
        self, names: Iterable[str], single: Callable[[str], Observation | None]
    ) -> Observation | None:
        """All of it as one object, which uses those of the variables `names` that share something
        with it; None if there is nothing. `single` looks at a variable."""
        if not self.now:
            return None
        seen = observe({f"{i} {w}": value for i, (w, value) in enumerate(self.now)}, self._live)
        shared = (name for name in names if (other := single(name)) and _shares(seen, other))
        return replace(seen, names=seen.names.union(shared))

    def holds(self, seen: Observation | None, other: Observation, names: Iterable[str]) -> bool:
        """Whether what is registered, as `seen`, holds the objects of a co-variable itself."""
        return seen is not None and (_shares(seen, other) or not seen.refers.isdisjoint(names))

    # -- the places ------------------------------------------------------------------------------

    def _nothing_known(self) -> bool:
        """Whether `_known` would find nothing, as it is around nearly all cells; by a look that
        takes a fifth of the time, for it only tells kinds apart."""
        opened: list[tuple[Any, int]] = []
        for _, value, depth, sinks in registries(self._live):
            kind = type(value)
            if kind in _OPENED and kind not in sinks:
                opened.append((value, depth))
            elif kind not in _foreign and (kind in sinks or not self._is_foreign(value)):
                return False
        while opened:
            value, depth = opened.pop()
            parts = [*value, *value.values()] if type(value) is dict else value
            for part in parts if depth else ():
                kind = type(part)
                if kind in _OPENED:
                    opened.append((part, depth - 1))
                elif kind not in _foreign and not self._is_foreign(part):
                    return False
        return True

    def _known(self) -> Iterator[tuple[str, object]]:
        for place, value, depth, sinks in registries(self._live):
            if type(value) in sinks:
                yield place, value
            yield from self._inside(place, value, depth)

    def _placed(self) -> Iterator[tuple[str, object]]:
        for place in self._places:
            yield from self._inside(place, _resolve(place), 1)

    def _search_builtins(self) -> None:
        """What a cell put among the builtins, where every module finds it."""
        now = list(vars(builtins).values())
        if len(now) == len(self._builtins) and all(map(operator.is_, now, self._builtins)):
            return
        found = any(self._inside("", now, 1))
        if found:
            self._places["builtins.__dict__"] = None
        self._builtins = [] if found else now

    def _search(self, module: str) -> None:
        """Containers at the top of a module that hold something of the notebook."""
        loaded = sys.modules.get(module)
        if type(loaded) is not ModuleType or module in ("__main__", "builtins", "gc"):
            return
        variables = vars(loaded)
        known = self._containers.get(module)
        if known is None or known[0] != len(variables):
            names = [
                n
                for n, v in variables.items()
                if type(v) in (list, dict, set, deque) and n not in _NO_REGISTRY
            ]
            known = self._containers[module] = (len(variables), dict.fromkeys(names, ()))
        contents = known[1]
        for name, before in contents.items():
            value: Any = variables.get(name)
            if type(value) not in (list, dict, set, deque) or len(value) > _LARGEST:
                continue
            now = tuple(map(id, value.values() if type(value) is dict else value))
            if now == before:
                continue  # for most it is so, and looking at each object takes far longer
            contents[name] = now
            if any(self._inside("", value, 1)):
                self._places[f"{module}.{name}"] = None

    def _is_foreign(self, value: Any) -> bool:
        """Whether it is known at once that nothing of the notebook is in it, as in most places."""
        kind = type(value)
        if kind in _foreign:
            return True
        if kind is FunctionType:
            return not is_notebooks(value, self._live)
        if kind is MethodType:
            return self._is_foreign(value.__func__) and self._is_foreign(value.__self__)
        if kind is BuiltinFunctionType:
            return type(value.__self__) is ModuleType
        if issubclass(kind, type):
            return not is_users(value)
        foreign = not (
            kind in _TOLD_APART
            or issubclass(kind, TEXTS)
            or is_users(kind)
            or hasattr(kind, "__evercell_step__")
        )
        if foreign:
            _foreign.add(kind)
        return foreign

    def _inside(
        self, place: str, value: Any, depth: int, seen: set[int] | None = None
    ) -> Iterator[tuple[str, object]]:
        """What of the notebook is at `place` itself, or so many levels below."""
        if value is None:
            return
        if is_notebooks(value, self._live):
            yield place, value
            return
        kind = type(value)
        if depth == 0:
            return
        if kind in _CONTAINERS:
            parts = [*value.keys(), *value.values()] if kind is dict else list(value)
        elif isinstance(value, type):
            parts = list(vars(value).values()) if is_users(value) else []
        else:
            attributes = getattr(value, "__dict__", None)
            mine = depth > 1 and is_users(kind) and isinstance(attributes, dict)
            parts = list(attributes.values()) if mine and attributes is not None else []
        seen = {id(value)} if seen is None else seen
        for part in parts if len(parts) <= _LARGEST else ():
            if not self._is_foreign(part) and id(part) not in seen:
                seen.add(id(part))
                yield from self._inside(place, part, depth - 1, seen)


def is_notebooks(value: Any, live: dict[str, Any]) -> bool:
    """Whether a function, a method or an object runs the notebook's code when it is called, or
    fills a container: a bound `append` may be that of a variable."""
    kind = type(value)
    if kind is FunctionType:
        # Or it is a library's wrapper around one.
        return value.__globals__ is live or any(_wraps(c, live) for c in value.__closure__ or ())
    if kind is MethodType:
        return is_notebooks(value.__func__, live) or is_notebooks(value.__self__, live)
    if kind is BuiltinFunctionType:
        return type(value.__self__) in (*SINKS, dict, set)
    if kind is functools.partial:
        parts = (value.func, *value.args, *value.keywords.values())
        return any(is_notebooks(part, live) for part in parts)
    owner = value if isinstance(value, type) else kind
    return owner.__module__ == "__main__" or hasattr(kind, "__evercell_step__")


def _wraps(cell: Any, live: dict[str, Any]) -> bool:
    try:
        content = cell.cell_contents
    except ValueError:
        return False
    return type(content) is FunctionType and content.__globals__ is live


def _shares(one: Observation, other: Observation) -> bool:
    return one.touches(other) or conflicts(one.spans, other.spans)


def _resolve(place: str) -> object:
    """What a dotted name stands for; None if nothing has it."""
    names = place.split(".")
    for size in range(len(names), 0, -1):
        found: Any = sys.modules.get(".".join(names[:size]))
        if found is not None:
            for name in names[size:]:
                found = getattr(found, name, None)
            return found
    return None
