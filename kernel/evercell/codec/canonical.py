"""A digest of any value by content: equal values, equal digests, in every process.

    exact scalars, and a list or tuple of them -> marshal, one C call       (the hot path)
    containers, functions, classes, arrays     -> a tag and the parts, hashed bottom up
    every other object                         -> what `__reduce_ex__(5)` says about it

Types are told apart (1, 1.0 and True differ), identity is not (an alias equals a copy), dicts and
sets don't depend on order. What has no content to speak of, a lock or a socket, raises
NotStorableError with the path to it.
"""

from __future__ import annotations

import copyreg
import functools
import marshal
import sys
import types
from collections import OrderedDict
from operator import itemgetter
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from evercell.codec.annotations import annotations_of, own_cells
from evercell.codec.code import code_digest
from evercell.codec.definitions import importable
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["SCALARS", "call_digest", "code_digest", "digest"]

SCALARS = frozenset({type(None), bool, int, float, complex, str, bytes})
_are_scalars = SCALARS.issuperset
_dumps: Callable[[Any, int], bytes] = marshal.dumps
_pack = msgspec.msgpack.Encoder().encode  # unlike marshal, it raises no audit event

# Attributes of a class that follow from the others, or say where it was written.
_DERIVED = frozenset({
    "__dict__", "__weakref__", "__module__", "__firstlineno__", "__static_attributes__",
    "_abc_impl", "__annotations_cache__", "__annotate_func__", "__annotate__",
    "__pydantic_core_schema__", "__pydantic_validator__", "__pydantic_serializer__",
    "__pydantic_decorators__", "__pydantic_complete__", "__pydantic_parent_namespace__",
    "__pydantic_generic_metadata__", "__pydantic_setattr_handlers__", "__signature__",
    "__pydantic_computed_fields__",
    "__slotnames__", "_member_names_", "_value2member_map_", "_hashable_values_",
    "_unhashable_values_", "_unhashable_values_map_", "__parameters__",
})  # fmt: skip
_DESCRIPTORS = (
    types.MemberDescriptorType,
    types.GetSetDescriptorType,
    types.WrapperDescriptorType,
    types.MethodDescriptorType,
    types.ClassMethodDescriptorType,
)


def digest(
    value: object, live: Mapping[str, object] | None = None, name: str = "argument"
) -> bytes:
    """16 bytes of BLAKE3 over the content of `value`.

    `live` is the user's namespace: what is defined there counts by its code, not by its name.
    `name` begins the path in the error. Raises NotStorableError.
    """
    kind = type(value)
    flat = kind is tuple or kind is list
    if kind in SCALARS or (flat and _are_scalars(map(type, value))):  # type: ignore[call-overload]
        return blake3(b"M" + _dumps(value, 2)).digest(16)
    try:
        return blake3(_Encoder(live).encode(value)).digest(16)
    except UndigestibleError as error:
        path = name + "".join(reversed(error.trail))
        raise NotStorableError(
            f"{path} can't be told by its content: {error.reason}. Pass plain data instead, or "
            "leave this argument out of the key."
        ) from None
    except RecursionError:
        raise NotStorableError(f"{name} is nested too deeply to be digested.") from None


def call_digest(version: bytes, arguments: tuple[object, ...], live: Mapping[str, object]) -> bytes:
    """16 bytes of BLAKE3 over what is called and the content of its arguments. Raises
    NotStorableError."""
    if _are_scalars(map(type, arguments)):
        try:
            return blake3(b"P" + _pack((version, arguments))).digest(16)
        except (OverflowError, TypeError, UnicodeEncodeError):
            pass  # a large integer, a complex number, a lone surrogate
    return digest((version, *arguments), live)


class UndigestibleError(Exception):
    """Inside of this package: a part without content, before its path is known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.trail: list[str] = []


class _Encoder:
    """Encodes one value. Shared parts are encoded once; a cycle is a distance up the path."""

    def __init__(self, live: Mapping[str, object] | None) -> None:
        self._live = live
        self._memo: dict[int, bytes] = {}
        self._alive: list[object] = []  # ids in the memo stay taken
        self._open: dict[int, int] = {}  # id -> depth of the containers we are inside of
        self._lowest = sys.maxsize  # the shallowest depth that a cycle led back to

    def part(self, value: object, step: str | None = None) -> bytes:
        """The encoding as a part of another one: its length is known or fixed."""
        if type(value) in SCALARS:
            return _short(b"M" + _dumps(value, 2))
        key = id(value)
        known = self._memo.get(key)
        if known is not None:
            return known
        depth = len(self._open)
        if key in self._open:
            target = self._open[key]
            self._lowest = min(self._lowest, target)
            return b"\xfe%d;" % (depth - target)
        outer, self._lowest = self._lowest, sys.maxsize
        self._open[key] = depth
        try:
            encoded = _short(self.encode(value))
        except UndigestibleError as error:
            if step is not None:
                error.trail.append(step)
            raise
        finally:
            del self._open[key]
        if self._lowest >= depth:
            self._memo[key] = encoded
            self._alive.append(value)
            self._lowest = outer
        else:
            self._lowest = min(outer, self._lowest)
        return encoded

    def encode(self, value: object) -> bytes:  # noqa: PLR0911 - one case each
        kind = type(value)
        if kind in SCALARS:
            return b"M" + _dumps(value, 2)
        if kind is list or kind is tuple:
            return self._sequence(value)  # type: ignore[arg-type]
        if kind is dict:
            return b"D" + self._pairs(value.items(), ordered=False)  # type: ignore[attr-defined]
        if kind is set or kind is frozenset:
            tag = b"S" if kind is set else b"F"
            return tag + b"".join(sorted(self.part(v, "{...}") for v in value))  # type: ignore[attr-defined]
        handler = _HANDLERS.get(kind)
        if handler is not None:
            return handler(self, value)
        if isinstance(value, type):
            return self._class(value)
        if isinstance(value, _DESCRIPTORS):
            return b"d" + value.__qualname__.encode()
        if getattr(kind, "__evercell_step__", None) is True:
            return b"W" + self.part(value.__wrapped__)  # type: ignore[attr-defined]
        mark = getattr(kind, "__evercell_mark__", None)
        if mark is not None:
            return b"K" + bytes(mark(value))
        special = _library_encoding(self, value, kind)
        return self._object(value) if special is None else special

    def _sequence(self, value: list[object] | tuple[object, ...]) -> bytes:
        if _are_scalars(map(type, value)):
            return b"M" + _dumps(value, 2)
        tag = b"L" if type(value) is list else b"T"
        return tag + b"".join([self.part(item, f"[{index}]") for index, item in enumerate(value)])

    def _pairs(self, items: Iterable[tuple[object, object]], *, ordered: bool) -> bytes:
        keyed = [(self.part(key, ".key"), key, value) for key, value in items]
        if not ordered:
            # Sorted before the values are encoded: the way through a cycle must not depend on the
            # order either.
            keyed.sort(key=itemgetter(0))
        return b"".join([part + self.part(value, f"[{key!r}]") for part, key, value in keyed])

    def _object(self, value: object) -> bytes:
        reduced = reduce(value)
        if isinstance(reduced, str):
            module = getattr(value, "__module__", None)
            return b"G" + f"{module}:{reduced}".encode()
        function, arguments, *rest = reduced
        state, items, pairs = (rest + [None] * 3)[:3]
        encoded = b"O" + self._maker(function) + self.part(arguments)
        encoded += self._state(state)
        if items is not None:
            encoded += b"I" + b"".join([self.part(v, f"[{i}]") for i, v in enumerate(items)])
        if pairs is not None:
            encoded += b"P" + self._pairs(pairs, ordered=isinstance(value, OrderedDict))
        return encoded

    def _state(self, state: object) -> bytes:
        if type(state) is dict and all(type(key) is str for key in state):
            return b"D" + self._attributes(state)
        return self.part(state)

    def _attributes(self, attributes: Mapping[str, object]) -> bytes:
        return b"".join(
            [self.part(key) + self.part(attributes[key], f".{key}") for key in sorted(attributes)]
        )

    def _maker(self, function: object) -> bytes:
        """The callable that rebuilds an object: by name, it is the library's business."""
        if isinstance(function, type):
            return self.part(function)
        module = getattr(function, "__module__", None)
        qualname = getattr(function, "__qualname__", None)
        if module == "__main__" or qualname is None:
            return self.part(function)
        return _short(f"{module}:{qualname}".encode())

    def _class(self, cls: type) -> bytes:
        if importable(cls, self._live):
            return b"C" + f"{cls.__module__}:{cls.__qualname__}".encode()
        attributes = {k: v for k, v in vars(cls).items() if k not in _DERIVED}
        attributes |= _annotations(cls)
        size = f"{cls.__qualname__}:{cls.__basicsize__}".encode()
        head = b"c" + _short(size) + self.part(type(cls)) + self.part(cls.__bases__)
        return head + self._attributes(attributes)

    def function(self, value: types.FunctionType) -> bytes:
        name = f"{value.__qualname__}"
        if importable(value, self._live):
            name = f"{value.__module__}:{name}"
        cells = tuple(map(_cell_content, own_cells(value)))
        return b"".join(
            [
                b"f",
                _short(name.encode()),
                code_digest(value.__code__),
                self.part(value.__defaults__, ".__defaults__"),
                self.part(value.__kwdefaults__, ".__kwdefaults__"),
                self.part(cells, ".__closure__"),
                self.part(value.__dict__, ".__dict__"),
            ]
        )

    def builtin(self, value: Any) -> bytes:
        owner = value.__self__
        if owner is None or isinstance(owner, types.ModuleType):
            return b"b" + f"{value.__module__}:{value.__qualname__}".encode()
        return b"B" + _short(value.__name__.encode()) + self.part(owner, ".__self__")


def parts_of(value: Any) -> object:
    """What a function, method, closure cell, property or the like is made of; None for others."""
    if type(value) is types.FunctionType:
        cells = tuple(own_cells(value))
        return (
            value.__qualname__, code_digest(value.__code__), value.__defaults__,
            value.__kwdefaults__, cells, value.__dict__,
        )  # fmt: skip
    if type(value) is types.BuiltinFunctionType:
        owner = value.__self__
        bound = owner is not None and not isinstance(owner, types.ModuleType)
        return (value.__name__, owner) if bound else None
    content = _PARTS.get(type(value))
    return None if content is None else content(value)


def is_known(kind: type) -> bool:
    """Whether values of this type are digested in a way of their own, not by how they reduce."""
    if kind in _HANDLERS or issubclass(kind, _DESCRIPTORS):
        return True
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    known = [getattr(numpy, "ndarray", None)]
    known += [getattr(pandas, name, None) for name in ("DataFrame", "Series")]
    return kind in known


def reduce(value: object) -> Any:
    """What pickle would be told about `value`. Raises UndigestibleError."""
    kind = type(value)
    reducer = copyreg.dispatch_table.get(kind)
    try:
        reduced = reducer(value) if reducer is not None else value.__reduce_ex__(5)
    except RecursionError:
        raise
    except Exception as error:  # noqa: BLE001 - user code: whatever it raises, it has no content
        raise UndigestibleError(f"{kind.__qualname__}: {error}") from None
    return reduced


class _Empty:
    """Content of a closure cell that was never filled."""


def _cell_content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _Empty


def _annotations(cls: type) -> dict[str, object]:
    """What decides a class's annotations. Whether somebody has asked for them makes no difference:
    a key must not depend on that."""
    if sys.version_info < (3, 14):
        return {}
    found = annotations_of(vars(cls))
    if "__annotate_func__" in found:
        found.pop("__annotations_cache__", None)
    return found


def _short(encoded: bytes) -> bytes:
    size = len(encoded)
    return bytes((size,)) + encoded if size < 64 else b"\xff" + blake3(encoded).digest(16)


def _library_encoding(encoder: _Encoder, value: Any, kind: type) -> bytes | None:
    """numpy and pandas by content; None for everything else. Neither is imported for it."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and kind is numpy.ndarray:
        return _array(encoder, value, numpy)
    pandas = sys.modules.get("pandas")
    if pandas is None or not hasattr(pandas, "DataFrame"):
        return None
    if kind is pandas.DataFrame:
        columns = [_pandas_array(value.iloc[:, i]) for i in range(value.shape[1])]
        return b"p" + b"".join(
            encoder.part(part) for part in (value.attrs, value.columns, value.index, columns)
        )
    if kind is pandas.Series:
        parts = (value.attrs, value.name, value.index, _pandas_array(value))
        return b"q" + b"".join(encoder.part(part) for part in parts)
    return None


def _pandas_array(series: Any) -> object:
    """Strings by what they say, not by how they are laid out; other arrays as they are."""
    array = series.array
    return (str(series.dtype), series.to_numpy(dtype=object)) if series.dtype == "str" else array


def _array(encoder: _Encoder, value: Any, numpy: Any) -> bytes:
    head = b"N" + encoder.part(value.dtype) + encoder.part(value.shape)
    if value.dtype.hasobject:
        return head + encoder.part(
            value.ravel().tolist() if value.dtype.names else list(value.flat)
        )
    flat = numpy.ascontiguousarray(value).reshape(-1)
    return head + (blake3(flat.view(numpy.uint8)).digest(16) if flat.nbytes else b"")


def _tagged(tag: bytes, content: Callable[[Any], object]) -> Callable[[_Encoder, Any], bytes]:
    return lambda encoder, value: tag + encoder.part(content(value))


_TAGS: dict[type, bytes] = {
    types.CellType: b"e",
    types.MethodType: b"h",
    types.MappingProxyType: b"x",
    staticmethod: b"s",
    classmethod: b"l",
    property: b"y",
    functools.cached_property: b"z",
    functools._lru_cache_wrapper: b"u",
}
_PARTS: dict[type, Callable[[Any], object]] = {
    types.CellType: lambda value: (_cell_content(value),),
    types.MethodType: lambda value: (value.__func__, value.__self__),
    types.MappingProxyType: dict,
    staticmethod: lambda value: value.__func__,
    classmethod: lambda value: value.__func__,
    property: lambda value: (value.fget, value.fset, value.fdel),
    functools.cached_property: lambda value: (value.func, value.attrname),
    functools._lru_cache_wrapper: lambda value: (value.__wrapped__, value.cache_parameters()),
}
_HANDLERS: dict[type, Callable[[_Encoder, Any], bytes]] = {
    bytearray: lambda _encoder, value: b"A" + bytes(value),
    PickleBuffer: lambda _encoder, value: b"R" + bytes(value),
    types.FunctionType: _Encoder.function,
    types.BuiltinFunctionType: _Encoder.builtin,
    types.CodeType: lambda _encoder, value: b"k" + code_digest(value),
    types.ModuleType: lambda _encoder, value: b"m" + value.__name__.encode(),
    **{kind: _tagged(tag, _PARTS[kind]) for kind, tag in _TAGS.items()},
}
