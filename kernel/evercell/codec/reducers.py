"""How single types are reduced: what is refused, and arrays that share memory.

Arrays: a numpy view is written as a view of the array that owns the memory, so that one stream
keeps the sharing. The blocks of pandas objects are written as copies, because copy-on-write makes
each of them behave as one. `Arrays` remembers the memory that was met, so that sharing which a
stream can't express (a numpy view of a DataFrame's block) is noticed and not stored.
"""

from __future__ import annotations

import collections
import functools
import gc
import io
import sys
import types
import typing
import weakref
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any

from evercell.codec import rebuild
from evercell.codec.annotations import without_line
from evercell.codec.identities import number_of
from evercell.codec.tables import is_exact, is_listed, lost_attributes
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.codec.pickler import Pickler

__all__ = ["REDUCERS", "REFUSED", "REFUSED_NAMES", "Arrays", "Span", "sharing"]

# (first address, address after the last, id of the owner, "numpy" or "pandas")
Span = tuple[int, int, int, str]

_FILE = "an open file is never reopened"
_VIEW = "it is a view of a dict, which would be lost"
_WEAK = "a weak reference has nothing to hold on to"
REFUSED: dict[type, str] = {
    memoryview: "a memoryview shares memory that would be lost",
    io.TextIOWrapper: _FILE,
    io.BufferedReader: _FILE,
    io.BufferedWriter: _FILE,
    io.BufferedRandom: _FILE,
    io.FileIO: _FILE,
    type({}.keys()): _VIEW,
    type({}.values()): _VIEW,
    type({}.items()): _VIEW,
    type(collections.OrderedDict().keys()): _VIEW,
    type(collections.OrderedDict().values()): _VIEW,
    type(collections.OrderedDict().items()): _VIEW,
    weakref.ref: _WEAK,
    weakref.WeakSet: _WEAK,
    weakref.WeakKeyDictionary: _WEAK,
    weakref.WeakValueDictionary: _WEAK,
    weakref.ProxyType: _WEAK,
    weakref.CallableProxyType: _WEAK,
    types.FrameType: "a frame can't be stored",
}

# The same for classes whose module is not loaded for it.
REFUSED_NAMES: dict[tuple[str, str], str] = {
    ("tempfile", "TemporaryDirectory"): "a temporary folder goes with its process",
    ("multiprocessing.shared_memory", "SharedMemory"): "shared memory goes with its process",
}


def _cell(pickler: Pickler, cell: types.CellType) -> Any:
    try:
        content = cell.cell_contents
    except ValueError:
        return rebuild.make_cell, ()
    cls = pickler.class_dicts.owner(content)
    if cls is not None:
        return rebuild.make_cell, (), cls, None, None, rebuild.set_class_cell
    return rebuild.make_cell, (), (without_line(content),), None, None, rebuild.set_cell


def _module(pickler: Pickler, module: types.ModuleType) -> Any:
    name = module.__name__
    if sys.modules.get(name) is not module or name == "__main__":
        raise NotStorableError(f"module {name} was not imported by its name")
    pickler.modules.add(name)
    return NotImplemented


def _lru_cache(pickler: Pickler, cached: Any) -> Any:
    name = pickler.name_of(cached)
    if name is not None:
        return pickler.by_name(cached, name)
    if importable_attribute(cached):
        pickler.modules.add(cached.__module__)
        return NotImplemented
    if cached.cache_info().currsize:
        raise NotStorableError("what a functools cache remembers can't be read")
    state = dict(vars(cached))
    return rebuild.make_lru_cache, (cached.__wrapped__, cached.cache_parameters()), state


def _typevar(pickler: Pickler, variable: Any) -> Any:
    name = pickler.name_of(variable)
    if name is not None:
        return pickler.by_name(variable, name)
    if importable_attribute(variable, variable.__name__):
        return NotImplemented
    options = {"covariant": variable.__covariant__, "contravariant": variable.__contravariant__}
    if variable.__bound__ is not None:
        options["bound"] = variable.__bound__
    if getattr(variable, "__infer_variance__", False):  # from CPython 3.12 on
        options["infer_variance"] = True
    if sys.version_info >= (3, 13) and variable.has_default():
        options["default"] = variable.__default__
    return rebuild.make_typevar, (
        variable.__name__,
        variable.__constraints__,
        options,
        variable.__module__,
    )


def _mapping_proxy(_pickler: Pickler, proxy: Any) -> Any:
    (mapping,) = gc.get_referents(proxy)  # the very dict, so that it stays shared
    return types.MappingProxyType, (mapping,)


def _property(_pickler: Pickler, value: property) -> Any:
    if type(value) is not property:
        return NotImplemented
    return property, (value.fget, value.fset, value.fdel, value.__doc__)


def _cached_property(_pickler: Pickler, value: Any) -> Any:
    # Its lock (up to 3.11) is no part of what it is.
    return rebuild.make_cached_property, (value.func, value.attrname, value.__doc__)


def _partial_method(_pickler: Pickler, value: Any) -> Any:
    # CPython 3.14 gives it a __new__ that wants to know the function, and no way to be pickled.
    arguments = (value.func, value.args, value.keywords)
    return rebuild.make_partial_method, arguments, dict(vars(value))


def importable_attribute(value: Any, name: str | None = None) -> bool:
    """Whether an importable module other than __main__ has `value` under its name."""
    if value.__module__ == "__main__":
        return False
    found: object = sys.modules.get(value.__module__)
    for part in (name or value.__qualname__).split("."):
        found = getattr(found, part, None)
    return found is value


REDUCERS: dict[type, Callable[[Pickler, Any], Any]] = {
    types.CellType: _cell,
    types.ModuleType: _module,
    functools._lru_cache_wrapper: _lru_cache,
    typing.TypeVar: _typevar,
    property: _property,
    functools.cached_property: _cached_property,
    functools.partialmethod: _partial_method,
    types.MappingProxyType: _mapping_proxy,
}


class Arrays:
    """The array memory of one stream."""

    __slots__ = ("_blocks", "_kept", "borrowed", "plain", "spans")

    def __init__(self) -> None:
        self.plain = True  # no array but those that own plain memory
        self.spans: list[Span] = []
        self.borrowed: set[int] = set()  # of bytearrays and the like that arrays look into
        self._kept: list[object] = []
        self._blocks: set[int] = set()  # arrays that were taken out of pandas objects

    def reduce(self, obj: Any, kind: type) -> Any:
        """numpy arrays and pandas blocks; NotImplemented for anything else."""
        numpy = sys.modules.get("numpy")
        if numpy is None or not hasattr(numpy, "ndarray"):
            return NotImplemented
        if kind is numpy.ndarray:
            return self._array(obj, numpy)
        if issubclass(kind, numpy.memmap):
            raise NotStorableError("a memory-mapped file is never reopened")
        if issubclass(kind, numpy.ndarray):
            self._remember(obj, id(obj), "numpy")
            self.plain = False
            return NotImplemented
        if concerns_arrays(kind):
            return self._pandas(obj, kind, numpy)
        return NotImplemented

    def _pandas(self, obj: Any, kind: type, numpy: Any) -> Any:
        if lost := lost_attributes(obj, kind):
            raise NotStorableError(f"pandas does not store its attribute {lost[0]}")
        if not is_exact(obj, kind):
            self.plain = False
        internals = sys.modules["pandas.core.internals"]
        if issubclass(kind, internals.SingleBlockManager):
            # Its own state would write the array past its block.
            return kind, (obj.blocks[0], obj.axes[0])
        if issubclass(kind, internals.blocks.Block):
            return self._block(obj, numpy)
        return NotImplemented

    def _array(self, array: Any, numpy: Any) -> Any:
        if id(array) in self._blocks:
            return NotImplemented
        root = array
        while True:
            base = root.base
            if type(base).__name__ == "DummyArray":  # numpy.lib.stride_tricks puts it between
                base = base.base
            if not isinstance(base, numpy.ndarray):
                break
            root = base
        self._borrow(base)
        if root is array:
            self._remember(array, id(array), "numpy")
            reduced = _owner(array, numpy)
            if reduced is NotImplemented and array.nbytes and not array.flags.writeable:
                raise NotStorableError("a read-only array of objects comes back writable")
            if reduced is NotImplemented or array.dtype.kind not in "biufcSUmM" or base is not None:
                self.plain = False
            return reduced
        self.plain = False
        if type(root) is not numpy.ndarray:
            raise NotStorableError(f"an array that shares memory with a {type(root).__name__}")
        self._remember(array, id(root), "numpy")
        offset = _address(array) - _address(root)
        if not root.transpose(rebuild.by_stride(root)).flags.c_contiguous:
            raise NotStorableError("a view of an array that is not contiguous")
        arguments = (root, array.dtype, array.shape, array.strides, offset, array.flags.writeable)
        return rebuild.make_array_view, arguments

    def _block(self, block: Any, numpy: Any) -> Any:
        function, (values, *rest), *state = block.__reduce__()
        if type(values) is numpy.ndarray:
            self._remember(values, id(block), sharing())
            contiguous = values.flags.c_contiguous or values.flags.f_contiguous
            # Another array, which is not what the block's owner is stored as, over its memory.
            values = values.view() if contiguous else values.copy(order="K")
        elif hasattr(values, "copy"):  # an extension array: its memory has one of these names
            for name in ("_ndarray", "_data", "_mask"):
                memory = getattr(values, name, None)
                if isinstance(memory, numpy.ndarray):
                    self._remember(memory, id(block), sharing())
            values = values.copy()
        self._kept.append(values)
        self._blocks.add(id(values))
        return (function, (values, *rest), *state)

    def _borrow(self, base: object) -> None:
        owner = base.obj if isinstance(base, memoryview) else base
        if type(owner).__name__ == "mmap":
            raise NotStorableError("a memory-mapped file is never reopened")
        if owner is not None:
            self.borrowed.add(number_of(owner))
            self._kept.append(owner)

    def _remember(self, array: Any, owner: int, library: str) -> None:
        if array.nbytes:
            start, stop = _bounds(array)
            self.spans.append((start, stop, owner, library))
            self._kept.append(array)


def concerns_arrays(kind: type) -> bool:
    """Whether `Arrays` looks at each object of the kind."""
    numpy = sys.modules.get("numpy")
    if numpy is not None and issubclass(kind, getattr(numpy, "ndarray", ())):
        return True
    # A class may have None for its module, as sympy's functions have.
    return is_listed(kind) or str(kind.__module__).startswith("pandas.")


def _owner(array: Any, numpy: Any) -> Any:
    """An array that owns its memory comes back as one that does: numpy's own way gives a view of
    the loaded bytes, which can't be resized."""
    stored = array.transpose(rebuild.by_stride(array))
    if array.dtype.hasobject or not array.nbytes or not stored.flags.c_contiguous:
        return NotImplemented
    data = PickleBuffer(stored.reshape(-1).view(numpy.uint8))
    writable = array.flags.writeable
    return rebuild.make_array, (array.dtype, array.shape, array.strides, writable, data)


def sharing() -> str:
    """ "pandas" where copy-on-write makes blocks independent; before pandas 3 it is an option."""
    pandas = sys.modules["pandas"]
    if int(pandas.__version__.partition(".")[0]) >= 3:
        return "pandas"
    return "pandas" if pandas.options.mode.copy_on_write is True else "numpy"


def _address(array: Any) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _bounds(array: Any) -> tuple[int, int]:
    start = stop = _address(array)
    for size, stride in zip(array.shape, array.strides, strict=True):
        reach = (size - 1) * stride
        start, stop = (start + reach, stop) if reach < 0 else (start, stop + reach)
    return start, stop + array.itemsize
