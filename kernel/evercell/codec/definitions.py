"""Functions and classes: which are found by import, what makes up one that isn't, which of the
notebook's classes may be made a second time."""

from __future__ import annotations

import abc
import enum
import sys
import typing
from types import FunctionType
from typing import TYPE_CHECKING, Any

from evercell.codec.annotations import evaluated, with_annotations
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "check_class",
    "class_attributes",
    "enum_parts",
    "function_state",
    "given_at_making",
    "importable",
    "is_users",
    "is_users_module",
]

_METACLASSES = frozenset({type, abc.ABCMeta, enum.EnumMeta, type(typing.Protocol)})
_MEMBER = frozenset({"_value_", "_name_", "__objclass__", "_sort_order_", "_inverted_"})
_METACLASS_NAMES = frozenset({"pydantic._internal._model_construction:ModelMetaclass"})
_OWN = frozenset({"evercell", "evercell_widgets"})
# Of a class: where it was written, what copyreg remembers, what is given at its making.
_CACHES = frozenset({"__firstlineno__", "__slotnames__", "__slots__"})
_HOOK_MODULES = (
    "builtins",
    "typing",
    "typing_extensions",
    "enum",
    "abc",
    "pydantic",
    "_collections_abc",
)


def importable(obj: Any, live: Mapping[str, object] | None) -> bool:
    """Whether a module other than the notebook has the class or function under its own name."""
    name = getattr(obj, "__module__", None)
    module = sys.modules.get(name) if isinstance(name, str) else None
    if module is None or name == "__main__":
        return False
    if live is not None and getattr(module, "__dict__", None) is live:
        return False
    found: object = module
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    return bool(found is obj)


def is_users(kind: type) -> bool:
    """Whether a class was written in the notebook or beside it, not in an installed package."""
    return is_users_module(kind.__module__)


def is_users_module(name: str) -> bool:
    """Whether a module is the notebook or lies beside it, not in an installed package."""
    module = sys.modules.get(name)
    if module is None or name == "__main__":
        return True
    file = getattr(module, "__file__", None)
    if file is None or name.partition(".")[0] in _OWN:  # which an editable install has elsewhere
        return False
    return not file.startswith((sys.prefix, sys.base_prefix)) and "site-packages" not in file


def function_state(function: FunctionType) -> dict[str, Any]:
    state: dict[str, Any] = {
        "__dict__": function.__dict__,
        "__qualname__": function.__qualname__,
        "__module__": function.__module__,
        "__doc__": function.__doc__,
        "__defaults__": function.__defaults__,
        "__kwdefaults__": function.__kwdefaults__,
    }
    if sys.version_info >= (3, 12):
        state["__type_params__"] = function.__type_params__
    if sys.version_info >= (3, 14) and function.__annotate__ is not None:
        found = evaluated(function, state)
        state["__annotate__"] = function.__annotate__
        if found is None:
            return state
        state["__annotations__"] = found
    else:  # there are none, or a dict
        state["__annotations__"] = function.__annotations__
    return state


def class_attributes(cls: type, attributes: dict[str, Any]) -> dict[str, Any]:
    """Of what cloudpickle stores as a class's attributes, and what it leaves out, those that are
    set once the class is made. Raises NotStorableError."""
    kept = {name: value for name, value in attributes.items() if name not in _CACHES}
    kept = with_annotations(cls, kept)
    if "__pydantic_core_schema__" not in kept:
        return kept
    # Its making takes the names around it for its own; some are there before the others.
    kept.setdefault("__pydantic_parent_namespace__", None)
    return dict(sorted(kept.items()))


def given_at_making(cls: type) -> dict[str, Any]:
    """What a class must have from the beginning."""
    own = vars(cls)
    given: dict[str, Any] = {"__qualname__": cls.__qualname__}
    if "__annotations__" in own:  # set later, it would go elsewhere from CPython 3.14 on
        given["__annotations__"] = {}
    if "__slots__" in own and typing.NamedTuple not in own.get("__orig_bases__", ()):
        given["__slots__"] = own["__slots__"]
    return given


def enum_parts(
    cls: Any, arguments: tuple[Any, ...], attributes: dict[str, Any]
) -> tuple[tuple[Any, ...], tuple[dict[str, Any], dict[str, dict[str, Any]]]]:
    """Of an enum, what cloudpickle makes it from and what is set then: with the aliases, what a
    flag's members make together, and what `__init__` gave the members, which it leaves out."""
    members = dict(cls.__members__)
    values = {name: member.value for name, member in members.items()}
    own = {n: {k: v for k, v in vars(m).items() if k not in _MEMBER} for n, m in members.items()}
    kept = {name: value for name, value in attributes.items() if name not in members}
    return (*arguments[:3], values, arguments[4], None, None), (kept, own)


def check_class(cls: type) -> None:
    """Refuse a class whose making runs code that is not ours to run twice."""
    meta = type(cls)
    if (
        meta not in _METACLASSES
        and f"{meta.__module__}:{meta.__qualname__}" not in _METACLASS_NAMES
    ):
        raise NotStorableError(f"class {cls.__qualname__}: its metaclass runs when it is made")
    for base in cls.__mro__[1:]:
        hook = "__init_subclass__" in vars(base)
        if hook and str(base.__module__).partition(".")[0] not in _HOOK_MODULES:
            raise NotStorableError(
                f"class {cls.__qualname__}: {base.__qualname__}.__init_subclass__ runs when it is "
                "made"
            )
    for name, value in vars(cls).items():
        method = getattr(type(value), "__set_name__", None)
        if isinstance(method, FunctionType) and method.__module__ == "__main__":
            raise NotStorableError(
                f"class {cls.__qualname__}: {name}.__set_name__ runs when it is made"
            )
