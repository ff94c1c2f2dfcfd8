"""Recorded steps as columns, a page of them at a time: checked and built when they are asked for.

read_page(connection, ...) -> Page     the steps whose first calls lie in a stretch
page.answers(part)                     of what nearly all are: completed at once, inline, proved
page.record(row)                       any other, one by one
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left, bisect_right
from contextlib import contextmanager
from itertools import accumulate, pairwise
from operator import xor
from typing import TYPE_CHECKING, Any, NamedTuple

from evercell.history.arrow import joined, read
from evercell.history.queries import StepRecord, StepStatus
from evercell.history.seals import block_message, block_starts
from evercell.history.step_ends import Ends, Proof

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from evercell.history.arrow import Chunk
    from evercell.history.columns import Items

__all__ = [
    "Answer",
    "EndBlocks",
    "Page",
    "Proof",
    "end_blocks",
    "place_of",
    "places_of",
    "read_page",
    "single_thread",
]

PART = 256  # rows that are handed to a replay together, at least
_SEARCHES = 64  # for a call that are made before it pays to make a table of all
_BEYOND = 4  # blocks of ends behind the last call that are read with it, for calls beside it
_KEY_SIZE = 16  # bytes of a step's key, as this release makes them

Answer = tuple[bytes, bytes]
"""A step's activity, in UTF-8, and the JSON of its result."""

_STARTED = """run_id = $run_id AND slot = $slot AND type = 'StepStarted'
    AND seq BETWEEN $low AND $high"""

_STARTS = f"""
SELECT key, coalesce(ordinal, -1) AS ordinal, activity_id, seq,
    coalesce(CAST(at_most_once AS INTEGER), -1) AS once,
    coalesce(block, -1) AS block, coalesce(tag, '') AS tag
FROM store.event WHERE {_STARTED}
"""  # noqa: S608 - a text of this module

_COMPLETED = "run_id = $run_id AND type = 'StepCompleted'"

# Nearly all ends of a stretch lie between its first calls. Blocks are read whole.
_COMPLETIONS = f"""
SELECT seq, activity_id, coalesce(attempt, -1) AS attempt, codec, payload_id,
    coalesce(payload_size, -1) AS payload_size, coalesce(payload_data, '') AS payload_data,
    coalesce(block, -1) AS block, coalesce(tag, '') AS tag
FROM store.event WHERE {_COMPLETED}
"""  # noqa: S608 - a text of this module

# DuckDB knows the lowest and the highest seq of each part of the file, so it skips most of them.
_AMONG = "AND coalesce(event.block, seq) BETWEEN $first AND $last AND seq BETWEEN $first AND $reach"

_LATER = "AND list_contains($blocks, coalesce(event.block, seq)) AND seq BETWEEN $low AND $reach"

_LATER_BLOCKS = f"""
SELECT DISTINCT coalesce(block, seq) FROM store.event
WHERE {_COMPLETED} AND coalesce(block, seq) > $last AND seq > $last AND seq <= $top
    AND activity_id IN (SELECT unnest($activities))
"""  # noqa: S608 - a text of this module

_END_BLOCKS = f"""
SELECT coalesce(block, seq) AS first, max(seq)
FROM store.event WHERE {_COMPLETED} GROUP BY first ORDER BY first
"""  # noqa: S608 - a text of this module

_OTHERS = f"""
SELECT activity_id, seq, type, tag, attempt, codec, payload_id, payload_size, payload_data,
    error_type, error_message, error_traceback
FROM store.event
SEMI JOIN (SELECT activity_id FROM store.event WHERE {_STARTED}) USING (activity_id)
WHERE run_id = $run_id AND seq BETWEEN $low AND $top
    AND type IN ('AttemptStarted', 'AttemptFailed', 'StepFailed', 'StepCanceled')
QUALIFY row_number() OVER (PARTITION BY activity_id ORDER BY seq DESC) = 1
"""  # noqa: S608 - a text of this module

_ORDER = "coalesce(event.block, event.seq), event.seq"

_STATUS: dict[str, StepStatus] = {
    "StepStarted": "in doubt",
    "AttemptStarted": "in doubt",
    "AttemptFailed": "retrying",
    "StepCompleted": "completed",
    "StepFailed": "failed",
    "StepCanceled": "canceled",
}


def place_of(key: bytes, ordinal: int) -> int:
    """A number that hardly two calls share."""
    return int.from_bytes(key[:8], "little") ^ ordinal


def places_of(keys: Items, ordinals: array[int]) -> Iterator[int]:
    """`place_of` each row's call."""
    rows = len(ordinals)
    if len(keys.data) != _KEY_SIZE * rows or sys.byteorder == "big":
        return (place_of(keys.at(row), ordinals[row]) for row in range(rows))
    return map(xor, array("Q", keys.data)[:: _KEY_SIZE // 8], ordinals)  # the same, at C speed


class EndBlocks(NamedTuple):
    """Where the blocks of a run's StepCompleted are."""

    firsts: list[int]  # the block: the seq of its first row
    reaches: list[int]  # up to which seq there are rows of it, or of one before it

    def between(self, low: int, high: int) -> dict[str, int]:
        """The blocks in which calls with a seq from `low` to `high` ended, but for a few that took
        long: the first and the last one, and how far they reach."""
        before = bisect_right(self.firsts, low) - 1
        last = min(bisect_right(self.firsts, high) + _BEYOND, len(self.firsts)) - 1
        first = self.firsts[before] if before >= 0 else 0
        if last < 0:
            return {"first": first, "last": high, "reach": high}
        return {"first": first, "last": self.firsts[last], "reach": self.reaches[last]}

    def these(self, blocks: Sequence[int]) -> dict[str, Any]:
        """Some blocks, at least one, and between which seqs they lie."""
        reach = self.reaches[bisect_right(self.firsts, max(blocks)) - 1]
        return {"blocks": list(blocks), "low": min(blocks), "reach": reach}


def end_blocks(connection: duckdb.DuckDBPyConnection, run_id: str) -> EndBlocks:
    """Those of the run; 20 ms for a million steps, and saves 50 with each page."""
    rows: list[Any] = connection.execute(_END_BLOCKS, {"run_id": run_id}).fetchall()
    return EndBlocks([first for first, _ in rows], list(accumulate((it for _, it in rows), max)))


class Page:
    """Steps of a slot as columns, in the order of their first calls. They are handed out in parts,
    which are whole blocks (seals.py) of first calls; a block is checked when its part is asked
    for."""

    def __init__(self, starts: Chunk, ends: Ends, run_id: str, slot: str, proof: Proof) -> None:
        self._run_id, self._slot, self._proof = run_id, slot, proof
        self._ends = ends
        self.rows = starts.rows
        self.ordinals, self.keys = starts.numbers("ordinal"), starts.items("key")
        self._seqs, self._once = starts.numbers("seq"), starts.numbers("once")
        self._activities = starts.items("activity_id")
        self._never_once = not self._once.tobytes().strip(b"\0")
        self._covered = self._seqs, self._activities, self.keys, self.ordinals, self._once
        self._tags, self._numbers = starts.items("tag"), starts.numbers("block")
        self._blocks = block_starts(self._numbers, self._tags)
        self._parts = _parts(self._blocks)
        self._looked_at = bytearray(self.parts)  # a flag a part
        self._proved = bytearray(self.rows)  # a flag a row
        self._searches = 0
        self._places: dict[int, int] | None = None
        self._alike: dict[int, list[int]] = {}  # all rows of each place, where one has several

    @property
    def parts(self) -> int:
        """How many there are."""
        return len(self._parts) - 1

    def find(self, key: bytes, ordinal: int) -> list[int]:
        """The rows of the call."""
        if self._places is None and self._searches < _SEARCHES:
            self._searches += 1
            rows = self._search(key)
            return [row for row in rows if self.ordinals[row] == ordinal]
        if self._places is None:
            places = list(places_of(self.keys, self.ordinals))
            self._places = dict(zip(places, range(self.rows), strict=True))
            if len(self._places) < self.rows:  # two have one place
                for number, place in enumerate(places):
                    self._alike.setdefault(place, []).append(number)
        own = place_of(key, ordinal)
        row = self._places.get(own)
        if row is None:
            return []
        rows = self._alike.get(own, [row])
        return [row for row in rows if self.keys.at(row) == key and self.ordinals[row] == ordinal]

    def _search(self, key: bytes) -> list[int]:
        """The rows with this key."""
        ends, data = self.keys
        rows, place = [], data.find(key)
        while place >= 0:
            row = bisect_left(ends, place)
            if ends[row] == place and self.keys.at(row) == key:
                rows.append(row)
            place = data.find(key, place + 1)
        return rows

    def answer(self, row: int) -> Answer | None:
        """The row's step, if it is as nearly all are: completed at the first attempt, inline,
        unlayered, and proved."""
        if not self._holds(row) or self._once[row]:
            return None
        activity = self._activities.at(row)
        data = self._ends.usual.get(activity)
        return None if data is None else (activity, data)

    def answers(self, part: int) -> tuple[list[bytes], list[Answer | None]]:
        """The keys in a part, and the `answer` in each of its rows."""
        first, end = self._parts[part], self._parts[part + 1]
        keys, activities = self._look_at(part)
        values = list(map(self._ends.usual.get, activities))
        proved = self._proved[first:end]
        if self._never_once and 0 not in proved and all(values):  # no JSON is empty
            return keys, list(zip(activities, values, strict=True))  # type: ignore[arg-type]
        return keys, [self.answer(row) for row in range(first, end)]

    def _holds(self, row: int) -> bool:
        part = bisect_right(self._parts, row) - 1
        if not self._looked_at[part]:
            self._look_at(part)
        return bool(self._proved[row])

    def _look_at(self, part: int) -> tuple[list[bytes], list[bytes]]:
        """Check the blocks of a part, once; its keys and activities."""
        begin, stop = self._parts[part], self._parts[part + 1]
        keys, activities = self.keys.cut(begin, stop), self._activities.cut(begin, stop)
        if self._looked_at[part]:
            return keys, activities
        self._looked_at[part] = True
        inner = self._blocks[bisect_left(self._blocks, begin) : bisect_right(self._blocks, stop)]
        for first, end in pairwise(inner):
            shared = "StepStarted", self._run_id, self._slot
            message = block_message(shared, self._covered, first, end)
            tag = None if self._numbers[first] < 0 else self._tags.at(first)
            if self._proof.holds(tag, message):
                self._proved[first:end] = b"\1" * (end - first)
        return keys, activities

    def record(self, row: int) -> StepRecord | None:
        """The record in the row, if it holds."""
        activity = self._activities.at(row)
        latest = self._ends.latest(activity) if self._holds(row) else None
        if latest is None:
            return None
        return StepRecord(
            activity.decode(), self.keys.at(row), self.ordinals[row], _STATUS[latest.kind],
            latest.attempt, bool(self._once[row]), latest.result, latest.error,
        )  # fmt: skip


def _parts(blocks: list[int]) -> list[int]:
    """Where parts begin, and the end: whole blocks, and small ones together."""
    parts = [0]
    for start in blocks[1:-1]:
        if start - parts[-1] >= PART:
            parts.append(start)
    return [*parts, blocks[-1]]


@contextmanager
def single_thread(connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Queries of a slot's steps: several threads take longer, all in all, and more memory."""
    connection.execute("SET threads = 1")
    try:
        yield
    finally:
        connection.execute("RESET threads")


def read_page(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    slot: str,
    proof: Proof,
    *,
    low: int,
    high: int,
    top: int,
    plain: bool,
    ended: EndBlocks,
) -> Page | None:
    """The slot's steps whose first calls have a seq from `low` to `high`, in the latest state that
    they had at `top`; None if there are none. `plain`: no step of the run was tried again, failed
    or was cancelled. `ended`: the run's `end_blocks` at `top`."""
    calls = {"run_id": run_id, "slot": slot, "low": low, "high": high}
    with single_thread(connection):
        starts = _in_order(connection, _STARTS, calls)
        if starts is None:
            return None
        others: list[Any] = []
        if not plain:
            others = connection.execute(_OTHERS, {**calls, "top": top}).fetchall()
        ends = Ends(run_id, proof)
        among = {"run_id": run_id, **ended.between(low, max(starts.numbers("seq")))}
        ends.take(_in_order(connection, _COMPLETIONS + _AMONG, among))
        activities = starts.items("activity_id").cut(0, starts.rows)
        late = {it.decode() for it in ends.unknown(activities)}.union(row[0] for row in others)
        if late:
            later = {"run_id": run_id, "last": among["last"], "top": top}
            later["activities"] = list(late)
            blocks = [block for (block,) in connection.execute(_LATER_BLOCKS, later).fetchall()]
            if blocks:
                which = {"run_id": run_id, **ended.these(blocks)}
                ends.take(_in_order(connection, _COMPLETIONS + _LATER, which))
        ends.add(others)
    return Page(starts, ends, run_id, slot, proof)


def _in_order(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: dict[str, Any]
) -> Chunk | None:
    """The rows by block and seq. They nearly always lie so, and sorting takes longer than reading:
    looking costs little."""
    found = joined(read(connection.sql(sql, params=parameters)))
    if found is None or _is_sorted(found.numbers("seq")):
        return found
    return joined(read(connection.sql(f"{sql} ORDER BY {_ORDER}", params=parameters)))


def _is_sorted(numbers: array[int]) -> bool:
    listed = numbers.tolist()
    return listed == sorted(listed)
