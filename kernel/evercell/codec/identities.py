"""What a pickle met: which of its objects can be shared, and whether its round trip needs a proof.

    walk(value, kinds)  where nothing but `kinds` was met: through the references, level by level
    look_at(memo, ...)  for all else: the pickler's memo, less what was made for the occasion

A million objects are looked at by C code only; Python looks at each kind. Objects are told apart by
`number_of`, which is their address as `object.__hash__` gives it: neighbours in memory are
neighbours in a set, which with ids, all of them multiples of 16, takes three times as long to make.
"""

from __future__ import annotations

import collections
import copyreg
import datetime
import decimal
import enum
import gc
import pickle
import re
import sys
import types
import zoneinfo
from collections import Counter
from itertools import chain, compress
from operator import itemgetter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import msgspec

from evercell.codec.tables import is_listed

if TYPE_CHECKING:
    from collections.abc import Callable
    from collections.abc import Set as AbstractSet

__all__ = ["Met", "is_plain", "look_at", "number_of", "walk"]

Memo = dict[int, tuple[int, object]]
number_of: Callable[[object], int] = object.__hash__
"""Tells an object from all others that are alive."""

_CONTAINERS = (list, dict, set, bytearray)
_WALKED = frozenset({*_CONTAINERS, tuple, frozenset})
_WITHOUT_IDENTITY = frozenset({
    str, bytes, int, float, complex, tuple, frozenset, range, slice, types.ModuleType,
    types.BuiltinFunctionType, types.CodeType, type(chain.from_iterable),
    datetime.timedelta, datetime.timezone, zoneinfo.ZoneInfo, re.Pattern, pickle.PickleBuffer,
})  # fmt: skip
_BUILTIN = frozenset({
    *_WALKED, str, bytes, int, float, complex, range, slice,
    types.ModuleType, types.BuiltinFunctionType, types.FunctionType, pickle.PickleBuffer,
})  # fmt: skip
# Their own way of being pickled is the interpreter's.
_EXACT = frozenset({
    collections.OrderedDict, collections.defaultdict, collections.deque, collections.Counter,
    datetime.timedelta, datetime.timezone, datetime.date, datetime.datetime, datetime.time,
    decimal.Decimal,
})  # fmt: skip
_CYTHON = "cython_function_or_method"  # each extension module has its own class of this name
_TELLING = ("__reduce__", "__reduce_ex__", "__getstate__")
_MAKING = ("__new__", "__setattr__", "__getattribute__")
_HOOKS = ("__setstate__", "__getnewargs__", "__getnewargs_ex__", "__getattr__")


class Met(msgspec.Struct, frozen=True):
    """What was met while a value was pickled."""

    ids: frozenset[int]  # the numbers of objects with an identity worth sharing
    pins: tuple[object, ...] = ()  # they stay alive with these
    kinds: bool = False  # there is more in it than builtin containers and scalars
    plain: bool = True  # pickle gives it back exactly: no need to try
    told: tuple[object, ...] = ()  # whose class says what is stored of them, in the stream's order


class _Traits(msgspec.Struct, frozen=True):
    """What is known of all objects of a kind."""

    common: bool  # shared by values that have nothing to do with each other
    definition: bool  # functions, classes, enum members: referred to by name, as a rule
    exact: bool  # pickle gives back the very same
    makes: bool  # being pickled, it may make objects for the occasion
    tells: bool  # it has attributes, and its class says what is stored of them


def walk(root: object, kinds: AbstractSet[type]) -> Met:
    """`root` was pickled, and nothing was met in it but builtin containers of `kinds`, that is
    such as `is_plain`, and what is referred to by name."""
    wanted = _WALKED | kinds
    seen: set[int] | frozenset[int] = frozenset()
    left_out: list[int] = []
    level = [root]
    while level:
        found = gc.get_referents(*level)
        present = set(map(type, found))
        if present.isdisjoint(wanted):
            break
        if not present <= wanted:
            found = list(compress(found, map(wanted.__contains__, map(type, found))))
        level, seen = _take_new(found, seen)
        if not _WITHOUT_IDENTITY.isdisjoint(present & wanted):
            chosen = map(_WITHOUT_IDENTITY.__contains__, map(type, level))
            left_out += map(number_of, compress(level, chosen))
    if left_out:
        seen = seen.difference(left_out)
    return Met(frozenset(seen), kinds=bool(kinds))


def _take_new(
    found: list[Any], seen: set[int] | frozenset[int]
) -> tuple[list[Any], set[int] | frozenset[int]]:
    """Those of `found` that are not in `seen`, each once, and `seen` with their numbers. A set of
    a million numbers takes as long to make as all else, so nearly always only one is made."""
    if len(seen) < len(found):
        both = frozenset(chain(map(number_of, found), seen))
        if len(both) == len(found) + len(seen):
            return found, both
        fresh = dict(zip(map(number_of, found), found, strict=True))
        for number in seen:
            fresh.pop(number, None)
        return list(fresh.values()), both
    fresh = {number: each for each in found if (number := number_of(each)) not in seen}
    grown = seen if isinstance(seen, set) else set(seen)
    grown.update(fresh)
    return list(fresh.values()), grown


def look_at(
    root: object,
    memo: Memo,
    by_value: AbstractSet[int],
    by_name: AbstractSet[int],
) -> Met:
    """`root` was pickled. `memo` is a copy of the pickler's, by id; `by_value` and `by_name` are
    the ids of functions and classes that were written by definition, or as a variable's name."""
    objects = [entry[1] for entry in memo.values()]
    kinds = list(map(type, objects))
    traits = {kind: _traits(kind) for kind in set(kinds)}
    # Before anything else holds them.
    transient = _transient(memo, objects) if any(t.makes for t in traits.values()) else ()
    kept = {kind for kind, trait in traits.items() if not trait.common}
    chosen = list(map(kept.__contains__, kinds))
    found = dict(zip(compress(memo, chosen), compress(objects, chosen), strict=True))
    for key in transient:
        found.pop(key, None)
    definitions = {kind for kind, trait in traits.items() if trait.definition}
    if definitions:
        named = compress(memo, map(definitions.__contains__, kinds))
        for key in [key for key in named if key not in by_value]:
            found.pop(key, None)
    for key in (id(root), *by_name, *filter(None, map(_class_level, kept))):
        found.pop(key, None)
    telling = {kind for kind, trait in traits.items() if trait.tells}
    told = sorted(
        compress(memo.values(), map(telling.__contains__, kinds)) if telling else (),
        key=itemgetter(0),
    )
    return Met(
        frozenset(map(number_of, found.values())),
        tuple(found.values()),
        kinds=True,
        plain=not by_value and all(trait.exact for trait in traits.values()),
        told=tuple(entry[1] for entry in told),
    )


def is_plain(kind: type) -> bool:
    """Whether pickle gives instances back exactly, without any code that the user wrote."""
    return kind in _EXACT or _is_default(kind)


def _is_default(kind: type) -> bool:
    """Whether instances are pickled by their attributes."""
    return (
        type(kind) is type
        and getattr(kind, "__hash__", None) in (object.__hash__, None)
        and all(getattr(kind, name) is getattr(object, name) for name in _MAKING)
        and kind not in copyreg.dispatch_table
        and not _tells(kind)
        and not any(hasattr(kind, name) for name in _HOOKS)
    )


_known: WeakKeyDictionary[type, _Traits] = WeakKeyDictionary()


def _traits(kind: type) -> _Traits:
    known = _known.get(kind)
    if known is None:
        known = _find_traits(kind)
        if kind.__module__ != "__main__":  # cells may change what they have written
            _known[kind] = known
    return known


def _find_traits(kind: type) -> _Traits:
    container, default = kind in _CONTAINERS, _is_default(kind)
    common = (
        kind in _WITHOUT_IDENTITY
        or hasattr(kind, "__evercell_value__")
        or kind.__module__ == "numpy.dtypes"
        or kind.__name__ == _CYTHON
    )
    definition = issubclass(kind, type | types.FunctionType | enum.Enum)
    lasting = default and not copyreg._slotnames(kind)  # type: ignore[attr-defined]
    attributes = not (container or common or definition)
    # Of arrays and tables `Arrays` knows which ones are not exact; classes that are written by
    # definition are looked for apart.
    exact = (
        kind in _BUILTIN
        or kind in _EXACT
        or default
        or issubclass(kind, type)
        or _is_numpys(kind)
        or is_listed(kind)
        or kind.__name__ == _CYTHON  # by name
    )
    return _Traits(
        common=common,
        definition=definition,
        exact=exact,
        makes=attributes and not lasting and not _is_numpys(kind),
        tells=attributes and _tells(kind) and _has_attributes(kind),
    )


def _tells(kind: type) -> bool:
    return any(
        getattr(kind, name, None) is not getattr(object, name, None) for name in _TELLING
    ) or (kind in copyreg.dispatch_table)


def _is_numpys(kind: type) -> bool:
    """Arrays, scalars and dtypes."""
    if kind.__module__ == "numpy.dtypes":
        return True
    numpy = sys.modules["numpy"] if kind.__module__ == "numpy" else None
    return numpy is not None and (kind is numpy.ndarray or issubclass(kind, numpy.generic))


def _has_attributes(kind: type) -> bool:
    return bool(kind.__dictoffset__) or any("__slots__" in vars(base) for base in kind.__mro__)


def _class_level(kind: type) -> int | None:
    """The id of the list that every pandas object of a class names as its own."""
    owner: Any = kind
    return id(owner._metadata) if hasattr(kind, "_metadata") and hasattr(kind, "_typ") else None


def _transient(memo: Memo, objects: list[object]) -> set[int]:
    """The objects that only pickling holds, by id: an object's state, made for the occasion.

    They are gone afterwards, and their addresses may be other objects' next.
    """
    marker = object()  # held as often: the name stands for the pickler's own memo, the pair for
    pair = (0, marker)  # its copy
    objects.append(pair[1])
    counts = list(map(sys.getrefcount, objects))
    objects.pop()
    alone = counts.pop()
    found = {key for key, count in zip(memo, counts, strict=True) if count <= alone}
    holders = dict(zip(memo, counts, strict=True))
    held_by_transient: Counter[int] = Counter()
    level = found
    while level:
        inner = list(map(id, gc.get_referents(*[memo[key][1] for key in level])))
        held_by_transient.update(inner)
        level = {
            name
            for name in memo.keys() & set(inner) - found
            if holders[name] - held_by_transient[name] <= alone
        }
        found |= level
    return found
