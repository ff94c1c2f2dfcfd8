"""Recorded steps as columns, a page of them at a time: checked and built when they are asked for.

read_pages(connection, ...) -> Page, ...   the steps whose first calls lie in a stretch
page.answers(block)        ─ what nearly all are: completed at once, inline, proved
page.record(row)           ─ any other, one by one
"""

from __future__ import annotations

import sys
from array import array
from itertools import pairwise, repeat, starmap
from operator import and_, eq, xor
from typing import TYPE_CHECKING, Protocol

import msgspec

from evercell.events import ErrorInfo, Payload
from evercell.history.arrow import Chunk, Items, read
from evercell.history.queries import StepRecord, StepStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

__all__ = ["BLOCK", "Answer", "Page", "Proof", "place_of", "places_of", "read_pages"]

BLOCK = 256  # rows whose tags are checked together
_KEY_SIZE = 16  # bytes of a step's key, as this release makes them

Answer = tuple[str, bytes]
"""A step's activity and the JSON of its result."""

_STEPS = """
WITH started AS (
    SELECT activity_id, key, ordinal, at_most_once, seq, tag
    FROM store.event
    WHERE run_id = $run_id AND slot = $slot AND type = 'StepStarted' AND seq BETWEEN $low AND $high
),
latest AS (
    SELECT e.activity_id, max(e.seq) AS seq
    FROM store.event e SEMI JOIN started USING (activity_id)
    WHERE e.run_id = $run_id AND e.seq BETWEEN $low AND $top AND e.type IN (
        'StepStarted', 'AttemptStarted', 'AttemptFailed', 'StepCompleted', 'StepFailed',
        'StepCanceled'
    )
    GROUP BY e.activity_id
)
SELECT
    s.key, s.ordinal, s.activity_id, s.seq AS first, s.tag AS first_tag, e.seq AS last,
    e.tag AS last_tag, e.payload_id, e.payload_data,
    -- Nearly all steps are alike in the rest.
    CASE
        WHEN e.type = 'StepCompleted' AND e.attempt = 1 AND NOT s.at_most_once
            AND e.codec = 'json' AND e.payload_size = octet_length(e.payload_data) THEN ''
        ELSE to_json({
            'once': s.at_most_once, 'type': e.type, 'attempt': e.attempt, 'codec': e.codec,
            'size': e.payload_size, 'inline': e.payload_data IS NOT NULL, 'error': e.error_type,
            'message': e.error_message, 'traceback': e.error_traceback
        })::VARCHAR
    END AS rest
FROM started s
JOIN latest l USING (activity_id)
JOIN store.event e ON e.seq = l.seq AND e.activity_id = s.activity_id AND e.run_id = $run_id
ORDER BY s.seq
"""

_STATUS: dict[str, StepStatus] = {
    "StepStarted": "in doubt",
    "AttemptStarted": "in doubt",
    "AttemptFailed": "retrying",
    "StepCompleted": "completed",
    "StepFailed": "failed",
    "StepCanceled": "canceled",
}


_WITH_ERROR = frozenset({"StepFailed", "AttemptFailed"})
_WITH_PAYLOAD = frozenset({"StepCompleted"}) | _WITH_ERROR


class _Rest(msgspec.Struct, frozen=True):
    """What is unusual about a step; without any, it is as nearly all are."""

    once: bool | None = False
    type: str = "StepCompleted"
    attempt: int | None = 1
    codec: str | None = "json"
    size: int | None = None  # of the payload; None: of its data
    inline: bool = True
    error: str | None = None
    message: str | None = None
    traceback: str | None = None


_USUAL = b"{}"


_decode_rest = msgspec.json.Decoder(_Rest).decode


class Proof(Protocol):
    """Tells this user's unchanged records from all others."""

    def holds(self, tag: bytes | None, message: tuple[object, ...]) -> bool:
        """Whether the tag of a row is right; if not, its user will be told."""
        ...

    def tags(self, messages: Iterable[tuple[object, ...]]) -> list[bytes]:
        """The right tags of many rows."""
        ...


def place_of(key: bytes, ordinal: int) -> int:
    """A number that hardly two calls share."""
    return int.from_bytes(key[:8], "little") ^ ordinal


def places_of(keys: Items, ordinals: array[int]) -> Iterator[int]:
    """`place_of` each row's call."""
    rows = len(ordinals)
    if len(keys.data) != _KEY_SIZE * rows or sys.byteorder == "big":
        return (place_of(keys.at(row), ordinals[row]) for row in range(rows))
    return map(xor, array("Q", keys.data)[:: _KEY_SIZE // 8], ordinals)  # the same, at C speed


class Page:
    """Steps of a slot as columns."""

    def __init__(self, chunk: Chunk, run_id: str, slot: str, proof: Proof) -> None:
        self._run_id, self._slot, self._proof = run_id, slot, proof
        self.rows = chunk.rows
        self.ordinals, self.keys = chunk.numbers("ordinal"), chunk.items("key")
        self._firsts, self._lasts = chunk.numbers("first"), chunk.numbers("last")
        self._activities = chunk.items("activity_id")
        self._first_tags, self._last_tags = chunk.items("first_tag"), chunk.items("last_tag")
        self._identities, self._data = chunk.items("payload_id"), chunk.items("payload_data")
        self._rest = chunk.items("rest")
        self._looked_at = bytearray(self.rows // BLOCK + 1)  # a flag a block
        self._proved = bytearray(self.rows)  # a flag a row
        self._places: dict[int, int] | None = None
        self._alike: dict[int, list[int]] = {}  # all rows of each place, where one has several

    def find(self, key: bytes, ordinal: int) -> list[int]:
        """The rows of the call."""
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

    def answer(self, row: int) -> Answer | None:
        """The row's step, if it is as nearly all are: completed at the first attempt, inline,
        unlayered, and proved."""
        if not self._looked_at[row // BLOCK]:
            self._prove(row // BLOCK)
        if not self._proved[row]:
            return None
        return self._activities.at(row).decode(), self._data.at(row)

    def answers(self, block: int) -> tuple[list[bytes], list[Answer | None]]:
        """The keys in a block, and the `answer` in each of its rows."""
        first, end = block * BLOCK, min((block + 1) * BLOCK, self.rows)
        keys, activities, values = self._prove(block)
        answers: list[Answer | None] = list(zip(activities, values, strict=True))
        proved = self._proved[first:end]
        if not all(proved):
            answers = [it if own else None for it, own in zip(answers, proved, strict=True)]
        return keys, answers

    def _prove(self, block: int) -> tuple[list[bytes], list[str], list[bytes]]:
        """Look at a block's rows, all at once, as if they were usual: for others it does not hold.
        Returns their keys, activities and values.

        A replay spends a third of its time here, so columns are zipped to what the tags cover.
        """
        first, end = block * BLOCK, min((block + 1) * BLOCK, self.rows)
        keys, activities = self.keys.cut(first, end), self._activities.texts(first, end)
        values, run_id = self._data.cut(first, end), repeat(self._run_id)
        if self._looked_at[block]:
            return keys, activities, values
        starts = zip(
            run_id, self._firsts[first:end], repeat("StepStarted"), activities, repeat(self._slot),
            keys, self.ordinals[first:end], repeat(False),
        )  # fmt: skip
        ends = zip(
            run_id, self._lasts[first:end], repeat("StepCompleted"), activities, repeat(1),
            repeat("json"), self._identities.cut(first, end), map(len, values), values,
        )  # fmt: skip
        right = map(
            and_,
            map(eq, self._proof.tags(starts), self._first_tags.cut(first, end)),
            map(eq, self._proof.tags(ends), self._last_tags.cut(first, end)),
        )
        usual = starmap(eq, pairwise(self._rest.ends[first : end + 1]))  # it is empty
        self._proved[first:end] = bytes(map(and_, right, usual))
        self._looked_at[block] = True
        return keys, activities, values

    def record(self, row: int) -> StepRecord | None:
        """The record in the row, if it holds."""
        rest = _decode_rest(self._rest.at(row) or _USUAL)
        run_id, kind = self._run_id, rest.type
        key, ordinal = self.keys.at(row), self.ordinals[row]
        activity_id = self._activities.at(row).decode()
        start = (activity_id, self._slot, key, ordinal, rest.once)
        if not self._holds(
            self._first_tags.at(row), (run_id, self._firsts[row], "StepStarted", *start)
        ):
            return None
        result, failure = None, None
        covered: tuple[object, ...] = (activity_id, rest.attempt)
        if rest.codec is not None:
            data = self._data.at(row) if rest.inline else None
            size = len(data or b"") if rest.size is None else rest.size
            result = Payload(self._identities.at(row), rest.codec, size, data)
        if kind in _WITH_PAYLOAD:
            covered += (None,) * 3 if result is None else (result.codec, result.id, result.size)
        if kind == "StepCompleted":
            covered += (None if result is None else result.data,)
        if kind in _WITH_ERROR:
            covered += (rest.error, rest.message, rest.traceback)
            error = rest.error or "", rest.message or "", rest.traceback or ""
            failure, result = ErrorInfo(*error, result), None
        if kind != "StepStarted" and not self._holds(
            self._last_tags.at(row), (run_id, self._lasts[row], kind, *covered)
        ):
            return None
        return StepRecord(
            activity_id, key, ordinal, _STATUS[kind], rest.attempt or 0, bool(rest.once),
            result if kind == "StepCompleted" else None, failure,
        )  # fmt: skip

    def _holds(self, tag: bytes, message: tuple[object, ...]) -> bool:
        return self._proof.holds(tag or None, message)


def read_pages(
    connection: duckdb.DuckDBPyConnection,
    run_id: str,
    slot: str,
    proof: Proof,
    *,
    low: int,
    high: int,
    top: int,
) -> list[Page]:
    """The slot's steps whose first calls have a seq from `low` to `high`, in the latest state that
    they had at `top`."""
    place = {"run_id": run_id, "slot": slot, "low": low, "high": high, "top": top}
    connection.execute("SET threads = 1")  # several take longer, all in all, and more memory
    try:
        chunks = read(connection.sql(_STEPS, params=place))
        return [Page(chunk, run_id, slot, proof) for chunk in chunks if chunk.rows]
    finally:
        connection.execute("RESET threads")
