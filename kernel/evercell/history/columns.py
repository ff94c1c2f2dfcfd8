"""Columns that grow: the values of one part of the rows after another, packed as Arrow has them.

    values ─ all the same, and as those before? ─┬─ yes: one value and a count
                                                 └─ no: numbers, or bytes and where each one ends

A fold may have a million rows. What stays of each is some bytes in a buffer, so that the objects of
a part are gone before those of the next one are made: fresh memory costs as much as decoding.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate, chain, islice, pairwise
from struct import Struct
from typing import Any, Literal, NamedTuple

__all__ = ["KINDS", "Batch", "Column", "Items", "Kind", "Values", "common_length"]

Kind = Literal["text", "blob", "int", "bigint", "bool", "texts"]

# What a column of `store.event` holds; the others hold text.
KINDS: dict[str, Kind] = {
    "position": "bigint", "generation": "int", "seq": "bigint", "at_ns": "bigint", "tag": "blob",
    "block": "bigint", "key": "blob", "ordinal": "int", "at_most_once": "bool", "attempt": "int",
    "duration_ns": "bigint", "retry_delay_ns": "bigint", "payload_id": "blob",
    "payload_size": "bigint", "payload_data": "blob", "answered": "texts", "body": "blob",
}  # fmt: skip

Values = Mapping[str, Sequence[Any]]
"""Rows of `store.event` by column, of one length, at least 1; those that are absent are null."""

_NUMBERS = frozenset({"int", "bigint", "bool"})
_EMPTY: dict[Kind, Any] = {"text": "", "blob": b"", "texts": ()}


_TOGETHER = 256  # items that are cut out at once, where all are of one length


class Items(NamedTuple):
    """Texts (as UTF-8) or blobs, one behind the other."""

    ends: array[int]  # of each one in `data`, after a 0
    data: bytes | bytearray

    def at(self, row: int) -> bytes:
        """The item in this row."""
        return bytes(self.data[self.ends[row] : self.ends[row + 1]])

    def cut(self, first: int, end: int) -> list[bytes]:
        """The items from row `first` on, up to the one before `end`."""
        data = bytes(self.data)  # itself, unless it still grows
        items: list[bytes] = []
        for begin in range(first, end, _TOGETHER):
            ends = self.ends[begin : min(begin + _TOGETHER, end) + 1]
            if length := common_length(ends):  # as nearly all ids and keys: twice as quick
                items += _cutter(length, len(ends) - 1).unpack_from(data, ends[0])
            else:
                items += [data[start:stop] for start, stop in pairwise(ends)]
        return items

    def texts(self, first: int, end: int) -> list[str]:
        """The same of texts."""
        begin = self.ends[first]
        text = self.data[begin : self.ends[end]].decode()
        if not text.isascii():  # characters are not bytes
            return [item.decode() for item in self.cut(first, end)]
        places = pairwise(self.ends[first : end + 1])
        return [text[start - begin : stop - begin] for start, stop in places]


def common_length(ends: array[int]) -> int:
    """The length of all items with these ends, at least one; 0 where they differ, or are empty."""
    begin, stop = ends[0], ends[-1]
    length = ends[1] - begin
    if not length or length * (len(ends) - 1) != stop - begin:
        return 0
    return length if ends == array(ends.typecode, range(begin, stop + 1, length)) else 0


@lru_cache(maxsize=64)
def _cutter(length: int, count: int) -> Struct:
    return Struct(f"{length}s" * count)


def _joined(kind: Kind, values: Sequence[Any]) -> tuple[list[int], bytes]:
    if kind == "blob":
        return list(map(len, values)), b"".join(values)
    text = "".join(values)
    if text.isascii():
        return list(map(len, values)), text.encode()
    encoded = [value.encode() for value in values]
    return list(map(len, encoded)), b"".join(encoded)


def _ends(lengths: list[int], base: int) -> array[int]:
    """Where items of these lengths end, the first of which begins at `base`."""
    length = lengths[0] if lengths else 0
    if length and lengths.count(length) == len(lengths):  # as those of nearly all ids and keys
        return array("q", range(base + length, base + length * len(lengths) + 1, length))
    return array("q", islice(accumulate(lengths, initial=base), 1, None))


class Column:
    """A column of one kind. `constant` is what all rows have, unless it `varies`."""

    __slots__ = ("constant", "data", "ends", "items", "kind", "nulls", "numbers", "rows", "varies")

    def __init__(self, kind: Kind, values: Sequence[Any] = ()) -> None:
        self.kind: Kind = kind
        self.rows = 0
        self.constant: Any = None
        self.varies = False
        # All are wide: narrow ones take twice as long to fill.
        self.numbers: array[int] = array("q")  # of bool: flags
        self.ends: array[int] = array("q", (0,))  # of text, blob, texts
        self.data = bytearray()  # of text, blob
        self.items: Column | None = None  # of texts
        self.nulls: bytearray | None = None  # a flag a row, if there are any
        if values:
            self.add(values)

    def add(self, values: Sequence[Any]) -> None:
        """Append the values of further rows, at least one. Raises TypeError, OverflowError for
        those that are not of the kind."""
        first, count = values[0], len(values)
        same = values[-1] == first and values.count(first) == count
        if same and not self.varies and (self.rows == 0 or first == self.constant):
            self.constant = first
            self.rows += count
            return
        if not self.varies:
            self.varies = True
            if self.rows:
                self._append([self.constant] * self.rows)
        self._append(values)
        self.rows += count

    def _append(self, values: Sequence[Any]) -> None:
        try:
            self._pack(values)
        except TypeError:  # there is None among them, nearly never; looking costs as much as this
            absent = [value is None for value in values]
            if True not in absent:
                raise
            if self.nulls is None:
                self.nulls = bytearray(self._packed)
            empty = _EMPTY.get(self.kind, 0)
            self.nulls += bytes(absent)
            self._pack([empty if value is None else value for value in values])
        else:
            if self.nulls is not None:
                self.nulls += bytes(len(values))

    @property
    def _packed(self) -> int:
        return len(self.numbers) if self.kind in _NUMBERS else len(self.ends) - 1

    def _pack(self, values: Sequence[Any]) -> None:
        if self.kind in _NUMBERS:
            self.numbers.extend(array("q", values))
        elif self.kind == "texts":
            lengths = list(map(len, values))
            self.items = self.items or Column("text")
            self.items.extend(list(chain.from_iterable(values)))
            self.ends.extend(_ends(lengths, self.ends[-1]))
        else:
            lengths, data = _joined(self.kind, values)
            self.ends.extend(_ends(lengths, self.ends[-1]))
            self.data += data

    def extend(self, values: Sequence[Any]) -> None:
        """`add`, perhaps of nothing, and packed in any case."""
        self.varies = True
        self._append(values)
        self.rows += len(values)

    def behind(self, row: int) -> array[int] | Items:
        """The rows from `row` on, at least one; null is as empty, or 0."""
        if not self.varies:
            return self._alike(self.rows - row)
        if self.kind in _NUMBERS:
            return self.numbers[row:]
        return Items(self.ends[row:], self.data)

    def _alike(self, rows: int) -> array[int] | Items:
        one = self.constant
        if self.kind in _NUMBERS:
            return array("q", (one or 0,)) * rows
        item = one.encode() if isinstance(one, str) else one or b""
        return Items(array("q", (0, *_ends([len(item)] * rows, 0))), item * rows)


class Batch:
    """Rows of `store.event` that fill the same columns."""

    __slots__ = ("columns",)

    def __init__(self, values: Values | None = None) -> None:
        self.columns: dict[str, Column] = {}
        if values:
            self.add(values)

    @property
    def rows(self) -> int:
        """How many there are."""
        return next(iter(self.columns.values())).rows if self.columns else 0

    def add(self, values: Values) -> None:
        """Append rows; several calls with different columns may do."""
        for name, own in values.items():
            column = self.columns.get(name)
            if column is None:
                column = self.columns[name] = Column(KINDS.get(name, "text"))
            column.add(own)
