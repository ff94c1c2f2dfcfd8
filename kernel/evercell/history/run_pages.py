"""Workflows' events in bulk: their steps, which are nearly all of them, as columns.

rows ─┬─ StepStarted | StepCompleted with an inline result ─ columns, tags checked together ─┐
      └─ all others ─ one by one (reread.py) ─────────────────────────────────── in order ──┴─>
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from evercell.events import Payload, StepCompleted, StepStarted
from evercell.history.arrow import read
from evercell.history.reread import stored_events
from evercell.history.rows import row_message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from evercell.events import Event
    from evercell.history.arrow import Chunk
    from evercell.history.step_pages import Proof

__all__ = ["events_of_runs"]

# Short ones: DuckDB hands out up to a million rows at once, with texts of two gigabytes at most.
_STARTED = """type = 'StepStarted' AND tag IS NOT NULL AND activity_id IS NOT NULL
    AND cell IS NOT NULL AND slot IS NOT NULL AND name IS NOT NULL AND key IS NOT NULL
    AND ordinal IS NOT NULL AND at_most_once IS NOT NULL AND strlen(arguments) <= 2000"""

_COMPLETED = """type = 'StepCompleted' AND tag IS NOT NULL AND activity_id IS NOT NULL
    AND attempt IS NOT NULL AND duration_ns IS NOT NULL AND codec IS NOT NULL
    AND payload_id IS NOT NULL AND octet_length(payload_data) = payload_size
    AND payload_size <= 2000 AND view IS NULL AND reason IS NULL"""

_STARTS = f"""
SELECT run_id, seq, at_ns, tag, activity_id, cell, slot, name, key, ordinal, arguments,
    CAST(at_most_once AS INTEGER) AS once
FROM store.event WHERE run_id IN (SELECT unnest($among)) AND {_STARTED} ORDER BY seq
"""  # noqa: S608 - a text of this module

_ENDS = f"""
SELECT run_id, seq, at_ns, tag, activity_id, attempt, duration_ns, codec, payload_id, payload_data
FROM store.event WHERE run_id IN (SELECT unnest($among)) AND {_COMPLETED} ORDER BY seq
"""  # noqa: S608 - a text of this module

_OTHERS = f"(({_STARTED}) OR ({_COMPLETED})) IS DISTINCT FROM true"

_Made = tuple[list["Event"], list[tuple[object, ...]]]
"""Events, and what the tags of their rows say."""


def events_of_runs(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str], proof: Proof
) -> dict[str, list[Event]]:
    """Each run's events in their order, those that are this user's and unchanged."""
    rows: dict[str, list[tuple[int, Event]]] = {run_id: [] for run_id in run_ids}
    for sql, make in ((_STARTS, _starts), (_ENDS, _ends)):
        for chunk in read(connection.sql(sql, params={"among": list(run_ids)})):
            for seq, event in _proved(chunk, *make(chunk), proof):
                rows[event.run_id].append((seq, event))
    for stored in stored_events(connection, among=run_ids, only=_OTHERS):
        if stored.event is None:
            continue
        if proof.holds(stored.tag, row_message(stored.seq, stored.event, stored.body)):
            rows[stored.event.run_id].append((stored.seq, stored.event))
    for found in rows.values():
        found.sort(key=itemgetter(0))  # of parts that are in order, so they are merged
    return {run_id: [event for _, event in found] for run_id, found in rows.items()}


def _proved(
    chunk: Chunk, events: list[Event], messages: list[tuple[object, ...]], proof: Proof
) -> Iterator[tuple[int, Event]]:
    tags = chunk.items("tag").cut(0, chunk.rows)
    rows = zip(chunk.numbers("seq"), events, strict=True)
    if proof.tags(messages) == tags:  # nearly always
        yield from rows
        return
    for row, tag, message in zip(rows, tags, messages, strict=True):
        if proof.holds(tag, message):
            yield row


def _starts(chunk: Chunk) -> _Made:
    rows = chunk.rows
    names = ("run_id", "activity_id", "cell", "slot", "name")
    texts = [chunk.items(name).texts(0, rows) for name in names]
    keys, arguments = chunk.items("key").cut(0, rows), chunk.items("arguments").texts(0, rows)
    numbers = (chunk.numbers(name) for name in ("at_ns", "seq", "ordinal", "once"))
    events: list[Event] = []
    messages: list[tuple[object, ...]] = []
    for run_id, activity_id, cell, slot, name, key, shown, at, seq, ordinal, flag in zip(
        *texts, keys, arguments, *numbers, strict=True
    ):
        once = bool(flag)
        events.append(
            StepStarted(run_id, at, activity_id, cell, slot, name, key, ordinal, shown, once)
        )
        messages.append((run_id, seq, "StepStarted", activity_id, slot, key, ordinal, once))
    return events, messages


def _ends(chunk: Chunk) -> _Made:
    rows = chunk.rows
    names = ("run_id", "activity_id", "codec")
    texts = [chunk.items(name).texts(0, rows) for name in names]
    identities, data = (chunk.items(name).cut(0, rows) for name in ("payload_id", "payload_data"))
    numbers = (chunk.numbers(name) for name in ("at_ns", "seq", "attempt", "duration_ns"))
    events: list[Event] = []
    messages: list[tuple[object, ...]] = []
    for run_id, activity_id, codec, identity, stored, at, seq, attempt, duration in zip(
        *texts, identities, data, *numbers, strict=True
    ):
        size = len(stored)
        payload = Payload(identity, codec, size, stored)
        events.append(StepCompleted(run_id, at, activity_id, attempt, payload, None, duration))
        messages.append(
            (run_id, seq, "StepCompleted", activity_id, attempt, codec, identity, size, stored)
        )
    return events, messages
