"""What a slot's steps came to: read in one go, checked and built when asked for.

A resumed cell asks for each of its steps once, perhaps for a million of them; a cell that was
edited may ask for none. So the rows stay columns, as DuckDB gave them, until a call is made. That
takes about 130 bytes a step for them, 110 for finding the row of a call, and what its inline result
has.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from itertools import accumulate, chain, pairwise, repeat, starmap
from operator import and_, eq, xor
from typing import TYPE_CHECKING, Protocol

import msgspec

from evercell.events import ErrorInfo, HeartbeatRecorded, Payload, decode_event
from evercell.history.arrow import Chunk, read
from evercell.history.queries import StepRecord, StepStatus

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

__all__ = ["Proof", "StepTable", "step_table"]

_KEY_SIZE = 16  # bytes of a step's key, as this release makes them
_BLOCK = 256  # rows whose tags are checked together

_STEPS = """
WITH started AS (
    SELECT activity_id, key, ordinal, at_most_once, seq, tag
    FROM store.event
    WHERE run_id = $run_id AND slot = $slot AND type = 'StepStarted'
),
latest AS (
    SELECT e.activity_id, max(e.seq) AS seq
    FROM store.event e SEMI JOIN started USING (activity_id)
    WHERE e.run_id = $run_id AND e.type IN (
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
"""  # not in order: sorting a million takes a second, and 250 MB

_HEARTBEATS = """
SELECT e.activity_id, e.seq, e.type, e.body, e.tag
FROM store.event e
WHERE e.run_id = $run_id AND e.type = 'HeartbeatRecorded'
    AND e.activity_id IN (
        SELECT activity_id FROM store.event
        WHERE run_id = $run_id AND slot = $slot AND type = 'StepStarted'
    )
QUALIFY row_number() OVER (PARTITION BY e.activity_id ORDER BY e.seq DESC) = 1
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


class _Page:
    """Consecutive steps as columns."""

    def __init__(self, chunk: Chunk) -> None:
        self.rows = chunk.rows
        self.ordinals = chunk.numbers("ordinal")
        self.firsts, self.lasts = chunk.numbers("first"), chunk.numbers("last")
        self.keys, self.activities = chunk.items("key"), chunk.items("activity_id")
        self.first_tags, self.last_tags = chunk.items("first_tag"), chunk.items("last_tag")
        self.identities, self.data = chunk.items("payload_id"), chunk.items("payload_data")
        self.rest = chunk.items("rest")
        self.looked_at = bytearray(self.rows // _BLOCK + 1)  # a flag a block
        self.proved = bytearray(self.rows)  # a flag a row

    def call(self, row: int) -> tuple[bytes, int]:
        """The row's key and ordinal."""
        return self.keys.at(row), self.ordinals[row]

    def places(self) -> Iterator[int]:
        """`_place` of each row's call."""
        data = self.keys.data
        if len(data) != _KEY_SIZE * self.rows or sys.byteorder == "big":
            return (_place(*self.call(row)) for row in range(self.rows))
        return map(xor, array("Q", data)[:: _KEY_SIZE // 8], self.ordinals)  # the same, at C speed


def _place(key: bytes, ordinal: int) -> int:
    """A number that hardly two calls share."""
    return int.from_bytes(key[:8], "little") ^ ordinal


class Proof(Protocol):
    """Tells this user's unchanged records from all others."""

    def holds(self, tag: bytes | None, message: tuple[object, ...]) -> bool:
        """Whether the tag of a row is right; if not, its user will be told."""
        ...

    def tags(self, messages: Iterable[tuple[object, ...]]) -> list[bytes]:
        """The right tags of many rows."""
        ...


class StepTable:
    """A slot's steps by (key, ordinal), in the order of their first calls.

    A record that fails its check is as one that was never made. `heartbeats` are the details of
    each step's latest heartbeat, by activity_id.
    """

    def __init__(
        self,
        run_id: str = "",
        slot: str = "",
        chunks: Iterable[Chunk] = (),
        proof: Proof | None = None,
    ) -> None:
        """The steps in `chunks`, which `proof` tells the true ones of; or none."""
        self._run_id = run_id
        self._slot = slot
        self._proof = proof
        self.heartbeats: dict[str, Payload] = {}
        self._pages = [_Page(chunk) for chunk in chunks if chunk.rows]
        self._starts = list(accumulate((page.rows for page in self._pages), initial=0))
        places = chain.from_iterable(page.places() for page in self._pages)
        self._rows = dict(zip(places, range(self._starts[-1]), strict=True))
        # All rows of each call, if two rows have one place: a record that did not hold, say, and
        # that of the step when it was made once more.
        self._alike: dict[tuple[bytes, int], list[int]] = {}
        if len(self._rows) < self._starts[-1]:
            for row, call in self._calls():
                self._alike.setdefault(call, []).append(row)
        self._new: dict[tuple[bytes, int], StepRecord] = {}  # of this process

    def __setitem__(self, call: tuple[bytes, int], record: StepRecord) -> None:
        self._new[call] = record

    def get(self, call: tuple[bytes, int]) -> StepRecord | None:
        """The record of the call with this key and ordinal; None if there is none that holds."""
        if self._new and (record := self._new.get(call)) is not None:
            return record
        if self._alike:
            found = map(self._record, reversed(self._alike.get(call, ())))
            return next((record for record in found if record is not None), None)
        row = self._rows.get(_place(*call))
        return None if row is None else self._record(row, call)

    def answer(self, key: bytes, ordinal: int) -> tuple[str, bytes] | None:
        """The activity and the JSON of a call's result, if it is as nearly all are: completed at
        the first attempt, inline, unlayered, and proved. What others came to, `get` knows."""
        if self._alike or (self._new and (key, ordinal) in self._new):
            return None
        row = self._rows.get(int.from_bytes(key[:8], "little") ^ ordinal)
        if row is None:
            return None
        number = bisect_right(self._starts, row) - 1
        page, row = self._pages[number], row - self._starts[number]
        if not page.looked_at[row // _BLOCK]:
            self._prove(page, row // _BLOCK)
        ends, data = page.keys
        if not page.proved[row] or data[ends[row] : ends[row + 1]] != key:
            return None
        if page.ordinals[row] != ordinal:
            return None
        ends, data = page.activities
        activity_id = data[ends[row] : ends[row + 1]].decode()
        ends, data = page.data
        return activity_id, data[ends[row] : ends[row + 1]]

    def _prove(self, page: _Page, block: int) -> None:
        """Look at a block's rows, all at once, as if they were usual: for others it does not hold.

        A replay spends a third of its time here, so columns are zipped to what the tags cover.
        """
        assert self._proof is not None  # noqa: S101 - who has pages has it
        first, end = block * _BLOCK, min((block + 1) * _BLOCK, page.rows)
        run_id, activities = repeat(self._run_id), page.activities.texts(first, end)
        values = page.data.cut(first, end)
        starts = zip(
            run_id, page.firsts[first:end], repeat("StepStarted"), activities, repeat(self._slot),
            page.keys.cut(first, end), page.ordinals[first:end], repeat(False),
        )  # fmt: skip
        ends = zip(
            run_id, page.lasts[first:end], repeat("StepCompleted"), activities, repeat(1),
            repeat("json"), page.identities.cut(first, end), map(len, values), values,
        )  # fmt: skip
        right = map(
            and_,
            map(eq, self._proof.tags(starts), page.first_tags.cut(first, end)),
            map(eq, self._proof.tags(ends), page.last_tags.cut(first, end)),
        )
        usual = starmap(eq, pairwise(page.rest.ends[first : end + 1]))  # it is empty
        page.proved[first:end] = bytes(map(and_, right, usual))
        page.looked_at[block] = True

    def records(self) -> Iterator[StepRecord]:
        """All that hold."""
        for call in dict.fromkeys((*(call for _, call in self._calls()), *self._new)):
            record = self.get(call)
            if record is not None:
                yield record

    def _calls(self) -> Iterator[tuple[int, tuple[bytes, int]]]:
        """Each row and its call, in the order of the first calls."""
        calls = [page.call(row) for page in self._pages for row in range(page.rows)]
        firsts = list(chain.from_iterable(page.firsts for page in self._pages))
        return ((row, calls[row]) for row in sorted(range(len(calls)), key=firsts.__getitem__))

    def _record(self, row: int, call: tuple[bytes, int] | None = None) -> StepRecord | None:
        """The record in the row, if it holds, and is of that call."""
        number = bisect_right(self._starts, row) - 1
        page, row = self._pages[number], row - self._starts[number]
        if call is not None and call != page.call(row):
            return None
        rest = _decode_rest(page.rest.at(row) or _USUAL)
        run_id, kind = self._run_id, rest.type
        (key, ordinal), activity_id = page.call(row), page.activities.at(row).decode()
        start = (activity_id, self._slot, key, ordinal, rest.once)
        if not self._holds(
            page.first_tags.at(row), (run_id, page.firsts[row], "StepStarted", *start)
        ):
            return None
        result, failure = None, None
        covered: tuple[object, ...] = (activity_id, rest.attempt)
        if rest.codec is not None:
            data = page.data.at(row) if rest.inline else None
            size = len(data or b"") if rest.size is None else rest.size
            result = Payload(page.identities.at(row), rest.codec, size, data)
        if kind in _WITH_PAYLOAD:
            covered += (None,) * 3 if result is None else (result.codec, result.id, result.size)
        if kind == "StepCompleted":
            covered += (None if result is None else result.data,)
        if kind in _WITH_ERROR:
            covered += (rest.error, rest.message, rest.traceback)
            error = rest.error or "", rest.message or "", rest.traceback or ""
            failure, result = ErrorInfo(*error, result), None
        if kind != "StepStarted" and not self._holds(
            page.last_tags.at(row), (run_id, page.lasts[row], kind, *covered)
        ):
            return None
        return StepRecord(
            activity_id, key, ordinal, _STATUS[kind], rest.attempt or 0, bool(rest.once),
            result if kind == "StepCompleted" else None, failure,
        )  # fmt: skip

    def _holds(self, tag: bytes, message: tuple[object, ...]) -> bool:
        assert self._proof is not None  # noqa: S101 - who has pages has it
        return self._proof.holds(tag or None, message)


def step_table(
    connection: duckdb.DuckDBPyConnection, run_id: str, slot: str, proof: Proof
) -> StepTable:
    """The latest state of each step in the slot."""
    place = {"run_id": run_id, "slot": slot}
    table = StepTable(run_id, slot, read(connection.sql(_STEPS, params=place)), proof)
    for activity_id, seq, kind, body, tag in connection.execute(_HEARTBEATS, place).fetchall():
        if proof.holds(tag, (run_id, seq, kind, body)):
            event = decode_event(body)
            if isinstance(event, HeartbeatRecorded) and event.payload is not None:
                table.heartbeats[activity_id] = event.payload
    return table
