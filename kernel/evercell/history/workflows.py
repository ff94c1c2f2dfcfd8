"""The runs of workflow functions, as the process that carries them reads them: checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.events import Event, RunFinished, RunStarted, decode_event
from evercell.history.reread import stored_events
from evercell.history.rows import shape_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import duckdb

    from evercell.history.queries import Check

__all__ = ["last_closed", "open_workflows", "workflow_end", "workflow_events"]

_OPEN = """
SELECT run_id, seq, type, body, tag FROM store.event s
WHERE type = 'RunStarted' AND detail->>'$.start.host' = $host
    AND NOT EXISTS (FROM store.event f WHERE f.run_id = s.run_id AND f.type = 'RunFinished')
ORDER BY rowid
"""

_CLOSED = """
SELECT s.run_id FROM store.event s
JOIN store.event f ON f.run_id = s.run_id AND f.type = 'RunFinished'
WHERE s.type = 'RunStarted' AND s.detail->>'$.start.host' = $host
    AND s.detail->>'$.start.workflow_id' = $workflow_id
ORDER BY s.rowid DESC LIMIT 1
"""


def open_workflows(
    connection: duckdb.DuckDBPyConnection, host: str, check: Check
) -> list[RunStarted]:
    """The open runs that the notebook's run `host` carries, in the order of their starts."""
    rows: list[Any] = connection.execute(_OPEN, {"host": host}).fetchall()
    found = []
    for run_id, seq, kind, body, tag in rows:
        event = decode_event(body) if check(tag, (run_id, seq, kind, body)) else None
        if isinstance(event, RunStarted):
            found.append(event)
    return found


def workflow_events(
    connection: duckdb.DuckDBPyConnection, run_ids: Sequence[str], check: Check
) -> Iterator[tuple[str, list[Event]]]:
    """Each run's events in order; what fails `check` is left out."""
    for run_id in run_ids:
        events = []
        for stored in stored_events(connection, run_id):
            if stored.event is None:
                continue
            trusted = shape_of(stored.event).trusted(stored.event, stored.body)
            kind = type(stored.event).__name__
            if check(stored.tag, (run_id, stored.seq, kind, *trusted)):
                events.append(stored.event)
        yield run_id, events


def workflow_end(
    connection: duckdb.DuckDBPyConnection, run_id: str, check: Check
) -> RunFinished | None:
    """How the run ended; None while it is open or unknown."""
    rows: list[Any] = connection.execute(
        """SELECT seq, type, body, tag FROM store.event
        WHERE run_id = ? AND type = 'RunFinished' ORDER BY seq DESC LIMIT 1""",
        [run_id],
    ).fetchall()
    for seq, kind, body, tag in rows:
        event = decode_event(body) if check(tag, (run_id, seq, kind, body)) else None
        if isinstance(event, RunFinished):
            return event
    return None


def last_closed(connection: duckdb.DuckDBPyConnection, host: str, workflow_id: str) -> str | None:
    """The latest closed run with this workflow id."""
    row: Any = connection.execute(_CLOSED, {"host": host, "workflow_id": workflow_id}).fetchone()
    return None if row is None else str(row[0])
