"""What a slot's steps came to, by call: read as the cell gets to them.

    step_table(...) ─> StepTable ─ get(call), records()
                           └ replay() ─> Replay ─ take(key): the answer, if the call is expected, or
                                                  find(key): any call's ordinal and record

A resumed cell asks for each of its steps once, perhaps for a million of them, and nearly always in
the order in which it asked the first time. So the steps are read in stretches of that order, and a
`Replay` compares each call with the next recorded one, which takes neither an index nor a count of
calls. Columns of a stretch that the cell is through with are dropped.

Calls that come in another order, or are new, are looked for one by one. A cell with many of them
has all calls indexed (calls.py), and what it asks for out of order stays.
"""

from __future__ import annotations

from bisect import bisect_right
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar

import msgspec

from evercell.events import HeartbeatRecorded, Payload, decode_event
from evercell.history.arrow import read
from evercell.history.calls import Calls, index_calls
from evercell.history.step_pages import Answer, Page, end_blocks, read_page, single_thread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import duckdb

    from evercell.history.queries import StepRecord
    from evercell.history.step_pages import EndBlocks, Proof

__all__ = ["Replay", "StepTable", "step_table"]

T = TypeVar("T")

_ROWS = 131_072  # in a stretch at most: opening DuckDB for the next one costs as much as 10,000
_BYTES = 64 << 20  # of results in it, about
_ASKED = 16  # calls that are looked for by themselves before all are indexed
_WINDOW = 4096  # steps that are looked ahead for a call

_BLOCKS = """
SELECT min(seq) AS low, count(*)
FROM store.event
WHERE run_id = $run_id AND slot = $slot AND type = 'StepStarted'
GROUP BY coalesce(block, seq)
ORDER BY low
"""

_SIZES = """
SELECT
    max(seq),
    avg(least(payload_size, 65536)) FILTER (type = 'StepCompleted'),
    count(*) FILTER (type IN ('AttemptStarted', 'AttemptFailed', 'StepFailed', 'StepCanceled')),
    count(*) FILTER (type = 'HeartbeatRecorded')
FROM store.event
WHERE run_id = $run_id
"""

_CALLS = """
SELECT key, ordinal
FROM store.event
WHERE run_id = $run_id AND slot = $slot AND type = 'StepStarted' AND seq <= $top
ORDER BY seq
"""

_CALL = """
SELECT seq
FROM store.event
WHERE run_id = $run_id AND slot = $slot AND type = 'StepStarted' AND seq <= $top
    AND key = $key AND ordinal = $ordinal
"""

_REPEATED = """
SELECT key
FROM store.event
WHERE run_id = $run_id AND slot = $slot AND type = 'StepStarted'
GROUP BY key
HAVING count(*) > 1 OR max(ordinal) > 0
"""

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


class _Lend(Protocol):
    def __call__(self, use: Callable[[duckdb.DuckDBPyConnection], T], /) -> T:
        """What `use` makes of a connection."""
        ...


class _Source(msgspec.Struct, frozen=True):
    """Where a slot's steps are read from, a stretch of their first calls at a time: whole blocks
    (seals.py)."""

    run_id: str
    slot: str
    proof: Proof
    lows: list[int]  # the seq of each stretch's first call
    starts: list[int]  # the number of that call; at the end, of all calls
    top: int  # what came later than this seq is not looked at
    plain: bool  # no step was tried again, failed or was cancelled
    ended: EndBlocks
    lend: _Lend

    def page(self, number: int, lend: _Lend | None = None) -> Page | None:
        """The stretch with this number; None if it is gone."""
        high = self.lows[number + 1] - 1 if number + 1 < len(self.lows) else self.top
        low, top, plain = self.lows[number], self.top, self.plain
        run_id, slot, proof, ended = self.run_id, self.slot, self.proof, self.ended

        def use(connection: duckdb.DuckDBPyConnection) -> Page | None:
            return read_page(
                connection, run_id, slot, proof, low=low, high=high, top=top, plain=plain,
                ended=ended,
            )  # fmt: skip

        return (lend or self.lend)(use)

    def stretches(self, key: bytes, ordinal: int) -> set[int]:
        """The numbers of the stretches in which a call was recorded."""
        call = {"run_id": self.run_id, "slot": self.slot, "top": self.top}
        call |= {"key": key, "ordinal": ordinal}
        seqs = self.lend(lambda it: it.execute(_CALL, call).fetchall())
        return {bisect_right(self.lows, seq) - 1 for (seq,) in seqs}

    def calls(self) -> Calls:
        """The calls of all steps, in the order in which they were first made."""
        place = {"run_id": self.run_id, "slot": self.slot, "top": self.top}
        return self.lend(
            lambda it: index_calls(
                (chunk.items("key"), chunk.numbers("ordinal"))
                for chunk in read(it.sql(_CALLS, params=place))
            )
        )


class StepTable:
    """A slot's steps by (key, ordinal), in the order of their first calls.

    A record that fails its check is as one that was never made. `heartbeats` are the details of
    each step's latest heartbeat, by activity_id.
    """

    def __init__(
        self,
        source: _Source | None = None,
        page: Page | None = None,
        repeated: frozenset[bytes] = frozenset(),
    ) -> None:
        """The steps of `source`, the first of which are in `page`; or none. `repeated`: the keys
        that several calls have."""
        self.heartbeats: dict[str, Payload] = {}
        self.repeated = repeated
        self.new: dict[tuple[bytes, int], StepRecord] = {}  # of this process
        self.starts = [0] if source is None else source.starts
        self.empty = source is None
        self._source = source
        self._pages: dict[int, Page | None] = {0: page}
        self._kept: set[int] = set()  # stretches that were read out of order
        self._asked: dict[tuple[bytes, int], list[int]] = {}  # where calls were found without it
        self._index: Calls | None = None

    def __setitem__(self, call: tuple[bytes, int], record: StepRecord) -> None:
        self.new[call] = record

    def get(self, call: tuple[bytes, int]) -> StepRecord | None:
        """The record of the call with this key and ordinal; None if there is none that holds."""
        if self.new and (record := self.new.get(call)) is not None:
            return record
        records = (page.record(row) for page, row in self.places(*call))
        return next((record for record in records if record is not None), None)

    def places(self, key: bytes, ordinal: int) -> Iterator[tuple[Page, int]]:
        """Where the call's records are, the latest one first: the page, and the row in it."""
        for number in reversed(self.stretches(key, ordinal)):
            page = self.page(number)
            if page is not None:
                for row in reversed(page.find(key, ordinal)):
                    yield page, row

    def stretches(self, key: bytes, ordinal: int) -> list[int]:
        """The numbers of the stretches in which the call was recorded."""
        if self._source is None:
            return []
        call = key, ordinal
        if self._index is None and (call in self._asked or len(self._asked) < _ASKED):
            if call not in self._asked:
                self._asked[call] = self._ask(key, ordinal)
            return self._asked[call]
        rows = self.calls.find(key, ordinal)
        return sorted({bisect_right(self.starts, row) - 1 for row in rows})

    def _ask(self, key: bytes, ordinal: int) -> list[int]:
        assert self._source is not None  # noqa: S101 - the caller looked
        if len(self.starts) == 2 and (page := self.page(0)) is not None:
            return [0] if page.find(key, ordinal) else []
        return sorted(self._source.stretches(key, ordinal))

    @property
    def calls(self) -> Calls:
        """Where each call is; made when it is first needed."""
        if self._index is None:
            if self._source is None:
                self._index = index_calls(())
            elif len(self.starts) == 2 and (page := self.page(0)) is not None:
                self._index = index_calls([(page.keys, page.ordinals)])
            else:
                self._index = self._source.calls()
        return self._index

    def page(self, number: int) -> Page | None:
        """A stretch of the steps."""
        if number not in self._pages:
            assert self._source is not None  # noqa: S101 - or it had no stretches
            self._pages[number] = self._source.page(number)
            self._kept.add(number)
        return self._pages[number]

    def parts(self) -> Iterator[tuple[int, list[bytes], list[Answer | None]]]:
        """All steps, a part at a time: number of the stretch, keys and answers. Stretches that are
        done with, and that nobody asked for out of order, are let go of."""
        for number in range(len(self.starts) - 1):
            asked_for = number in self._kept
            page = self.page(number)
            if page is not None:
                for part in range(page.parts):
                    yield (number, *page.answers(part))
            if len(self.starts) > 2 and not asked_for:
                self._pages.pop(number, None)
                self._kept.discard(number)

    def replay(self) -> Replay:
        """The way of a cell's execution through the steps."""
        return Replay(self)

    def records(self) -> Iterator[StepRecord]:
        """All that hold."""
        calls = index_calls(()) if self._source is None else self._source.calls()
        known = map(calls.at, range(calls.starts[-1]))
        for call in dict.fromkeys((*known, *self.new)):
            record = self.get(call)
            if record is not None:
                yield record


class Replay:
    """The way of one execution of a cell through the recorded steps, which counts its calls.

    What the cell is expected to ask for next lies in a window: what is recorded behind all that it
    has asked for so far, and what lies before that and was not asked for. So calls that come in
    about the recorded order, as those of concurrent steps do, need no index and no counts: those
    that left the window have been made once.
    """

    def __init__(self, table: StepTable) -> None:
        self._table = table
        self._parts = table.parts()
        self._window: dict[bytes, Answer] = {}
        self._unusual: set[bytes] = set()  # keys that would be in it, too, had they an answer
        self._stretch = self._passed = 0  # how many of a stretch's steps have come into the window
        self._counts: dict[bytes, int] = {}  # of calls that did not come from it

    def take(self, key: bytes) -> Answer | None:
        """The answer to a call with this key, if it is expected, and is as nearly all are; else
        `find` counts it."""
        answer = self._window.pop(key, None)
        while answer is None:
            if key in self._unusual or len(self._window) >= _WINDOW or not self._look_ahead():
                return None
            answer = self._window.pop(key, None)
        if self._table.new and (key, 0) in self._table.new:
            self._unusual.add(key)
            return None
        return answer

    def find(self, key: bytes) -> tuple[int, Answer | None, StepRecord | None]:
        """Count a call; its ordinal, and its answer, if it is as nearly all are, or its record."""
        ordinal = self._count(key)
        self._counts[key] = ordinal + 1
        table, call = self._table, (key, ordinal)
        if call in table.new:
            return ordinal, None, table.new[call]
        if table.empty:  # as in a cell that runs for the first time
            return ordinal, None, None
        found = list(table.places(key, ordinal))
        if len(found) == 1:
            page, row = found[0]
            answer = page.answer(row)
            if answer is not None:
                return ordinal, answer, None
        return ordinal, None, table.get(call) if found else None

    def _count(self, key: bytes) -> int:
        """How many calls with this key there were."""
        count = self._counts.get(key)
        if count is not None or self._table.empty or key in self._table.repeated:
            return count or 0
        if key in self._unusual:
            self._unusual.remove(key)
            return 0
        return int(any(map(partial(self._has_passed, key), self._table.stretches(key, 0))))

    def _has_passed(self, key: bytes, number: int) -> bool:
        """Whether the key's first call, which is in this stretch, has come into the window."""
        if number != self._stretch:
            return number < self._stretch
        page = self._table.page(number)
        return page is not None and any(row < self._passed for row in page.find(key, 0))

    def _look_ahead(self) -> bool:
        """Take the next recorded calls into the window; False if there are none."""
        part = next(self._parts, None)
        if part is None:
            return False
        number, keys, answers = part
        if number > self._stretch:
            self._stretch, self._passed = number, 0
        self._passed += len(keys)
        counts, repeated = self._counts, self._table.repeated
        if not counts and not repeated and all(answers):
            self._window.update(zip(keys, answers, strict=True))  # type: ignore[arg-type]
            return True
        for key, answer in zip(keys, answers, strict=True):
            if key not in counts and key not in repeated:  # else counted without it
                if answer is not None:
                    self._window[key] = answer
                else:
                    self._unusual.add(key)
        return True


def step_table(
    connection: duckdb.DuckDBPyConnection, run_id: str, slot: str, proof: Proof, lend: _Lend
) -> StepTable:
    """The latest state of each step in the slot; what comes later is read when `lend` gives a
    connection for it."""
    place = {"run_id": run_id, "slot": slot}
    with single_thread(connection):
        (sizes,) = connection.execute(_SIZES, {"run_id": run_id}).fetchall()
        top, size, others, heartbeats = sizes
        limit = int(max(1, min(_ROWS, _BYTES // (size or 1))))
        lows, starts = _stretches(connection.execute(_BLOCKS, place).fetchall(), limit)
        if not lows:
            return StepTable()
        repeated = frozenset(key for (key,) in connection.execute(_REPEATED, place).fetchall())
        ended = end_blocks(connection, run_id)
    source = _Source(run_id, slot, proof, lows, starts, top, others == 0, ended, lend)
    table = StepTable(source, source.page(0, lambda use: use(connection)), repeated)
    if not heartbeats:
        return table
    for activity_id, seq, kind, body, tag in connection.execute(_HEARTBEATS, place).fetchall():
        if proof.holds(tag, (run_id, seq, kind, body)):
            event = decode_event(body)
            if isinstance(event, HeartbeatRecorded) and event.payload is not None:
                table.heartbeats[activity_id] = event.payload
    return table


def _stretches(blocks: Iterable[tuple[int, int]], limit: int) -> tuple[list[int], list[int]]:
    """Blocks, given by their lowest seq and their rows, in stretches of about `limit` rows: the
    seq of each one's first call, and that call's number; at the end of these, all calls'."""
    lows: list[int] = []
    starts: list[int] = []
    calls = 0
    for low, rows in blocks:
        if not starts or calls + rows - starts[-1] > limit:
            lows.append(low)
            starts.append(calls)
        calls += rows
    return lows, [*starts, calls]
