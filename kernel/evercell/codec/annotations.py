"""What CPython 3.14 evaluates when somebody asks for it: the annotations of functions and classes.

__annotate__                   the function that evaluates them, stored as any other
evaluated, if somebody asked   stored beside it: names may mean something else by now
neither                        what was set in their place, or what `from __future__` made of them

The function looks up names among its class's attributes first, through a closure cell that holds
the class's own dict. It is stored as that class and filled with the dict of the restored one.
"""

from __future__ import annotations

import gc
import sys
from typing import TYPE_CHECKING, Any, TypeGuard

from evercell.errors import NotStorableError, RestoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CellType, FunctionType

__all__ = [
    "ClassDicts",
    "annotations_of",
    "class_dict",
    "evaluated",
    "own_cells",
    "set_evaluated",
    "with_annotations",
    "without_line",
]

_CLASS_CELL = "__classdict__"  # from CPython 3.12 on
_NAMES = ("__annotations__", "__annotate_func__", "__annotations_cache__")


def evaluated(function: Any, state: Mapping[str, object]) -> dict[str, Any] | None:
    """What a function's annotations were evaluated to; None if nobody has asked for them. To ask
    would run the user's code, and for good. `state` are its other attributes."""
    others = {id(function.__globals__), id(function.__builtins__), *map(id, state.values())}
    found = [each for each in gc.get_referents(function) if type(each) is dict]
    return next((each for each in found if id(each) not in others), None)


def set_evaluated(function: Any, annotate: Any, annotations: dict[str, Any]) -> None:
    """Make `annotations` what `annotate` was once evaluated to. Set as an attribute they would take
    its place; so CPython evaluates it, while its code is one that returns them."""
    code, defaults = annotate.__code__, annotate.__defaults__
    given = (lambda _format, found: found).__code__
    annotate.__code__ = given.replace(co_freevars=code.co_freevars)
    annotate.__defaults__ = (annotations,)
    try:
        found = function.__annotations__
    finally:
        annotate.__code__, annotate.__defaults__ = code, defaults
    if found is not annotations:
        raise RestoreError(f"{function.__qualname__} did not take its annotations.")


def with_annotations(cls: type, attributes: dict[str, Any]) -> dict[str, Any]:
    """`attributes`, as cloudpickle stores them, with the annotations. Raises NotStorableError."""
    if sys.version_info < (3, 14):
        return attributes
    own = vars(cls)
    if "__annotate__" in own:
        raise NotStorableError(f"class {cls.__qualname__} has an __annotate__ of its own")
    found = {name: value for name, value in attributes.items() if name not in _NAMES}
    return found | annotations_of(own)


def annotations_of(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """What the attributes of a class say about its annotations. Being asked leaves traces in a
    class that has none, which are left out."""
    found = {name: attributes[name] for name in _NAMES if attributes.get(name) is not None}
    if "__annotate_func__" not in found and "__annotations_cache__" in found:
        found.setdefault("__annotations__", found.pop("__annotations_cache__"))
    return found


def class_dict(cls: type) -> dict[str, Any]:
    """The very dict that holds the attributes of a class."""
    found: dict[str, Any]
    (found,) = gc.get_referents(vars(cls))
    return found


def own_cells(function: FunctionType) -> Iterator[CellType]:
    """What a function closes over, but for the class that it belongs to."""
    closed = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return (cell for name, cell in closed if name != _CLASS_CELL)


def without_line(content: object) -> object:
    """What a closure cell holds; of a class's body without the number of its first line."""
    if not _is_body(content):
        return content
    return {name: value for name, value in content.items() if name != "__firstlineno__"}


def _is_body(content: object) -> TypeGuard[dict[str, Any]]:
    """Whether it is what the body of a class left behind, of which another class was made: a named
    tuple. Of a class's own dict the interpreter takes this name away."""
    return type(content) is dict and "__classdictcell__" in content


class ClassDicts:
    """The classes in one stream whose dict of attributes a closure cell may hold."""

    def __init__(self) -> None:
        self._classes: dict[int, type] = {}  # by the dict's id
        self._remade: dict[str, type] = {}  # by name

    def add(self, cls: type) -> None:
        """It is stored by definition."""
        self._classes[id(class_dict(cls))] = cls
        if "__slots__" in vars(cls) and "__dataclass_fields__" in vars(cls):
            self._remade[cls.__qualname__] = cls

    def owner(self, content: object) -> type | None:
        """The class whose dict it is."""
        return self._classes.get(id(content))

    def look_at(self, function: FunctionType) -> None:
        """Find the class whose attributes the function sees, if it does."""
        names = function.__code__.co_freevars
        if _CLASS_CELL not in names or function.__closure__ is None:
            return
        content = function.__closure__[names.index(_CLASS_CELL)].cell_contents
        if id(content) in self._classes or _is_body(content):
            return
        owner = self._remade_owner(function)
        if owner is None:  # it is met before its class: that takes a look at all objects
            holders = [each for each in gc.get_referrers(content) if isinstance(each, type)]
            owner = next((each for each in holders if class_dict(each) is content), None)
        if owner is not None:
            self._classes[id(content)] = owner

    def _remade_owner(self, function: FunctionType) -> type | None:
        """A dataclass with slots is made a second time, of the first one's attributes. The cells
        keep the dict of the first, which is garbage, and empty once that is collected."""
        inside = function.__qualname__.rpartition(".")[0]
        found = self._remade.get(inside)
        return found or self._remade.get(inside.rpartition(".")[0])
