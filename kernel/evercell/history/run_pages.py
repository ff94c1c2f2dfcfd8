"""Workflows' events in bulk: their steps, which are nearly all of them, as columns.

rows ─┬─ StepStarted | StepCompleted with an inline result ─ columns ──┐
      └─ all others ─ one by one (reread.py) ──────────── in order ──┴─>
"""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING

from evercell.events import Payload, StepCompleted, StepStarted
from evercell.history.arrow import read
from evercell.history.reread import holds, stored_events
from evercell.history.seals import proved_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from evercell.events import Event
    from evercell.history.arrow import Chunk
    from evercell.history.step_ends import Proof

__all__ = ["events_of_runs"]

# Short ones: DuckDB hands out up to a million rows at once, with texts of two gigabytes at most.
_STARTED = """type = 'StepStarted' AND block IS NOT NULL AND activity_id IS NOT NULL
    AND cell IS NOT NULL AND slot IS NOT NULL AND name IS NOT NULL AND key IS NOT NULL
    AND ordinal IS NOT NULL AND at_most_once IS NOT NULL AND strlen(arguments) <= 2000"""

_COMPLETED = """type = 'StepCompleted' AND block IS NOT NULL AND activity_id IS NOT NULL
    AND attempt IS NOT NULL AND duration_ns IS NOT NULL AND codec IS NOT NULL
    AND payload_id IS NOT NULL AND octet_length(payload_data) = payload_size
    AND payload_size <= 2000 AND view IS NULL AND reason IS NULL"""

_STARTS = f"""
SELECT run_id, seq, at_ns, block, activity_id, cell, slot, name, key, ordinal, arguments,
    CAST(at_most_once AS INTEGER) AS once
FROM store.event WHERE run_id IN (SELECT unnest($among)) AND {_STARTED} ORDER BY seq
"""  # noqa: S608 - a text of this module

_ENDS = f"""
SELECT run_id, seq, at_ns, block, activity_id, attempt, duration_ns, codec, payload_id, payload_data
FROM store.event WHERE run_id IN (SELECT unnest($among)) AND {_COMPLETED} ORDER BY seq
"""  # noqa: S608 - a text of this module

_OTHERS = f"(({_STARTED}) OR ({_COMPLETED})) IS DISTINCT FROM true"

_Row = tuple[int, int, "Event"]
"""A row's seq and block, and its event."""


def events_of_runs(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str], proof: Proof
) -> dict[str, list[Event]]:
    """Each run's events in their order, those that are this user's and unchanged."""
    rows: dict[str, list[tuple[int, Event]]] = {run_id: [] for run_id in run_ids}
    proved = proved_blocks(connection, proof.holds, run_ids)
    for sql, make in ((_STARTS, _starts), (_ENDS, _ends)):
        for chunk in read(connection.sql(sql, params={"among": list(run_ids)})):
            for seq, block, event in make(chunk):
                if (event.run_id, type(event).__name__, block) in proved:
                    rows[event.run_id].append((seq, event))
    for stored in stored_events(connection, among=run_ids, only=_OTHERS):
        if stored.event is not None and holds(stored, proof.holds, proved):
            rows[stored.event.run_id].append((stored.seq, stored.event))
    for found in rows.values():
        found.sort(key=itemgetter(0))  # of parts that are in order, so they are merged
    return {run_id: [event for _, event in found] for run_id, found in rows.items()}


def _starts(chunk: Chunk) -> Iterator[_Row]:
    rows = chunk.rows
    names = ("run_id", "activity_id", "cell", "slot", "name")
    texts = [chunk.items(name).texts(0, rows) for name in names]
    keys, arguments = chunk.items("key").cut(0, rows), chunk.items("arguments").texts(0, rows)
    numbers = (chunk.numbers(name) for name in ("seq", "block", "at_ns", "ordinal", "once"))
    for seq, block, at, ordinal, once, run_id, activity_id, cell, slot, name, key, shown in zip(
        *numbers, *texts, keys, arguments, strict=True
    ):
        event = StepStarted(
            run_id, at, activity_id, cell, slot, name, key, ordinal, shown, bool(once)
        )
        yield seq, block, event


def _ends(chunk: Chunk) -> Iterator[_Row]:
    rows = chunk.rows
    names = ("run_id", "activity_id", "codec")
    texts = [chunk.items(name).texts(0, rows) for name in names]
    identities, data = (chunk.items(name).cut(0, rows) for name in ("payload_id", "payload_data"))
    numbers = (chunk.numbers(name) for name in ("seq", "block", "at_ns", "attempt", "duration_ns"))
    for seq, block, at, attempt, duration, run_id, activity_id, codec, identity, stored in zip(
        *numbers, *texts, identities, data, strict=True
    ):
        payload = Payload(identity, codec, len(stored), stored)
        event = StepCompleted(run_id, at, activity_id, attempt, payload, None, duration)
        yield seq, block, event
