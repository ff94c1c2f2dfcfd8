"""Whether a value came back as it was: both are walked side by side, once.

Content and sharing must be the same: an object that stands in two places of one stands in the same
two places of the other. Unlike a digest it takes no longer for objects that refer to each other in
circles, as the parts of a figure do.
"""

from __future__ import annotations

import copyreg
import functools
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from evercell.codec import canonical, rebuild
from evercell.codec.blame import full_name
from evercell.codec.canonical import SCALARS
from evercell.codec.definitions import is_users
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["difference", "lost_attribute", "same"]

_NO_IDENTITY = (tuple, frozenset)
_BY_DIGEST = (type, set, frozenset)


def same(one: object, other: object, live: Mapping[str, object] | None) -> bool:
    """Raises NotStorableError for what has no content to compare."""
    return difference(one, other, live) is None


def difference(one: object, other: object, live: Mapping[str, object] | None) -> str | None:
    """The innermost object that is not the same in both, as "Class" or "Class.attribute", or the
    kind of all of it; None if they are the same. Raises NotStorableError for what has no content to
    compare."""
    walk = _Walk(live)
    try:
        if walk.same(one, other):
            return None
        mismatch = walk.mismatch
        named = mismatch is not None and mismatch.__module__ != "builtins"
        return walk.odd or full_name(mismatch if mismatch and named else type(one))
    except canonical.UndigestibleError as error:
        raise NotStorableError(f"it can't be told by its content: {error.reason}") from None
    except RecursionError:
        equal = canonical.digest(one, live) == canonical.digest(other, live)
        return None if equal else full_name(type(one))


def lost_attribute(
    pairs: Iterable[tuple[object, object]], live: Mapping[str, object] | None
) -> str | None:
    """Of objects and what came back of them: the first attribute, as "Class.name", that was lost or
    is another one now.

    Only classes that the user wrote are asked: those of libraries leave out their caches, and have
    been pickled before.
    """
    walk = _Walk(live)
    for one, other in pairs:
        name = walk.lost(one, other) if is_users(type(one)) else None
        if name is not None:
            return f"{type(one).__qualname__}.{name}"
    return None


def _attributes(value: object) -> dict[str, object]:
    found = dict(getattr(value, "__dict__", None) or {})
    for name in copyreg._slotnames(type(value)):  # type: ignore[attr-defined]
        if hasattr(value, name):
            found[name] = getattr(value, name)
    return found


class _Walk:
    def __init__(self, live: Mapping[str, object] | None) -> None:
        self._live = live
        self._there: dict[int, int] = {}
        self._back: dict[int, int] = {}
        self._alive: list[object] = []  # what was made on the way keeps its identity
        self.odd: str | None = None  # the innermost object that was not the same
        self.mismatch: type | None = None  # of the first that came back as another kind
        self._key: str | None = None  # the innermost attribute

    def same(self, one: Any, other: Any) -> bool:
        kind = type(one)
        # A class that came back with its instance is another object.
        if kind is not type(other) and (kind is type or not self.same(kind, type(other))):
            self.mismatch = self.mismatch or kind
            return False
        if kind in SCALARS:
            return canonical.digest(one) == canonical.digest(other)
        if one is other:
            return True
        known = self._there.get(id(one))
        if known is not None and (known == id(other) or kind not in _NO_IDENTITY):
            return known == id(other)
        if kind not in _NO_IDENTITY and id(other) in self._back:
            return False
        self._there[id(one)] = id(other)
        self._back[id(other)] = id(one)
        self._alive += (one, other)
        return self._content(one, other, kind)

    def lost(self, one: object, other: object) -> str | None:
        """The first attribute that is not the same in both."""
        kind, there, back = type(one), _attributes(one), _attributes(other)
        for name in {**there, **back}:
            if isinstance(getattr(kind, name, None), functools.cached_property):
                continue  # made again when somebody asks
            if name not in there or name not in back:
                return name
            try:
                equal = self.same(there[name], back[name])
            except canonical.UndigestibleError:  # such as a lock that its author makes anew
                equal = type(there[name]) is type(back[name])
            if not equal:
                return name
        return None

    def _content(self, one: Any, other: Any, kind: type) -> bool:
        if kind is list or kind is tuple:
            return len(one) == len(other) and all(map(self.same, one, other))
        if kind is dict or kind is OrderedDict:
            return self._pairs(one, other)
        parts = canonical.parts_of(one), canonical.parts_of(other)
        if parts[0] is not None:
            self._alive.append(parts)
            return self.same(*parts)
        if isinstance(one, _BY_DIGEST) or canonical.is_known(kind):
            return canonical.digest(one, self._live) == canonical.digest(other, self._live)
        equal = self._object(one, other)
        if not equal and self.odd is None:
            name = full_name(kind)
            self.odd = name if self._key is None else f"{name}.{self._key}"
        return equal

    def _pairs(self, one: dict[Any, Any], other: dict[Any, Any]) -> bool:
        if len(one) != len(other):
            return False
        if all(map(self.same, one, other)):
            there: Iterable[Any] = other.values()
        # Attributes may be in another order.
        elif all(type(key) is str and key in other for key in one):
            there = map(other.__getitem__, one)
        else:
            return False
        for key, value, back in zip(one, one.values(), there, strict=True):
            if not self.same(value, back):
                if self._key is None and type(key) is str:
                    self._key = key
                return False
        return True

    def _object(self, one: object, other: object) -> bool:
        if is_users(type(one)) and (name := self.lost(one, other)) is not None:
            self._key = name
            return False
        reduced = [_reduced(one), _reduced(other)]
        self._alive += reduced
        if isinstance(reduced[0], str) or isinstance(reduced[1], str):
            return bool(reduced[0] == reduced[1])
        parts = [[*map(_listed, it[2:5]), None, None, None][:3] for it in reduced]
        self._alive += parts
        heads = [tuple(it[:2]) for it in reduced]
        return self.same(*heads) and self.same(*parts)


def _reduced(value: object) -> Any:
    """What a pickle holds of it: of an exception more than what its author or CPython says."""
    if isinstance(value, BaseException):
        reduced = rebuild.reduce_exception(value)
        if reduced is not NotImplemented:
            return reduced
    return canonical.reduce(value)


def _listed(part: Any) -> object:
    """Items come as iterators."""
    return list(part) if hasattr(part, "__next__") else part
