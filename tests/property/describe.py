"""What a namespace holds, as plain data: two are equal when names, values and sharing are.

Every object with an identity gets the number of its first visit; a later visit says that number, so
that an alias and a copy differ.
"""

from __future__ import annotations

import enum
import functools
import re
import types
from typing import Any

import numpy as np
import pandas as pd

from evercell.codec.code import code_digest

ADDRESS = re.compile(r"0x[0-9a-f]+")
_SCALARS = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
_DERIVED = frozenset({
    "__dict__", "__weakref__", "__module__", "__doc__", "__firstlineno__", "__static_attributes__",
    "_abc_impl", "__annotations_cache__", "__slotnames__",
})  # fmt: skip


def describe(names: dict[str, Any], live: dict[str, Any]) -> dict[str, object]:
    """A description per name, in the order of the names; `live` is the namespace of functions."""
    walk = _Walk(live)
    return {name: walk.of(names[name]) for name in sorted(names) if not name.startswith("__")}


def without_addresses(text: str) -> str:
    """Where an object lies in memory says nothing."""
    return ADDRESS.sub("0x", text)


class _Walk:
    def __init__(self, live: dict[str, Any]) -> None:
        self._live = live
        self._numbers: dict[int, int] = {}
        self._kept: list[object] = []

    def of(self, value: Any) -> object:  # noqa: PLR0911 - one case each
        if isinstance(value, _SCALARS):
            return type(value).__name__, without_addresses(repr(value))
        if type(value) is tuple:
            return "tuple", [self.of(item) for item in value]
        if isinstance(value, types.ModuleType):
            return "module", value.__name__
        if isinstance(value, enum.Enum):
            return "member", self.of(type(value)), value.name
        if isinstance(value, type) and value.__module__ != "__main__":
            return "class", value.__module__, value.__qualname__
        known = self._numbers.get(id(value))
        if known is not None:
            return "seen", known
        number = self._numbers[id(value)] = len(self._numbers)
        self._kept.append(value)
        return type(value).__name__, number, self._content(value)

    def _content(self, value: Any) -> object:  # noqa: PLR0911 - one case each
        if isinstance(value, type):
            attributes = {k: v for k, v in vars(value).items() if k not in _DERIVED}
            attributes = {k: v for k, v in attributes.items() if not _is_descriptor(v)}
            bases = [self.of(base) for base in value.__bases__]
            return value.__qualname__, bases, self._pairs(dict(sorted(attributes.items())))
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, types.MethodType):
            return self.of(value.__func__), self.of(value.__self__)
        if isinstance(value, types.BuiltinMethodType):
            return value.__name__, self.of(value.__self__)
        if isinstance(value, functools.partial):
            return self.of(value.func), self.of(value.args), self._pairs(value.keywords)
        if isinstance(value, np.ndarray):
            return self._array(value)
        if isinstance(value, pd.DataFrame | pd.Series):
            return repr(value), [self.of(v) for v in value.to_numpy().ravel().tolist()]
        if isinstance(value, types.GeneratorType):
            frame = value.gi_frame
            return value.__qualname__, None if frame is None else (frame.f_lasti, self._pairs({
                k: v for k, v in frame.f_locals.items() if k != ".0"
            }))  # fmt: skip
        return self._object(value)

    def _object(self, value: Any) -> object:  # noqa: C901, PLR0912 - one case each
        parts: list[object] = [self.of(type(value))]
        if isinstance(value, dict):
            parts.append(self._pairs(value))
        elif isinstance(value, list):
            parts.append([self.of(item) for item in value])
        elif isinstance(value, set | frozenset):
            ordered = sorted(value, key=lambda item: without_addresses(repr(item)))
            parts.append([self.of(item) for item in ordered])
        elif isinstance(value, BaseException):
            parts += [self.of(value.args), self.of(value.__cause__)]
        elif isinstance(value, property):
            parts += [self.of(value.fget), self.of(value.fset)]
        elif isinstance(value, staticmethod | classmethod):
            parts.append(self.of(value.__func__))
        elif hasattr(value, "cache_info"):
            parts.append(repr(value.cache_info()))
        elif type(value).__module__ == "builtins" and hasattr(value, "__setstate__"):
            parts.append(self.of(value.__reduce__()[1:]))  # iterators
        elif getattr(type(value), "__evercell_step__", False):
            return [self.of(type(value)), self.of(value.__wrapped__)]
        if "__wrapped__" in getattr(value, "__dict__", {}) and not isinstance(value, type):
            parts.append(self.of(value.__wrapped__))
        elif isinstance(getattr(value, "__dict__", None), dict):
            parts.append(self._pairs(vars(value)))
        for cls in type(value).__mro__:
            names = vars(cls).get("__slots__", ())
            for name in (names,) if isinstance(names, str) else names:
                if hasattr(value, name) and name not in ("__dict__", "__weakref__"):
                    parts.append((name, self.of(getattr(value, name))))
        if len(parts) == 1:
            parts.append(without_addresses(repr(value)))
        return parts

    def _function(self, function: types.FunctionType) -> object:
        cells: list[object] = []
        for cell in function.__closure__ or ():
            known = self._numbers.get(id(cell))
            if known is not None:
                cells.append(("seen", known))
                continue
            self._numbers[id(cell)] = len(self._numbers)
            self._kept.append(cell)
            try:
                cells.append(self.of(cell.cell_contents))
            except ValueError:
                cells.append("empty")
        return (
            function.__qualname__,
            code_digest(function.__code__).hex(),
            self.of(function.__defaults__),
            self.of(function.__kwdefaults__),
            cells,
            self._pairs(function.__dict__),
            function.__globals__ is self._live,
        )

    def _array(self, array: Any) -> object:
        root = array
        while True:
            base = root.base
            base = base.base if type(base).__name__ == "DummyArray" else base  # as_strided's
            if not isinstance(base, np.ndarray):
                break
            root = base
        offset = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        shape = (str(array.dtype), array.shape, array.strides, array.flags.writeable)
        if root is array:
            return *shape, [self.of(item) for item in array.ravel().tolist()]
        return *shape, offset, self.of(root)

    def _pairs(self, mapping: dict[Any, Any]) -> list[object]:
        return [(self.of(key), self.of(value)) for key, value in mapping.items()]


def _is_descriptor(value: object) -> bool:
    return isinstance(
        value, types.GetSetDescriptorType | types.MemberDescriptorType | types.WrapperDescriptorType
    )
