"""Pickle protocol 5 that knows the live namespace.

    dump(value, live)   -> Dumped: the stream, its out-of-band buffers, and what was met on the way
    load(stream, ...)   -> the value, its functions reading the live namespace

What differs from cloudpickle, and why:
- A function of the notebook comes back with the live namespace as its globals, so that a later
  rebinding of a global is seen.
- A function, class or step that the namespace holds under its own name is stored by that name,
  except as that name's own value (`own`): one definition, and no class state that a later load
  applies again.
- Closure cells are objects: two functions that share one go on sharing it.
- A numpy view is a view of its base again.
- What would come back as something else (an open file, a memoryview, a weak reference) is refused.
- A NaN is the same object again: see nans.py.
"""

from __future__ import annotations

import copyreg
import gc
import io
import pickle
import sys
import types
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any

import cloudpickle
import msgspec
from blake3 import blake3
from msgspec.structs import replace

from evercell.codec import rebuild
from evercell.codec.annotations import ClassDicts
from evercell.codec.blame import full_name, summary, why_not_pickled
from evercell.codec.buffers import own_memory
from evercell.codec.code import Positions, marshal_code, positions_of
from evercell.codec.definitions import (
    check_class,
    class_attributes,
    enum_parts,
    function_state,
    given_at_making,
    importable,
)
from evercell.codec.identities import Met, is_plain, look_at, number_of, walk
from evercell.codec.nans import NanIds, holds_nan
from evercell.codec.reducers import (
    REDUCERS,
    REFUSED,
    REFUSED_NAMES,
    Arrays,
    concerns_arrays,
)
from evercell.codec.streams import content
from evercell.codec.unpickling import Unpickler
from evercell.errors import EvercellError, NotStorableError, RestoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from evercell.codec.buffers import Buffer

__all__ = ["Dumped", "Pickler", "dump", "load"]

_NOTHING_OWN: dict[str, object] = {}
_MISSING = object()
_SMALL = 8192  # bytes of a pickle that are read again by Python code, at a microsecond for ten


class Dumped(msgspec.Struct, frozen=True):
    """A stored value. `main` decides its version; positions in source files don't."""

    main: bytes
    positions: bytes
    buffers: tuple[memoryview, ...]
    names: frozenset[str]  # of the namespace, referred to by name
    codes: tuple[types.CodeType, ...]  # of the notebook's functions in the stream
    step_codes: tuple[types.CodeType, ...]  # of the bodies of steps
    modules: frozenset[str]
    met: Met  # the objects
    arrays: Arrays

    @property
    def plain(self) -> bool:
        """Whether it comes back exactly without a proof."""
        return self.met.plain and self.arrays.plain

    @property
    def stream(self) -> bytes:
        """What `load` wants: the pickle, the positions, the length of the positions."""
        return b"".join((self.main, self.positions, len(self.positions).to_bytes(4, "big")))

    def digest(self) -> bytes:
        """16 bytes over the content.

        A class or an instance that was loaded has other strings as one object than a fresh one.
        """
        small = self.met.kinds and len(self.main) <= _SMALL
        return self._hash(content(self.main) if small else self.main)

    def content_of_buffers(self) -> bytes:
        """16 bytes over what is beside the stream."""
        return self._hash(b"")

    def _hash(self, main: bytes) -> bytes:
        hasher = blake3(main)
        for buffer in self.buffers:
            hasher.update(b"buffer" + buffer.nbytes.to_bytes(8, "big"))
            hasher.update(buffer)
        return hasher.digest(16)


def dump(
    value: object,
    live: dict[str, Any],
    *,
    own: Mapping[str, object] = _NOTHING_OWN,
    out_of_band: bool = False,
    pickler: type[Pickler] | None = None,
) -> Dumped:
    """Pickle `value`. `own` holds the variables that are being stored themselves: their functions
    and classes are written by definition. Raises NotStorableError."""
    make = pickler or Pickler
    found = _write(make, value, live, own, out_of_band=out_of_band)
    # Pickle writes floats by value, and asking for each object which one it is would take longer
    # than writing it. So this is done a second time where it matters.
    if make is Pickler and holds_nan(found.main):
        return _write(NanPickler, value, live, own, out_of_band=out_of_band)
    return found


def _write(
    make: Callable[..., Pickler],
    value: object,
    live: dict[str, Any],
    own: Mapping[str, object],
    *,
    out_of_band: bool,
) -> Dumped:
    buffers: list[memoryview] = []

    def beside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < rebuild.OUT_OF_BAND:
            return True
        buffers.append(raw)
        return False

    file = io.BytesIO()
    writer = make(file, live, own, beside if out_of_band else None)
    try:
        # Each look of the collector at a million objects costs as much as pickling them.
        with _uncollected():
            writer.dump(value)
        positions = pickle.dumps(tuple(writer.positions), 5)
    except EvercellError:
        raise
    except Exception as error:
        raise NotStorableError(why_not_pickled(error, writer.latest)) from error
    with _uncollected():
        met = writer.met(value)
    return Dumped(
        file.getvalue(),
        positions,
        tuple(buffers),
        frozenset(writer.names),
        tuple(writer.codes),
        tuple(writer.step_codes),
        frozenset(writer.modules),
        met,
        writer.arrays,
    )


def load(
    stream: Buffer,
    buffers: Sequence[Buffer],
    live: dict[str, Any],
    resolve: Callable[[str], Any] | None = None,
    *,
    owned: bool = False,
    unpickler: Callable[..., Unpickler] = Unpickler,
) -> Any:
    """The value that `dump` stored. `resolve` finds what is stored by name (default: in `live`).
    Buffers that are bytearrays or private mappings become part of the value; others are copied,
    unless they are `owned`: memory that can be written and that nobody else has.

    Raises RestoreError; nothing in `live` is touched.
    """
    try:
        size = int.from_bytes(stream[-4:], "big")
        positions = pickle.loads(stream[len(stream) - 4 - size : -4])
        # Whole, for bytes are shared, not copied; the pickle says itself where it ends.
        file = io.BytesIO(stream)
        own = buffers if owned else [own_memory(buffer) for buffer in buffers]
        return _read(unpickler(file, live, positions, resolve, own), large=bool(own))
    except EvercellError:
        raise
    except Exception as error:
        raise RestoreError(
            f"a recorded value can't be rebuilt: {type(error).__name__}: {summary(error)}. "
            "Is a package missing or of another version?"
        ) from error


def _read(reader: Unpickler, *, large: bool) -> Any:
    value = reader.load()
    if large:  # the memo may hold methods of its reader, and so the buffers until it is collected
        reader.memo.clear()
    return value


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection meanwhile."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Writes one value; remembers what it met."""

    def __init__(
        self,
        file: io.BytesIO,
        live: dict[str, Any],
        own: Mapping[str, object] = _NOTHING_OWN,
        buffer_callback: Callable[[pickle.PickleBuffer], bool] | None = None,
    ) -> None:
        # cloudpickle's own chain of tables is searched by Python code for every single object.
        self.dispatch_table = {**copyreg.dispatch_table, **cloudpickle.Pickler._dispatch_table}
        super().__init__(file, protocol=5, buffer_callback=buffer_callback)
        self.live = live
        self.own = own
        self.names: set[str] = set()
        self.codes: list[types.CodeType] = []
        self.step_codes: list[types.CodeType] = []
        self.modules: set[str] = set()
        self.positions: list[Positions] = []
        self.arrays = Arrays()
        self.class_dicts = ClassDicts()
        self.latest: object = None  # that is no plain one, which is blamed for what goes wrong
        self._by_value: set[int] = set()  # functions and classes written by definition
        self._by_name: set[int] = set()
        self._bodies: set[int] = set()  # functions that steps wrap
        self._plain: set[type] = set()  # kinds whose objects nobody here has a say about
        self._left_alone: set[type] = set()  # kinds that say themselves how they are pickled
        self._special: set[type] = set()  # all others that were met, but for what has a name

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind in self._plain:
            return NotImplemented
        if kind in self._left_alone:
            self.latest = obj
            return NotImplemented
        if kind is FunctionType:
            return self._function(obj)
        if isinstance(obj, type):
            return self._class(obj)
        self.latest = obj
        return self._by_kind(obj, kind)

    def _by_kind(self, obj: Any, kind: type) -> Any:
        known = kind in self._special
        self._special.add(kind)
        refused = REFUSED.get(kind) or REFUSED_NAMES.get((kind.__module__, kind.__qualname__))
        if refused is not None or kind.__module__ == "itertools":
            raise NotStorableError(refused or f"{full_name(kind)} hides how far it has run")
        reducer = REDUCERS.get(kind)
        if reducer is not None:
            return reducer(self, obj)
        if not known and is_plain(kind) and not hasattr(kind, "__evercell_step__"):
            self._plain.add(kind)
            self._special.discard(kind)
            return NotImplemented
        if isinstance(obj, BaseException):
            return rebuild.reduce_exception(obj)
        if isinstance(obj, io.IOBase) and not isinstance(obj, io.BytesIO | io.StringIO):
            raise NotStorableError("an open file is never reopened")
        if getattr(kind, "__evercell_step__", None) is True:
            return self._step(obj)
        reduced = self.arrays.reduce(obj, kind)
        if reduced is NotImplemented and not known and not concerns_arrays(kind):
            self._left_alone.add(kind)
        return reduced

    def met(self, value: object) -> Met:
        """What is in the stream of `value`."""
        if not self._special:
            return walk(value, self._plain)
        return look_at(value, self.memo.copy(), self._by_value, self._by_name)

    def name_of(self, obj: Any) -> str | None:
        """The name by which the namespace holds a function, class or step, unless it is `own`."""
        name = getattr(obj, "__qualname__", None) or getattr(obj, "__name__", None)
        if not isinstance(name, str) or self.own.get(name, _MISSING) is obj:
            return None
        return name if self.live.get(name, _MISSING) is obj else None

    def by_name(self, obj: object, name: str) -> Any:
        """The reduction of what the namespace holds under `name`."""
        self.names.add(name)
        self._by_name.add(id(obj))
        return rebuild.named, (name,)

    def _step(self, step: Any) -> Any:
        name = self.name_of(step)
        if name is not None:
            return self.by_name(step, name)
        self._bodies.add(id(step.__wrapped__))
        return NotImplemented

    def _function(self, function: FunctionType) -> Any:
        if importable(function, self.live):
            self.modules.add(function.__module__)
            return NotImplemented
        name = self.name_of(function)
        if name is not None:
            return self.by_name(function, name)
        self._by_value.add(id(function))
        self._special.add(FunctionType)
        code = function.__code__
        (self.step_codes if id(function) in self._bodies else self.codes).append(code)
        self.class_dicts.look_at(function)
        index = len(self.positions)
        self.positions.append(positions_of(code))
        scope = self._scope(function)
        return (
            rebuild.make_function,
            (marshal_code(code), index, scope, function.__name__, function.__closure__),
            function_state(function),
            None,
            None,
            rebuild.set_function,
        )

    def _scope(self, function: FunctionType) -> object:
        scope = function.__globals__
        if scope is self.live:
            return None
        module = sys.modules.get(scope.get("__name__", ""))
        if module is not None and vars(module) is scope:
            if module.__name__ == "__main__":
                raise NotStorableError("its globals are another __main__ than the notebook's")
            self.modules.add(module.__name__)
            return module.__name__
        if scope.get("__builtins__"):
            raise NotStorableError(f"function {function.__qualname__} has globals of its own")
        return scope

    def _class(self, cls: type) -> Any:
        if importable(cls, self.live):
            self.modules.add(cls.__module__)
            return super().reducer_override(cls)
        name = self.name_of(cls)
        if name is not None:
            return self.by_name(cls, name)
        if cls.__module__ in ("builtins", "types"):
            return super().reducer_override(cls)
        check_class(cls)
        self._by_value.add(id(cls))
        self._special.add(type(cls))
        self.class_dicts.add(cls)
        maker, arguments, state, *rest = super().reducer_override(cls)
        attributes = class_attributes(cls, state[0])
        if maker.__name__ == "_make_skeleton_enum":
            parts = enum_parts(cls, arguments, attributes)
            return maker, *parts, None, None, rebuild.set_enum
        # No tracking of classes: a tracked one gets its recorded state again with every load.
        arguments = (*arguments[:3], arguments[3] | given_at_making(cls), None, None)
        return (maker, arguments, (attributes, state[1]), *rest)


class NanPickler(Pickler):
    """Writes a value that holds NaNs."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._nans = NanIds()

    def persistent_id(self, obj: Any) -> Any:
        return self._nans.of(obj) if type(obj) is float and obj != obj else None  # noqa: PLR0124 - NaN

    def met(self, value: object) -> Met:
        """Also the NaNs, which variables may share as they share lists."""
        met, nans = super().met(value), self._nans.own
        return replace(met, ids=met.ids.union(map(number_of, nans)), pins=(*met.pins, *nans))
