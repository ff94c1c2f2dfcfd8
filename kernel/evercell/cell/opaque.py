"""Watching what can't be stored: has a cell changed this client, this connection?

The observer writes a stream that nobody reads back; only its digest counts.

    a notebook's or a project's object  -> its attributes, in depth
    a library's object                  -> its type; attributes that can be stored by content, what
                                           it holds for its work (locks, sockets, pools) by identity
    what hides its state                -> volatile: changed by every cell that touches it
"""

from __future__ import annotations

import copyreg
import functools
import gc
import io
import logging
import os
import types
import weakref
from typing import TYPE_CHECKING, Any

from evercell.codec import rebuild
from evercell.codec.canonical import digest
from evercell.codec.definitions import importable, is_users
from evercell.codec.identities import number_of
from evercell.codec.pickler import Pickler
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Observer"]

_HEAP_TYPE, _IMMUTABLE_TYPE = 1 << 9, 1 << 8  # flags of a type; what is made in C lacks or has
_DEPTH = 3  # library objects inside library objects
_WALK = 2000  # objects looked at in search of the notebook's functions
_SCALARS = (type(None), bool, int, float, complex, str, bytes)
# Modules whose objects are the machinery of a client: used by every call, of no meaning after it.
_INERT_MODULES = (
    "_thread", "_ssl", "ssl", "_socket", "socket", "weakref", "_weakref", "concurrent.futures",
    "asyncio.unix_events", "asyncio.base_events", "asyncio.selector_events", "uvloop",
    "selectors", "select", "httpcore", "httpcore2", "anyio", "sniffio", "http.cookiejar",
    "urllib3", "ipykernel", "zmq", "logging", "_contextvars",
)  # fmt: skip
# Inert inside a client; as a variable of its own its state is what it is there for.
_STATEFUL = (
    "_thread._local",
    "_socket.socket",
    "socket.socket",
    "ssl.SSLSocket",
    "_contextvars.ContextVar",
)
_SHARED_CONTAINERS = (list, dict, set, tuple, frozenset)


def _same(value: Any) -> Any:
    return value


# What using a client changes in it, told apart from what changes it: opened counts, closed matters.
_USED: dict[tuple[str, object], Callable[[Any], Any]] = {
    ("httpx.Client", "_state"): lambda state: state.name == "CLOSED",
    ("httpx.AsyncClient", "_state"): lambda state: state.name == "CLOSED",
}


class Observer(Pickler):
    """Writes anything; `volatile` says that the digest means nothing."""

    def __init__(
        self,
        file: io.BytesIO,
        live: dict[str, Any],
        own: Any = None,
        buffer_callback: Callable[..., bool] | None = None,
    ) -> None:
        super().__init__(file, live, own or {}, buffer_callback)
        self.volatile = False
        self.marks: list[bytes] = []  # what secrets are known by
        self.pins: list[object] = []  # identities that count stay taken
        self.held: set[int] = set()  # numbers of what the opaque objects hold on to
        self._depth = 0
        self._written: set[int] = set()  # streams of handlers
        self._open: set[int] = set()
        self._storable: dict[int, bool] = {}
        self._walked: dict[int, list[tuple[object, bool, bool]]] = {}

    def reducer_override(self, obj: Any) -> Any:
        try:
            reduced = super().reducer_override(obj)
        except NotStorableError:
            return self._opaque(obj)
        if reduced is not NotImplemented:
            return reduced
        if isinstance(
            obj, type | types.FunctionType | types.ModuleType | types.BuiltinFunctionType
        ):
            return NotImplemented
        try:
            reducer = copyreg.dispatch_table.get(type(obj))
            reduced = obj.__reduce_ex__(5) if reducer is None else reducer(obj)
        except Exception:  # noqa: BLE001 - user code: whatever it raises, it can't be stored
            return self._opaque(obj)
        if is_users(type(obj)) or self._stores(obj):
            return self._without_stream(obj, reduced)
        return self._opaque(obj)

    def _without_stream(self, obj: object, reduced: Any) -> Any:
        """How a handler of logging is made again, without what it writes to, which is of no other
        meaning; a file it opens, and opens anew, as it needs."""
        match reduced:
            case (make, arguments, dict() as state, *rest) if isinstance(obj, logging.FileHandler):
                state = {name: value for name, value in state.items() if name != "stream"}
                return make, arguments, state, *rest
        if isinstance(obj, logging.StreamHandler):
            self._written.add(id(obj.stream))
        return reduced

    def _stores(self, obj: Any) -> bool:
        known = self._storable.get(id(obj))
        if known is None:
            trial = _Trial(self.live, self._storable)
            known = trial.stores(obj)
            self._storable[id(obj)] = known
            self.pins.append(obj)
            if known:
                inside = trial.memo.copy()
                self._storable.update(dict.fromkeys(inside, True))
                self.pins.append(inside)  # the ids stay taken
        return known

    def _opaque(self, obj: Any) -> Any:
        """A mark that stands for `obj` in the stream."""
        kind = type(obj)
        self.pins.append(obj)
        name = f"{kind.__module__}.{kind.__qualname__}"
        if isinstance(obj, type | types.FunctionType):
            return self._definition(obj)
        if hasattr(kind, "__evercell_mark__"):
            self.marks.append(obj.__evercell_mark__())
            return rebuild.named, ((name, id(obj), self.marks[-1]),)
        if isinstance(obj, weakref.ref):
            self.held.add(number_of(obj()))
        if isinstance(obj, _WEAK):
            self.held.update(map(number_of, _weakly_held(obj)))
            self.volatile = True
        written = id(obj) in self._written
        if _is_inert(kind) or written:
            stateful = written or name in _STATEFUL
            if stateful and any(obj is value for value in self.own.values()):
                self.volatile = True
            return rebuild.named, ((name, id(obj)),)
        self._find_functions(obj)
        attributes = getattr(obj, "__dict__", None)
        if not isinstance(attributes, dict) or _hides_state(kind):
            self.volatile = True
            return rebuild.named, ((name, id(obj), os.urandom(8)),)
        name = _public(kind, name)
        if id(obj) in self._open:
            return rebuild.named, ((name, id(obj)),)
        self._open.add(id(obj))
        seen = tuple(
            (key, self._attribute(_USED.get((name, key), _same)(value)))
            for key, value in sorted(attributes.items(), key=lambda item: str(item[0]))
            if not isinstance(_static(kind, key), functools.cached_property)
        )
        return rebuild.named, ((name, id(obj), seen),)

    def _definition(self, obj: Any) -> Any:
        """A class or function that can't be written: by the digest of its code and attributes."""
        self._find_functions(obj)
        try:
            content = digest(obj, self.live)
        except NotStorableError:
            self.volatile = True
            content = os.urandom(8)
        return rebuild.named, ((obj.__qualname__, id(obj), content),)

    def _attribute(self, value: Any) -> object:
        kind = type(value)
        if kind in _SCALARS or is_users(kind):
            return value
        self.pins.append(value)
        if _is_inert(kind) or kind in _SHARED_CONTAINERS:
            if kind in _SHARED_CONTAINERS and self._stores(value):
                return value
            return kind.__qualname__, id(value)
        if self._stores(value):
            return value
        if self._depth >= _DEPTH or isinstance(value, type | types.FunctionType):
            return kind.__qualname__, id(value)
        self._depth += 1
        try:
            _, (mark,) = self._opaque(value)
        finally:
            self._depth -= 1
        return mark

    def _find_functions(self, root: object) -> None:
        """The notebook's functions that `root` holds, callbacks for example: they may run, too.
        All else that it holds is noted by identity: a generator goes on reading its list. Classes
        and functions join nobody, and neither does what only they hold."""
        queue, seen, shared = [root], {id(root)}, {id(root)}
        for value in queue:
            code = self._notebook_code(value)
            if code is not None:
                self.codes.append(code)
            holds = id(value) in shared
            for inner, is_shared, is_tracked in self._edges(value) if len(seen) < _WALK else ():
                if id(inner) in seen:
                    continue
                if holds and is_shared:
                    self.held.add(number_of(inner))
                    shared.add(id(inner))
                if is_tracked:
                    seen.add(id(inner))
                    queue.append(inner)

    def _edges(self, value: object) -> list[tuple[object, bool, bool]]:
        """What `value` holds and leads further; each with whether it counts as shared, and whether
        it can hold something itself. Nested objects are walked from many of their parts."""
        known = self._walked.get(id(value))
        if known is None:
            known = [
                (inner, not isinstance(inner, type | types.FunctionType), gc.is_tracked(inner))
                for inner in _referents(value)
                if not self._leads_nowhere(inner)
            ]
            self._walked[id(value)] = known
            self.pins.append(value)
        return known

    def _notebook_code(self, value: object) -> types.CodeType | None:
        match value:
            case types.FunctionType() if value.__globals__ is self.live:
                return value.__code__
            case types.FrameType() if value.f_globals is self.live:
                return value.f_code
            case types.GeneratorType():
                return value.gi_code
            case types.CoroutineType():
                return value.cr_code
            case _:
                return None

    def _leads_nowhere(self, value: Any) -> bool:
        """Whether behind it are only modules, which everything holds, or nothing."""
        if value is self.live or isinstance(value, types.ModuleType) or type(value) in _SCALARS:
            return True
        if type(value) is dict:
            return "__spec__" in value  # a module's own
        return isinstance(value, type) and importable(value, self.live)


class _Trial(Pickler):
    """Finds out whether something can be stored. In a library's objects everything may hold
    everything, so what is known is not gone through again."""

    def __init__(self, live: dict[str, Any], known: Mapping[int, bool]) -> None:
        super().__init__(_Nowhere(), live)
        self._known = known

    def stores(self, obj: object) -> bool:
        try:
            self.dump(obj)
        except Exception:  # noqa: BLE001 - user code: whatever it raises, it can't be stored
            return False
        return True

    def reducer_override(self, obj: Any) -> Any:
        known = self._known.get(id(obj))
        if known is None:
            return super().reducer_override(obj)
        if known:
            return tuple, ()
        raise NotStorableError("it holds what can't be stored")


_WEAK = (weakref.WeakValueDictionary, weakref.WeakKeyDictionary)


class _Nowhere(io.BytesIO):
    """Takes what is written, and keeps nothing."""

    def write(self, data: Any, /) -> int:
        return memoryview(data).nbytes


def _weakly_held(known: Any) -> list[object]:
    """What a weak dict knows."""
    return list(known.values() if isinstance(known, weakref.WeakValueDictionary) else known)


def _referents(value: object) -> list[object]:
    found: list[object] = gc.get_referents(value)
    if isinstance(value, weakref.ref):
        found.append(value())
    return found


def _public(kind: type, name: str) -> str:
    """A library's own subclass (openai's default client) goes by the class that it builds on."""
    known = {f"{b.__module__}.{b.__qualname__}" for b in kind.__mro__} & {n for n, _ in _USED}
    return next(iter(known), name)


def _static(kind: type, name: object) -> object:
    for base in kind.__mro__:
        if name in vars(base):
            return vars(base)[name]  # type: ignore[index]
    return None


def _is_inert(kind: type) -> bool:
    module = str(kind.__module__)
    return module.startswith(_INERT_MODULES) and any(
        module == name or module.startswith(f"{name}.") for name in _INERT_MODULES
    )


def _hides_state(kind: type) -> bool:
    """Whether a class builds on C state beyond what `object` has: a cursor, a file, a process."""
    if kind.__module__ == "subprocess":
        return True
    return any(
        not base.__flags__ & _HEAP_TYPE or base.__flags__ & _IMMUTABLE_TYPE
        for base in kind.__mro__
        if base is not object
    )
