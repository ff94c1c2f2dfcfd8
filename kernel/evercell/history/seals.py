"""Steps' rows, of which there are many, are proved in blocks: one seal for about 256 rows.

    fold      rows of one type, run and slot, in order ─ blocks ─ a seal of each, in its first row
    reading   the rows of a block, in order ─ the same message? ─ all of them hold, or none does

The column `block` is the seq of a block's first row, whose `tag` is the seal; the tags of the
others are empty. A block never holds rows of two runs, so that a run that is deleted, exported or
imported takes nobody's proof along. A changed row takes that of its block.
"""

from __future__ import annotations

import sys
from array import array
from itertools import chain, compress, pairwise
from operator import ne, or_, sub
from typing import TYPE_CHECKING, Any

from evercell import events as e
from evercell.history.arrow import joined, read
from evercell.history.columns import Batch, Items, common_length

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from evercell.history.arrow import Chunk
    from evercell.history.columns import Values
    from evercell.history.keys import UserKey
    from evercell.history.queries import Check

    Packed = array[int] | Items

__all__ = [
    "COVERED",
    "Place",
    "block_message",
    "block_starts",
    "proved_blocks",
    "seal_rows",
    "sealed_message",
]

SIZE = 256  # rows of a block, about
_WINDOW_ROWS = 131_072  # that are looked at together, at about this many
_WINDOW_BYTES = 64 << 20  # of results

COVERED: dict[str, tuple[str, ...]] = {
    "StepStarted": ("seq", "activity_id", "key", "ordinal", "at_most_once"),
    "StepCompleted": (
        "seq", "activity_id", "attempt", "codec", "payload_id", "payload_size", "payload_data",
    ),
}  # fmt: skip
"""By type of event, what a seal covers of each row, behind what all rows of a block share: their
type, their run, and the slot of those that have one."""

Place = tuple[str, str, int]
"""Which block: its run, its rows' type, and the seq of its first row."""

Message = tuple[object, ...]
Shared = tuple[str, str, str]
"""What all rows of a block have: their type, their run and their slot, "" if they have none."""
Sealed = e.StepStarted | e.StepCompleted


def block_message(shared: Shared, columns: Sequence[Packed], first: int, end: int) -> Message:
    """What the seal of the rows from `first` up to the one before `end` says. `columns` are those
    of `COVERED`, null as empty or 0. A result whose bytes are a file's has none here: its size
    tells it from an empty one."""
    message: list[object] = [*shared]
    for column in columns:
        if isinstance(column, Items):
            message += _items(column.ends[first : end + 1], column.data)
        else:
            message.append(_bytes(column[first:end]))
    return tuple(message)


def _items(ends: array[int], data: bytes | bytearray) -> tuple[object, object]:
    """The items between these ends: their lengths, or the one that they have in common, and all
    of them as one."""
    all_of_them = data[ends[0] : ends[-1]]
    length = common_length(ends)
    return length or _bytes(array("q", map(sub, ends[1:], ends))), all_of_them


def _bytes(numbers: array[int]) -> bytes:
    wide = numbers if numbers.typecode == "q" else array("q", numbers)
    if sys.byteorder == "big":
        wide = wide[:]
        wide.byteswap()
    return wide.tobytes()


def sealed_message(rows: Sequence[tuple[int, Sealed]]) -> Message:
    """What the seal of a block of these rows says, each given as its seq and its event."""
    first = rows[0][1]
    kind, slot = type(first).__name__, first.slot if isinstance(first, e.StepStarted) else ""
    values = zip(*(_covered(*row) for row in rows), strict=True)
    batch = Batch(dict(zip(COVERED[kind], values, strict=True)))
    return block_message((kind, first.run_id, slot), _packed(kind, batch, 0), 0, len(rows))


def _covered(seq: int, event: Sealed) -> tuple[Any, ...]:
    if isinstance(event, e.StepStarted):
        return seq, event.activity_id, event.key, event.ordinal, event.at_most_once
    result = event.result
    parts = result.codec, result.id, result.size, result.data
    return seq, event.activity_id, event.attempt, *parts


def _packed(kind: str, batch: Batch, row: int) -> list[Packed]:
    return [batch.columns[name].behind(row) for name in COVERED[kind]]


def seal_rows(
    kind: str, values: Values, key: UserKey, packed: Batch | None = None
) -> tuple[list[int], list[bytes]]:
    """The columns `block` and `tag` of rows of this type, which are in a journal's order, and the
    last ones of `packed`."""
    runs = values["run_id"]
    slots = values["slot"] if kind == "StepStarted" else [""] * len(runs)
    covered = {name: values[name] for name in COVERED[kind]}
    if _are_same(runs) and _are_same(slots):
        return _seal((kind, runs[0], slots[0]), covered, key, packed)
    blocks, tags = [0] * len(runs), [b""] * len(runs)
    places: dict[tuple[str, str], list[int]] = {}
    for number, place in enumerate(zip(runs, slots, strict=True)):
        places.setdefault(place, []).append(number)
    for (run_id, slot), own in places.items():
        chosen = {name: [column[number] for number in own] for name, column in covered.items()}
        for number, block, tag in zip(own, *_seal((kind, run_id, slot), chosen, key), strict=True):
            blocks[number], tags[number] = block, tag
    return blocks, tags


def _are_same(values: Sequence[Any]) -> bool:
    return values.count(values[0]) == len(values)


def _seal(
    shared: Shared, covered: Values, key: UserKey, packed: Batch | None = None
) -> tuple[list[int], list[bytes]]:
    blocks: list[int] = []
    tags: list[bytes] = []
    seqs, batch = covered["seq"], packed or Batch(covered)
    columns = _packed(shared[0], batch, batch.rows - len(seqs))
    count = max(1, round(len(seqs) / SIZE))  # of blocks of nearly one size
    for first, end in pairwise(len(seqs) * number // count for number in range(count + 1)):
        message = block_message(shared, columns, first, end)
        blocks += [seqs[first]] * (end - first)
        tags.append(key.tag(message))
        tags += [b""] * (end - first - 1)
    return blocks, tags


# -- reading --------------------------------------------------------------------------------------


def block_starts(blocks: array[int], tags: Items) -> list[int]:
    """The rows at which blocks begin, and the number of rows."""
    others = map(ne, blocks[1:], blocks)
    tagged = map(ne, tags.ends[2:], tags.ends[1:])
    begins = map(or_, others, tagged)
    return [0, *compress(range(1, len(blocks)), begins), len(blocks)]


def _parts(chunk: Chunk) -> Iterator[tuple[int, int]]:
    """The first row and the end of each block, which ends where the run or the slot does, too."""
    starts = set(block_starts(chunk.numbers("block"), chunk.items("tag")))
    for name in ("run_id", "slot"):
        values = chunk.items(name).cut(0, chunk.rows)
        if not _are_same(values):
            starts.update(compress(range(1, chunk.rows), map(ne, values[1:], values)))
    return pairwise(sorted(starts))


def _messages(kind: str, chunk: Chunk) -> Iterator[tuple[int, bytes, Message]]:
    """The blocks in `chunk`, which has the rows of one type by run, block and seq: the first row,
    the tag, and what it should say."""
    tags, runs, slots = (chunk.items(name) for name in ("tag", "run_id", "slot"))
    columns = [chunk.column(name) for name in COVERED[kind]]
    for first, end in _parts(chunk):
        run_id, slot = runs.at(first).decode(), slots.at(first).decode()
        yield first, tags.at(first), block_message((kind, run_id, slot), columns, first, end)


_COLUMNS = {
    "StepStarted": """run_id, slot, seq, block, coalesce(tag, '') AS tag,
        activity_id, key, coalesce(ordinal, -1) AS ordinal,
        coalesce(CAST(at_most_once AS INTEGER), -1) AS at_most_once""",
    "StepCompleted": """run_id, '' AS slot, seq, block,
        coalesce(tag, '') AS tag, activity_id, coalesce(attempt, -1) AS attempt, codec,
        payload_id, coalesce(payload_size, -1) AS payload_size,
        coalesce(payload_data, '') AS payload_data""",
}

_AMONG = "type = $kind AND block IS NOT NULL AND ($all OR run_id IN (SELECT unnest($runs)))"

_WINDOWS = f"""
SELECT run_id, block, count(*) AS rows, coalesce(sum(octet_length(payload_data)), 0) AS bytes
FROM store.event WHERE {_AMONG} GROUP BY run_id, block ORDER BY run_id, block
"""  # noqa: S608 - a text of this module

_ROWS = """
SELECT {columns} FROM store.event
WHERE {among}
    AND (run_id > $first_run OR (run_id = $first_run AND block >= $first))
    AND (run_id < $last_run OR (run_id = $last_run AND block <= $last))
ORDER BY run_id, block, seq
"""


def proved_blocks(
    connection: duckdb.DuckDBPyConnection, check: Check, run_ids: Sequence[str] | None = None
) -> frozenset[Place]:
    """The blocks that hold, of these runs, or of all: `check` tells whether a tag is right."""
    return frozenset(
        chain.from_iterable(_proved(connection, kind, check, run_ids) for kind in COVERED)
    )


def _proved(
    connection: duckdb.DuckDBPyConnection, kind: str, check: Check, run_ids: Sequence[str] | None
) -> Iterator[Place]:
    among = {"kind": kind, "all": run_ids is None, "runs": list(run_ids or ())}
    windows = list(_windows(connection.execute(_WINDOWS, among).fetchall()))
    sql = _ROWS.format(columns=_COLUMNS[kind], among=_AMONG)
    for (first_run, first), (last_run, last) in windows:
        bounds = {"first_run": first_run, "first": first, "last_run": last_run, "last": last}
        chunk = joined(read(connection.sql(sql, params={**among, **bounds})))
        if chunk is None:
            continue
        blocks, runs = chunk.numbers("block"), chunk.items("run_id")
        found = [(row, check(tag, message)) for row, tag, message in _messages(kind, chunk)]
        refused = {(runs.at(row), blocks[row]) for row, holds in found if not holds}
        for row, _ in found:
            if (runs.at(row), blocks[row]) not in refused:
                yield runs.at(row).decode(), kind, blocks[row]


def _windows(blocks: list[Any]) -> Iterator[tuple[tuple[str, int], tuple[str, int]]]:
    """The blocks in parts that fit into memory: the first and the last one of each."""
    first: tuple[str, int] | None = None
    last, rows, size = ("", 0), 0, 0
    for run_id, block, count, weight in blocks:
        if first is not None and (rows + count > _WINDOW_ROWS or size + weight > _WINDOW_BYTES):
            yield first, last
            first, rows, size = None, 0, 0
        first = first or (run_id, block)
        last, rows, size = (run_id, block), rows + count, size + int(weight)
    if first is not None:
        yield first, last
