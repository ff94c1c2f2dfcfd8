"""The runs of workflow functions, as the process that carries them reads them: checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.events import Event, RunFinished, RunStarted, UpdateCompleted, decode_event
from evercell.history.run_pages import events_of_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import duckdb

    from evercell.history.queries import Check

__all__ = ["WorkflowHistory"]

_OPEN = """
SELECT run_id, seq, type, body, tag FROM store.event s
WHERE type = 'RunStarted' AND detail->>'$.start.host' = $host
    AND NOT EXISTS (FROM store.event f WHERE f.run_id = s.run_id AND f.type = 'RunFinished')
ORDER BY rowid
"""

_MESSAGE = """
SELECT run_id, seq, type, body, tag FROM store.event
WHERE type IN (
        'SignalReceived', 'UpdateAccepted', 'CancelRequested', 'ScheduleFired', 'ApprovalAnswered',
        'CommandReceived'
    )
    AND $id IN (detail->>'$.signal_id', detail->>'$.update_id', detail->>'$.command_id')
"""

_UPDATE_END = """
SELECT run_id, seq, type, body, tag FROM store.event
WHERE type = 'UpdateCompleted' AND detail->>'$.update_id' = $id
"""

_STARTED_BY = """
SELECT run_id, seq, type, body, tag FROM store.event
WHERE type = 'RunStarted' AND detail->>'$.start.caller' = $id
"""

_CLOSED = """
SELECT s.run_id FROM store.event s
JOIN store.event f ON f.run_id = s.run_id AND f.type = 'RunFinished'
WHERE s.type = 'RunStarted' AND s.detail->>'$.start.host' = $host
    AND s.detail->>'$.start.workflow_id' = $workflow_id
ORDER BY s.rowid DESC LIMIT 1
"""


class WorkflowHistory:
    """Reads; only what is proved to be this user's. Each raises what `History.fold` raises."""

    def __init__(self, proved: Callable[..., Any]) -> None:
        """`proved(use)` calls `use(connection, proof)` with a folded history."""
        self._proved = proved

    def _checked(self, use: Callable[[duckdb.DuckDBPyConnection, Check], Any]) -> Any:
        return self._proved(lambda it, proof: use(it, proof.holds))

    def open(self, host: str) -> list[RunStarted]:
        """The open runs that the notebook's run `host` carries, in the order of their starts."""
        found: list[RunStarted] = self._checked(lambda it, check: _open_runs(it, host, check))
        return found

    def events(self, run_ids: Sequence[str]) -> dict[str, list[Event]]:
        """The events of these runs, each in order."""
        found: dict[str, list[Event]] = self._proved(
            lambda it, proof: events_of_runs(it, run_ids, proof)
        )
        return found

    def end(self, run_id: str) -> RunFinished | None:
        """How the run ended; None while it is open or unknown."""
        found: RunFinished | None = self._checked(lambda it, check: _end(it, run_id, check))
        return found

    def last_closed(self, host: str, workflow_id: str) -> str | None:
        """The latest closed run with this workflow id that the notebook's run `host` carried."""
        found: str | None = self._checked(lambda it, _: _last_closed(it, host, workflow_id))
        return found

    def message(self, identity: str) -> Event | None:
        """The signal, update, answer, other command or triggered time of a schedule with this id,
        where a run has it recorded."""
        found: Event | None = self._checked(lambda it, check: _message(it, identity, check))
        return found

    def update_end(self, update_id: str) -> UpdateCompleted | None:
        """How the update ended; None while it is under way."""
        found: UpdateCompleted | None = self._checked(
            lambda it, check: _update_end(it, update_id, check)
        )
        return found

    def started_by(self, caller: str) -> str | None:
        """The run that the recorded call with this activity_id started, if it did."""
        found: Event | None = self._checked(
            lambda it, check: _first(it, _STARTED_BY, caller, check)
        )
        return None if found is None else found.run_id

    def schedules(self, host: str) -> list[Event]:
        """What was recorded of the schedules of the notebook's run `host`, in order."""
        found: list[Event] = self._checked(lambda it, check: _schedules(it, host, check))
        return found


def _open_runs(connection: duckdb.DuckDBPyConnection, host: str, check: Check) -> list[RunStarted]:
    rows: list[Any] = connection.execute(_OPEN, {"host": host}).fetchall()
    found = []
    for run_id, seq, kind, body, tag in rows:
        event = decode_event(body) if check(tag, (run_id, seq, kind, body)) else None
        if isinstance(event, RunStarted):
            found.append(event)
    return found


def _schedules(connection: duckdb.DuckDBPyConnection, host: str, check: Check) -> list[Event]:
    rows: list[Any] = connection.execute(
        """SELECT seq, type, body, tag FROM store.event
        WHERE run_id = ? AND type IN ('ScheduleSet', 'ScheduleFired') ORDER BY seq""",
        [host],
    ).fetchall()
    return [
        decode_event(body) for seq, kind, body, tag in rows if check(tag, (host, seq, kind, body))
    ]


def _message(connection: duckdb.DuckDBPyConnection, identity: str, check: Check) -> Event | None:
    return _first(connection, _MESSAGE, identity, check)


def _update_end(
    connection: duckdb.DuckDBPyConnection, update_id: str, check: Check
) -> UpdateCompleted | None:
    event = _first(connection, _UPDATE_END, update_id, check)
    return event if isinstance(event, UpdateCompleted) else None


def _first(
    connection: duckdb.DuckDBPyConnection, sql: str, identity: str, check: Check
) -> Event | None:
    rows: list[Any] = connection.execute(sql, {"id": identity}).fetchall()
    for run_id, seq, kind, body, tag in rows:
        if check(tag, (run_id, seq, kind, body)):
            return decode_event(body)
    return None


def _end(connection: duckdb.DuckDBPyConnection, run_id: str, check: Check) -> RunFinished | None:
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


def _last_closed(connection: duckdb.DuckDBPyConnection, host: str, workflow_id: str) -> str | None:
    rows = connection.execute(_CLOSED, {"host": host, "workflow_id": workflow_id}).fetchall()
    return str(rows[0][0]) if rows else None
