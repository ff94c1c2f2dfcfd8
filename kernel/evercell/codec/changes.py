"""What a call changed in its arguments, as data, and put in place again.

    before the body: nodes_of(arguments)   -> the objects in them that have an identity, in order
    after it:        describe(nodes, ...)  -> the state of each, where one means another by number
    answered later:  put_back(data, ...)   -> the same walk over today's arguments; each object gets
                                              its state, and stays the object that it is

Whoever else holds such an object sees the change, as if the body had run. What a body made anew
comes from the pickle; what it only moved around is the object that was there.
"""

from __future__ import annotations

import datetime
import decimal
import enum
import fractions
import pathlib
import random
import re
import sys
import types
import uuid
from collections import Counter, OrderedDict, defaultdict, deque
from copyreg import _slotnames  # type: ignore[attr-defined]
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.codec.canonical import SCALARS
from evercell.codec.identities import is_plain
from evercell.codec.pickler import Pickler
from evercell.codec.pickling import dump, load
from evercell.codec.unpickling import Unpickler
from evercell.errors import NotStorableError, RestoreError

if TYPE_CHECKING:
    import io
    from collections.abc import Callable, Iterable

    from evercell.codec.buffers import Buffer

__all__ = [
    "CODEC",
    "Changed",
    "describe",
    "has_state",
    "may_change",
    "nodes_of",
    "pack",
    "put_back",
    "unpack",
]

CODEC = "changed"
"""Of a result that has with it what its call changed in its arguments."""

_MAPPINGS = (dict, OrderedDict, defaultdict, Counter)
_SEALED = SCALARS | {
    datetime.date, datetime.datetime, datetime.time, datetime.timedelta, datetime.timezone,
    decimal.Decimal, fractions.Fraction, uuid.UUID, range, slice, type(re.compile("")), type(...),
    type(NotImplemented), pathlib.PosixPath, pathlib.WindowsPath, pathlib.PurePosixPath,
    pathlib.PureWindowsPath, types.BuiltinFunctionType,
}  # fmt: skip
_are_sealed = _SEALED.issuperset
_TABLES = ("DataFrame", "Series")
_ABSENT = object()
_pack = msgspec.msgpack.Encoder().encode


class Changed(msgspec.Struct, array_like=True):
    """A result as it is encoded otherwise, and what is needed to put the changes back; None and a
    reason where that can't be done."""

    codec: str
    result: bytes
    changes: bytes | None
    digest: bytes  # of the call with its arguments as the body left them
    reason: str = ""


_unpack = msgspec.msgpack.Decoder(Changed).decode


def pack(changed: Changed) -> bytes:
    """As a payload."""
    return _pack(changed)


def unpack(data: Buffer) -> Changed:
    """A result that was packed with the changes. Raises RestoreError."""
    try:
        return _unpack(data)
    except msgspec.DecodeError as error:
        raise RestoreError(f"a recorded result is not what it should be: {error}.") from error


def may_change(arguments: tuple[object, ...]) -> bool:
    """Whether a body could change something in them; a look at no more than is needed."""
    if _are_sealed(map(type, arguments)):
        return False
    return any(
        may_change(each) if type(each) is tuple else not _is_sealed(each) for each in arguments
    )


def nodes_of(arguments: tuple[object, ...]) -> list[Any]:
    """The objects in them whose identity counts, each once, in an order that depends on the
    content alone. Raises NotStorableError where there is no such order."""
    walk = _Walk()
    walk.add(arguments)
    return walk.found


def has_state(node: object) -> bool:
    """Whether `describe` knows what is in it."""
    return _way(node) is not None


def describe(nodes: list[Any], live: dict[str, Any]) -> bytes:
    """The state of each of `nodes` now. Raises NotStorableError."""
    numbers = {id(node): number for number, node in enumerate(nodes)}
    states = [None if (way := _way(node)) is None else way.state(node) for node in nodes]
    kinds = [_name(node) for node in nodes]
    # Their states are made for the occasion, and none of the nodes.
    writer: Any = partial(_Writer, numbers)
    return dump((kinds, states), live, pickler=writer).stream


def put_back(data: Buffer, arguments: tuple[object, ...], live: dict[str, Any]) -> None:
    """Give the objects in `arguments`, which are as they were before the body, the states that it
    left them in: all of them, or none and RestoreError."""
    try:
        nodes = nodes_of(arguments)
    except NotStorableError as error:
        raise RestoreError(error.message) from error
    kinds, states = load(data, (), live, unpickler=partial(_Reader, nodes))
    if kinds != [_name(node) for node in nodes]:
        raise RestoreError("other objects are shared in it than were then")
    ways = [_way(node) for node in nodes]
    changes = list(zip(ways, nodes, states, strict=True))
    if not all(way is None or way.fits(node, state) for way, node, state in changes):
        raise RestoreError("it has another size or kind than it had")
    for way, node, state in changes:
        if way is not None:
            way.put(node, state)


class _Writer(Pickler):
    def __init__(self, numbers: dict[int, int], *arguments: Any) -> None:
        self._numbers = numbers
        super().__init__(*arguments)

    def persistent_id(self, obj: Any) -> int | None:
        return self._numbers.get(id(obj))


class _Reader(Unpickler):
    def __init__(self, nodes: list[Any], file: io.BytesIO, *arguments: Any) -> None:
        self._nodes = nodes
        super().__init__(file, *arguments)

    def persistent_load(self, pid: Any) -> Any:
        return self._nodes[pid]


# -- the walk -------------------------------------------------------------------------------------


class _Walk:
    def __init__(self) -> None:
        self.found: list[Any] = []
        self._seen: set[int] = set()
        self._pins: list[object] = []  # ids of what is made on the way stay taken

    def add(self, root: object) -> None:
        """Take in what is in `root`, the first things first."""
        stack = [root]
        while stack:
            value = stack.pop()
            if _is_sealed(value) or id(value) in self._seen:
                continue
            self._seen.add(id(value))
            if isinstance(value, tuple):
                inner: Iterable[object] = value
            elif isinstance(value, set | frozenset):
                if type(value) is set:
                    self.found.append(value)
                if may_change(tuple(value)):
                    raise NotStorableError("it holds a set of objects, which have no order")
                continue
            else:
                self.found.append(value)
                way = _way(value)
                inner = () if way is None else way.parts(value)
            parts = [part for part in inner if type(part) not in _SEALED]
            self._pins.append(parts)
            stack += reversed(parts)


def _is_sealed(value: object) -> bool:
    kind = type(value)
    if kind in _SEALED or isinstance(value, type | types.ModuleType | enum.Enum):
        return True
    return kind.__module__ == "numpy" and kind is not sys.modules["numpy"].ndarray


def _name(node: object) -> str:
    return f"{type(node).__module__}.{type(node).__qualname__}"


# -- what can be given a state --------------------------------------------------------------------


class _Way(msgspec.Struct, frozen=True):
    """How objects of a kind are read and filled."""

    state: Callable[[Any], Any]
    put: Callable[[Any, Any], None]
    parts: Callable[[Any], Iterable[object]] = lambda _: ()
    fits: Callable[[Any, Any], bool] = lambda _node, _state: True


def _way(node: Any) -> _Way | None:
    kind = type(node)
    known = _WAYS.get(kind)
    if known is not None:
        return known
    if kind.__module__ == "numpy" and kind is sys.modules["numpy"].ndarray:
        return _ARRAY if not node.dtype.hasobject else None
    if kind.__name__ in _TABLES and kind.__module__.partition(".")[0] == "pandas":
        return _TABLE
    if _sets_itself(kind):
        return _OWN
    return _ATTRIBUTES if is_plain(kind) else None


def _sets_itself(kind: type) -> bool:
    """Whether `__setstate__` of the class is known to do nothing else."""
    reduces: object = kind.__reduce_ex__
    known = hasattr(kind, "__pydantic_core_schema__") or hasattr(kind, "__attrs_attrs__")
    return known and hasattr(kind, "__setstate__") and reduces is object.__reduce_ex__


def _items(node: dict[Any, Any]) -> Iterable[object]:
    """Keys and values, by the key where that has an order: equal dicts may have another one."""
    pairs = list(node.items())
    if all(type(key) is str for key in node):
        pairs.sort(key=lambda pair: pair[0])
    return [part for pair in pairs for part in pair]


def _fill_mapping(node: Any, items: list[tuple[Any, Any]]) -> None:
    node.clear()
    for key, value in items:
        node[key] = value


def _attributes(node: Any) -> dict[str, Any]:
    found = dict(getattr(node, "__dict__", {}))
    for name in _slotnames(type(node)):
        value = getattr(node, name, _ABSENT)
        if value is not _ABSENT:
            found[name] = value
    return found


def _set_attributes(node: Any, state: dict[str, Any]) -> None:
    slots = _slotnames(type(node))
    for name in slots:
        if name not in state and hasattr(node, name):
            delattr(node, name)
    if hasattr(node, "__dict__"):
        node.__dict__.clear()
    for name, value in state.items():
        if name in slots:
            object.__setattr__(node, name, value)
        else:
            node.__dict__[name] = value


def _own_parts(node: Any) -> Iterable[object]:
    state = node.__reduce_ex__(5)[2]
    return _items(state) if type(state) is dict else [state]


def _array_fits(node: Any, state: Any) -> bool:
    alike = (node.shape, node.dtype) == (state.shape, state.dtype)
    return alike and (node.flags.writeable or bool((node == state).all()))


def _fill_array(node: Any, state: Any) -> None:
    if node.flags.writeable:
        node[...] = state


def _fill_table(node: Any, state: Any) -> None:
    node._update_inplace(state)
    node.attrs = state.attrs
    if type(node).__name__ == "Series":
        node.name = state.name


def _fill_list(node: list[Any] | bytearray, state: Any) -> None:
    node[:] = state


def _fill_collection(node: Any, state: Any) -> None:
    node.clear()
    (node.update if type(node) is set else node.extend)(state)


_LIST = _Way(list, _fill_list, iter)
_MAPPING = _Way(lambda node: list(node.items()), _fill_mapping, _items)
_WAYS: dict[type, _Way] = {
    list: _LIST,
    **dict.fromkeys(_MAPPINGS, _MAPPING),
    set: _Way(list, _fill_collection),
    deque: _Way(list, _fill_collection, iter),
    bytearray: _Way(bytes, _fill_list),
    random.Random: _Way(random.Random.getstate, random.Random.setstate),
}
_ARRAY = _Way(lambda node: node.copy(), _fill_array, fits=_array_fits)
_TABLE = _Way(lambda node: node.copy(), _fill_table)
_ATTRIBUTES = _Way(_attributes, _set_attributes, lambda node: _items(_attributes(node)))
_OWN = _Way(
    lambda node: node.__reduce_ex__(5)[2], lambda node, state: node.__setstate__(state), _own_parts
)
