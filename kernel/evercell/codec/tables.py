"""pandas' tables, which pickle gives back exactly if nobody has changed how they are made.

What pandas stores of a table: its blocks, its axes, `attrs` and its flags. So a table needs no
trial if it is of pandas' own class, holds nothing beside these, and its parts are proven
themselves: memory by `reducers.Arrays`, what an array of objects holds by its kinds. Each kind that
is listed here is loaded and compared by the tests.
"""

from __future__ import annotations

import copyreg
import sys

__all__ = ["is_exact", "is_listed", "lost_attributes"]

_MANAGERS = "pandas.core.internals.managers"
_BLOCKS = "pandas.core.internals.blocks"
_TABLE = frozenset({"_mgr", "_attrs", "_flags", "_name", "_item_cache", "_is_copy"})
_INDEX = frozenset({"_data", "_range", "_name", "_cache", "_id", "_references"})
_ARROW = frozenset({"_pa_array", "_dtype", "_cache"})
_HOLDS: dict[str, frozenset[str]] = {
    "DataFrame": _TABLE,
    "Series": _TABLE,
    "Index": _INDEX,
    "RangeIndex": _INDEX,
    "ArrowStringArray": _ARROW,
}
# By module and name: pandas 3 names its public classes by their public modules.
_EXACT = frozenset({
    ("pandas", "DataFrame"), ("pandas.core.frame", "DataFrame"),
    ("pandas", "Series"), ("pandas.core.series", "Series"),
    ("pandas", "Index"), ("pandas.core.indexes.base", "Index"),
    ("pandas", "RangeIndex"), ("pandas.core.indexes.range", "RangeIndex"),
    ("pandas.arrays", "ArrowStringArray"), ("pandas", "StringDtype"),
    (_MANAGERS, "BlockManager"), (_MANAGERS, "SingleBlockManager"), (_BLOCKS, "NumpyBlock"),
    (_BLOCKS, "ExtensionBlock"), (_BLOCKS, "DatetimeLikeBlock"),
    ("pandas.arrays", "DatetimeArray"), ("pandas.core.arrays.datetimes", "DatetimeArray"),
    ("pandas.arrays", "TimedeltaArray"), ("pandas.core.arrays.timedeltas", "TimedeltaArray"),
    ("pyarrow.lib", "LargeStringArray"), ("pyarrow.lib", "StringArray"),
    ("pyarrow.lib", "ChunkedArray"), ("pyarrow.lib", "DataType"), ("pyarrow.lib", "Buffer"),
})  # fmt: skip
_CACHES = frozenset({"_cacher"})  # pandas 2: a column knows the table that it was taken from
_METADATA = ((), ("_name",))  # the attributes that a class has stored beside its parts
_LIBRARIES = ("pandas.", "pyarrow.")
_WAYS = ("__reduce__", "__reduce_ex__", "__getstate__", "__setstate__", "__new__", "__init__")


def is_listed(kind: type) -> bool:
    """Whether objects of the kind are pandas' own, or pyarrow's within, and listed here."""
    module = sys.modules.get(kind.__module__)
    name = kind.__qualname__
    return (kind.__module__, name) in _EXACT and getattr(module, name, None) is kind


def is_exact(value: object, kind: type) -> bool:
    """Whether one of those is what its class says: nobody added to it, nor changed its class."""
    holds = _HOLDS.get(kind.__qualname__)
    if holds is None:
        return _is_unchanged(kind)
    return vars(value).keys() <= holds and _is_unchanged(kind) and _metadata(kind) in _METADATA


def lost_attributes(value: object, kind: type) -> list[str]:
    """What a user set on a table or an index of pandas' own class, which pandas does not store.
    What an attribute of the class has the name of is a cache, such as `plot`."""
    holds = _HOLDS.get(kind.__qualname__)
    if holds is None or not is_listed(kind):
        return []
    extra = vars(value).keys() - holds - _CACHES
    return sorted(name for name in extra if not hasattr(kind, name))


def _metadata(kind: type) -> tuple[str, ...]:
    return tuple(getattr(kind, "_metadata", ()))


def _is_unchanged(kind: type) -> bool:
    """Whether it is the library that says how its objects are pickled and made."""
    if kind in copyreg.dispatch_table:
        return False
    for name in _WAYS:
        module = getattr(getattr(kind, name, None), "__module__", None)
        if module is not None and not module.startswith(_LIBRARIES):
            return False
    return True
