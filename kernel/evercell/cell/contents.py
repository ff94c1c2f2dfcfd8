"""What the variables of the project's modules hold, told apart within this process.

a notebook's or a project's object      its attributes, in depth
its function                            its defaults, what it closes over, its attributes
its class                               its attributes
a container                             its parts, in their order
a context variable, a thread's locals   the value
a functools cache                       how often it was filled
anything else                           its content; where it has none, as an opaque object
"""

from __future__ import annotations

import contextvars
import functools
import sys
import threading
import types
from collections import OrderedDict, defaultdict, deque
from itertools import chain
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from evercell.cell.covariables import observe
from evercell.codec.canonical import SCALARS, digest
from evercell.codec.definitions import is_users_module
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["fingerprints"]

_EMPTY = object()
_WIDE = 1 << 70  # integers up to which a few bytes hold them
_are_scalars = SCALARS.issuperset
# What the interpreter and the abc module note down in classes in the course of time.
_NOTED = frozenset({
    "__dict__", "__weakref__", "_abc_impl", "__slotnames__", "__annotations_cache__",
    "__signature__", "__doc__", "__module__", "__qualname__", "__static_attributes__",
    "__firstlineno__", "__parameters__", "__match_args__", "__annotate_func__",
    "__dataclass_fields__", "__dataclass_params__", "__annotations__",
})  # fmt: skip


def fingerprints(modules: Iterable[types.ModuleType]) -> dict[str, bytes]:
    """16 bytes for each variable of the modules, by its dotted name: of another value or another
    content, they differ. What several variables hold counts for the first of them. Runs no code of
    the user's but for what an object says about its pickle."""
    walk = _Walk()
    return {
        f"{module.__name__}.{name}": walk.variable(value, module.__name__)
        for module in modules
        for name, value in list(vars(module).items())
        if not (name.startswith("__") and name.endswith("__"))
    }


class _Walk:
    def __init__(self) -> None:
        self._hasher = blake3()
        self._seen: dict[int, object] = {}  # by id, which stays taken

    def variable(self, value: object, module: str) -> bytes:
        """What a variable of `module` holds."""
        if isinstance(value, type | types.FunctionType) and value.__module__ != module:
            return _identity(value)  # it counts where it was defined
        self._hasher = blake3(b"contents")
        self._add(value)
        return self._hasher.digest(16)

    def _add(self, value: Any) -> None:
        """It and all that is in it, in order. Not by recursion: it may be nested at any depth."""
        update = self._hasher.update
        left = [value]
        while left:
            value = left.pop()
            kind = type(value)
            if kind is str:
                update(value.encode(errors="surrogatepass") + b"\0")
            elif kind is int and -_WIDE <= value < _WIDE:
                update(b"\xff" + value.to_bytes(9, "big", signed=True))  # no text has this byte
            elif kind in SCALARS:
                update(digest(value))
            else:
                left.extend(reversed(self._open(value, kind)))

    def _open(self, value: Any, kind: type) -> Sequence[Any]:
        """Count an object itself; what it is made of, if it was not met before."""
        self._hasher.update(_identity(value))
        if id(value) in self._seen:
            return ()
        self._seen[id(value)] = value
        parts = _parts(value, kind)
        if parts is None:
            self._hasher.update(_leaf(value))
            return ()
        self._hasher.update(b"%d;" % len(parts))
        return parts


def _identity(value: object) -> bytes:
    return id(value).to_bytes(8, "big")


def _parts(value: Any, kind: type) -> Sequence[Any] | None:
    """What it is made of; None for what is looked at as a whole."""
    take = _PARTS.get(kind)
    if take is not None:
        return take(value)
    if isinstance(value, type):
        return _class(value) if _is_own(value.__module__) else None
    if isinstance(value, threading.local):
        return (value.__dict__,)
    return _instance(value, kind) if _is_own(str(kind.__module__)) else None


_own: dict[str, bool] = {}


def _is_own(module: str) -> bool:
    known = _own.get(module)
    if known is None:
        known = is_users_module(module)
        if module in sys.modules:
            _own[module] = known
    return known


def _function(value: types.FunctionType) -> list[Any] | None:
    if not _is_own(value.__module__ or ""):
        return None
    defaults, more = value.__defaults__ or (), value.__kwdefaults__
    if not (value.__closure__ or more or value.__dict__) and _are_scalars(map(type, defaults)):
        return [id(value.__code__), id(value.__defaults__)]
    cells = map(_content, value.__closure__ or ())
    return [id(value.__code__), value.__defaults__, more, value.__dict__, *cells]


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _class(value: type) -> list[Any]:
    own = [pair for pair in list(vars(value).items()) if pair[0] not in _NOTED]
    return [id(value.__bases__), *chain.from_iterable(own)]


def _instance(value: Any, kind: type) -> list[Any] | None:
    """Its attributes, and what it is by itself as a kind of a list or dictionary."""
    attributes = getattr(value, "__dict__", None)
    slots = [
        (name, getattr(value, name, _EMPTY))
        for base in kind.__mro__
        for name, member in vars(base).items()
        if isinstance(member, types.MemberDescriptorType)
    ]
    parts = [attributes, *chain.from_iterable(slots)]
    base: Any
    for base in (list, tuple, set, frozenset, deque):
        if isinstance(value, base):
            return [*parts, *base.__iter__(value)]
    if isinstance(value, dict):
        return [*parts, *chain.from_iterable(list(dict.items(value)))]
    return parts if attributes is not None or slots else None


def _leaf(value: Any) -> bytes:
    """A library's object, by its content if it has one."""
    if isinstance(value, types.ModuleType | type | types.FunctionType | types.BuiltinFunctionType):
        return b""
    try:
        return digest(value)
    except NotStorableError:
        seen = observe({"value": value}, {})
        return b"" if seen.volatile else seen.digest


def _flat(value: Any) -> list[Any]:
    return [part for pair in list(value.items()) for part in pair]


def _cache(value: Any) -> tuple[Any, ...]:
    info = value.cache_info()
    return info.misses, info.currsize, value.__wrapped__, value.__dict__


_PARTS: dict[type, Callable[[Any], Sequence[Any] | None]] = {
    **dict.fromkeys((list, tuple, deque, set, frozenset), list),
    **dict.fromkeys((dict, defaultdict, OrderedDict, types.MappingProxyType), _flat),
    types.FunctionType: _function,
    staticmethod: lambda value: (value.__func__,),
    classmethod: lambda value: (value.__func__,),
    types.MethodType: lambda value: (value.__func__, value.__self__),
    property: lambda value: (value.fget, value.fset, value.fdel),
    contextvars.ContextVar: lambda value: (value.get(None),),
    functools._lru_cache_wrapper: _cache,
    functools.partial: lambda value: (value.func, value.args, value.keywords),
    types.SimpleNamespace: lambda value: (vars(value),),
}
