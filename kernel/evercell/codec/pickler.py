"""What writes a value: a pickler that knows the live namespace.

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
import io
import sys
import types
from types import FunctionType
from typing import TYPE_CHECKING, Any, Protocol

import cloudpickle
from msgspec.structs import replace

from evercell.codec import rebuild
from evercell.codec.annotations import ClassDicts
from evercell.codec.blame import full_name
from evercell.codec.code import Positions, marshal_code, positions_of
from evercell.codec.definitions import (
    check_class,
    class_attributes,
    enum_parts,
    function_state,
    given_at_making,
    importable,
    is_users,
)
from evercell.codec.identities import Met, is_plain, look_at, number_of, walk
from evercell.codec.nans import NanIds
from evercell.codec.reducers import (
    REDUCERS,
    REFUSED,
    REFUSED_NAMES,
    Arrays,
    concerns_arrays,
)
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    import pickle
    from collections.abc import Callable, Mapping

__all__ = ["APART", "NOTHING_OWN", "ApartPickler", "File", "NanPickler", "Pickler"]

APART = 1 << 20  # bytes from which a bytes object or a bytearray travels beside the stream
NOTHING_OWN: dict[str, object] = {}
_MISSING = object()


class File(Protocol):
    """What pickle writes to."""

    def write(self, data: bytes, /) -> object: ...


class Pickler(cloudpickle.Pickler):  # type: ignore[misc]
    """Writes one value; remembers what it met."""

    def __init__(
        self,
        file: File,
        live: dict[str, Any],
        own: Mapping[str, object] = NOTHING_OWN,
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
        self.ending: str | None = None  # a class of the user's that has a `__del__`
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
        if not known and hasattr(kind, "__del__") and is_users(kind):
            self.ending = kind.__qualname__
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


class ApartPickler(NanPickler):
    """Writes a value that holds large bytes objects or bytearrays: they go into `buffers`, which
    the memory of arrays goes into as well, in the order in which a reader comes to them."""

    buffers: list[memoryview]

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._numbers: dict[int, int] = {}
        self._pins: list[object] = []  # ids stay taken

    def persistent_id(self, obj: Any) -> Any:
        kind = type(obj)
        if (kind is not bytes and kind is not bytearray) or len(obj) < APART:
            return super().persistent_id(obj)
        number = self._numbers.get(id(obj))
        if number is None:
            number = self._numbers[id(obj)] = len(self._numbers)
            self._pins.append(obj)
            self.buffers.append(memoryview(obj))
        return kind.__name__, number
