"""Columns into DuckDB and out of it in bulk, through Arrow's C data interface.

    insert(connection, sql, columns)  ─ a table of them, registered as `batch` for the statement
    read(relation) ─> Chunk, Chunk, ... ─ chunk.numbers(name), chunk.items(name)

DuckDB converts Python values one by one, half a microsecond each; an Arrow column it copies as a
whole. The interface is a handful of C structs, so ctypes does and nobody needs pyarrow:
https://arrow.apache.org/docs/format/CDataInterface.html

Whoever takes a struct over copies it and calls its `release` when done. Here all memory belongs to
Python objects that outlive the statement, so releasing only marks the struct, as the rules ask.
"""

from __future__ import annotations

import ctypes
from array import array
from ctypes import CFUNCTYPE, POINTER, Structure, c_char, c_char_p, c_int, c_int64, c_void_p
from typing import TYPE_CHECKING, Any

from evercell.errors import HistoryError
from evercell.history.columns import Items

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    import duckdb

    from evercell.history.columns import Column, Kind

__all__ = ["Chunk", "insert", "joined", "read"]

_FORMATS: dict[Kind, bytes] = {
    "text": b"U", "blob": b"Z", "int": b"l", "bigint": b"l", "bool": b"b", "texts": b"+L",
}  # fmt: skip
_NUMBERS = {b"i": "i", b"l": "q"}
_ITEMS = (b"u", b"z")
_DIGITS = bytes.maketrans(b"\0\1", b"01"), bytes.maketrans(b"\1\0", b"01")
_NULLABLE = 2  # ARROW_FLAG_NULLABLE


class _Schema(Structure):
    """struct ArrowSchema: a column's, or a table's, name and type."""


class _Array(Structure):
    """struct ArrowArray: a column's buffers, or a table's columns."""


class _Stream(Structure):
    """struct ArrowArrayStream: a table in parts."""


_ReleaseSchema = CFUNCTYPE(None, POINTER(_Schema))
_ReleaseArray = CFUNCTYPE(None, POINTER(_Array))
_Schema._fields_ = [
    ("format", c_char_p),
    ("name", c_char_p),
    ("metadata", c_char_p),
    ("flags", c_int64),
    ("n_children", c_int64),
    ("children", POINTER(POINTER(_Schema))),
    ("dictionary", POINTER(_Schema)),
    ("release", _ReleaseSchema),
    ("private_data", c_void_p),
]
_Array._fields_ = [
    ("length", c_int64),
    ("null_count", c_int64),
    ("offset", c_int64),
    ("n_buffers", c_int64),
    ("n_children", c_int64),
    ("buffers", POINTER(c_void_p)),
    ("children", POINTER(POINTER(_Array))),
    ("dictionary", POINTER(_Array)),
    ("release", _ReleaseArray),
    ("private_data", c_void_p),
]
_Stream._fields_ = [
    ("get_schema", CFUNCTYPE(c_int, POINTER(_Stream), POINTER(_Schema))),
    ("get_next", CFUNCTYPE(c_int, POINTER(_Stream), POINTER(_Array))),
    ("get_last_error", CFUNCTYPE(c_char_p, POINTER(_Stream))),
    ("release", CFUNCTYPE(None, POINTER(_Stream))),
    ("private_data", c_void_p),
]

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [c_void_p, c_char_p, c_void_p]
_capsule_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_capsule_pointer.restype = c_void_p
_capsule_pointer.argtypes = [ctypes.py_object, c_char_p]


def _mark_schema(schema: Any) -> None:
    schema.contents.release = _ReleaseSchema()


def _mark_array(taken: Any) -> None:
    taken.contents.release = _ReleaseArray()


_release_schema = _ReleaseSchema(_mark_schema)
_release_array = _ReleaseArray(_mark_array)


# -- into DuckDB ----------------------------------------------------------------------------------


def insert(
    connection: duckdb.DuckDBPyConnection,
    sql: str,
    columns: Mapping[str, Column],
    parameters: Sequence[object] = (),
) -> None:
    """Run `sql`, which reads the table `batch`: `columns` by name, all of one length, each of which
    varies."""
    batch = _Table(columns)
    connection.register("batch", batch)
    try:
        connection.execute(sql, list(parameters))
    finally:
        connection.unregister("batch")


class _Table:
    """Columns that DuckDB can scan; they have to stay as they are meanwhile."""

    def __init__(self, columns: Mapping[str, Column]) -> None:
        self._kept: list[Any] = []  # what the structs point to
        self._rows = next(iter(columns.values())).rows
        self._fields = [self._field(name.encode(), it.kind) for name, it in columns.items()]
        self._arrays = [self._column(it) for it in columns.values()]

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        schema = self._schema(b"+s", b"", self._fields)
        whole = self._array(self._rows, [None], self._arrays)
        return (
            _new_capsule(ctypes.addressof(schema), b"arrow_schema", None),
            _new_capsule(ctypes.addressof(whole), b"arrow_array", None),
        )

    def _field(self, name: bytes, kind: Kind) -> _Schema:
        children = [self._field(b"item", "text")] if kind == "texts" else []
        return self._schema(_FORMATS[kind], name, children)

    def _column(self, column: Column) -> _Array:
        valid = None if column.nulls is None else _bits(column.nulls, zero=1)
        children: list[_Array] = []
        buffers: list[Any]
        match column.kind:
            case "int" | "bigint":
                buffers = [column.numbers]
            case "bool":
                buffers = [_bits(bytes(column.numbers.tolist()), zero=0)]
            case "texts":
                assert column.items is not None  # noqa: S101 - or none would vary
                children = [self._column(column.items)]
                buffers = [column.ends]
            case "text" | "blob":
                buffers = [column.ends, column.data]
        return self._array(column.rows, [valid, *buffers], children)

    def _schema(self, form: bytes, name: bytes, children: list[_Schema]) -> _Schema:
        pointers = (POINTER(_Schema) * len(children))(*map(ctypes.pointer, children))
        schema = _Schema(
            form, name, None, _NULLABLE, len(children), pointers, None, _release_schema, None
        )
        self._kept += [pointers, schema]
        return schema

    def _array(self, rows: int, buffers: list[Any], children: list[_Array]) -> _Array:
        places = (c_void_p * len(buffers))(*map(_address, buffers))
        pointers = (POINTER(_Array) * len(children))(*map(ctypes.pointer, children))
        nulls = 0 if buffers[0] is None else -1  # -1: not counted
        made = _Array(
            rows, nulls, 0, len(buffers), len(children), places, pointers, None, _release_array,
            None,
        )  # fmt: skip
        self._kept += [buffers, places, pointers, made]
        return made


def _address(buffer: array[int] | bytes | bytearray | None) -> int | None:
    if isinstance(buffer, array):
        return buffer.buffer_info()[0]
    if isinstance(buffer, bytearray):
        return ctypes.addressof(c_char.from_buffer(buffer)) if buffer else _address(b"")
    return ctypes.cast(c_char_p(buffer), c_void_p).value


def _bits(flags: bytes | bytearray, *, zero: int) -> bytes:
    """A bit a flag, the first one lowest; `zero`: the flag that gives 0, and the other 1."""
    text = flags[::-1].translate(_DIGITS[zero])
    return int(text or b"0", 2).to_bytes((len(flags) + 7) // 8, "little")


# -- out of DuckDB --------------------------------------------------------------------------------


class Chunk:
    """Consecutive rows of a result, copied. Nulls are not told from empty ones: have none."""

    def __init__(self, rows: int, columns: dict[str, array[int] | Items]) -> None:
        self.rows = rows
        self._columns = columns

    @property
    def names(self) -> list[str]:
        """The columns' names."""
        return list(self._columns)

    def column(self, name: str) -> array[int] | Items:
        """A column."""
        return self._columns[name]

    def forget(self, name: str) -> None:
        """Let go of a column."""
        del self._columns[name]

    def numbers(self, name: str) -> array[int]:
        """An INTEGER or BIGINT column."""
        column = self._columns[name]
        assert isinstance(column, array)  # noqa: S101 - the query says so
        return column

    def items(self, name: str) -> Items:
        """A VARCHAR or BLOB column."""
        column = self._columns[name]
        assert isinstance(column, Items)  # noqa: S101 - the query says so
        return column


def read(relation: duckdb.DuckDBPyRelation) -> Iterator[Chunk]:
    """The relation's rows in its order; every column VARCHAR, BLOB, INTEGER or BIGINT.

    Raises HistoryError for what DuckDB says while it computes them.
    """
    capsule = relation.__arrow_c_stream__()
    stream = _Stream.from_address(_capsule_pointer(capsule, b"arrow_array_stream"))
    schema, taken = _Schema(), _Array()
    _call(stream, stream.get_schema, schema)
    fields = [schema.children[n].contents for n in range(schema.n_children)]
    kinds = [(field.name.decode(), field.format) for field in fields]
    schema.release(schema)
    while True:
        _call(stream, stream.get_next, taken)
        if not taken.release:
            return
        try:
            arrays = [taken.children[n].contents for n in range(taken.n_children)]
            columns = {
                name: _copied(form, column)
                for (name, form), column in zip(kinds, arrays, strict=True)
            }
            rows = taken.length
        finally:
            taken.release(taken)
        yield Chunk(rows, columns)


def joined(chunks: Iterable[Chunk]) -> Chunk | None:
    """All rows as one chunk; None if there are none."""
    found = [chunk for chunk in chunks if chunk.rows]
    if len(found) < 2:
        return found[0] if found else None
    columns = {name: _joined([it.column(name) for it in found]) for name in found[0].names}
    return Chunk(sum(chunk.rows for chunk in found), columns)


def _joined(parts: list[array[int] | Items]) -> array[int] | Items:
    numbers: array[int] | None = None
    ends, data = array("q", [0]), []
    for part in parts:
        if isinstance(part, array):
            numbers = array(part.typecode) if numbers is None else numbers
            numbers.extend(part)
        else:
            behind = ends[-1] - part.ends[0]
            ends.extend(array("q", [behind + end for end in part.ends[1:]]))
            data.append(part.data[part.ends[0] : part.ends[-1]])
    return Items(ends, b"".join(data)) if numbers is None else numbers


def _call(stream: _Stream, function: Any, result: Structure) -> None:
    if function(stream, result) != 0:
        message = stream.get_last_error(stream) or b"no reason given"
        raise HistoryError(f"DuckDB failed while reading: {message.decode()}.")


def _copied(form: bytes, column: _Array) -> array[int] | Items:
    if form in _NUMBERS:
        return _numbers(_NUMBERS[form], column.buffers[1], column.offset, column.length)
    if form not in _ITEMS:
        raise HistoryError(f"A column of the Arrow type {form!r} can't be read.")
    ends = _numbers("i", column.buffers[1], column.offset, column.length + 1)
    if not ends[-1]:
        return Items(ends, b"")
    return Items(ends, ctypes.string_at(column.buffers[2], ends[-1]))


def _numbers(code: str, address: int, first: int, count: int) -> array[int]:
    numbers = array(code)
    numbers.frombytes(
        ctypes.string_at(address + first * numbers.itemsize, count * numbers.itemsize)
    )
    return numbers
