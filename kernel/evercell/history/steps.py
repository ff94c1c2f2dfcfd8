"""What a slot's steps came to: read in one go, checked and built when asked for.

A resumed cell asks for each of its steps once, perhaps for a hundred thousand of them; a cell that
was edited may ask for none. So a row stays a row until its call is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.events import ErrorInfo, HeartbeatRecorded, Payload, decode_event
from evercell.history.queries import Check, StepRecord, StepStatus

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

__all__ = ["StepTable", "step_table"]

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
    s.key, s.ordinal, s.activity_id, s.seq, s.tag, e.seq, e.tag, e.payload_id, e.payload_data,
    -- Nearly all steps are alike in the rest, and a value costs more to fetch than to find.
    CASE
        WHEN e.type = 'StepCompleted' AND e.attempt = 1 AND NOT s.at_most_once
            AND e.codec = 'json' AND e.payload_size = octet_length(e.payload_data) THEN NULL
        ELSE {
            'once': s.at_most_once, 'type': e.type, 'attempt': e.attempt, 'codec': e.codec,
            'size': e.payload_size, 'error': e.error_type, 'message': e.error_message,
            'traceback': e.error_traceback
        }
    END
FROM started s
JOIN latest l USING (activity_id)
JOIN store.event e ON e.seq = l.seq AND e.activity_id = s.activity_id AND e.run_id = $run_id
ORDER BY s.seq
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

_STATUS: dict[str, StepStatus] = {
    "StepStarted": "in doubt",
    "AttemptStarted": "in doubt",
    "AttemptFailed": "retrying",
    "StepCompleted": "completed",
    "StepFailed": "failed",
    "StepCanceled": "canceled",
}

_NO_ERROR = (None, None, None)


class StepTable:
    """A slot's steps by (key, ordinal), in the order of their first calls.

    A record that fails its check is as one that was never made. `heartbeats` are the details of
    each step's latest heartbeat, by activity_id.
    """

    def __init__(
        self,
        run_id: str = "",
        slot: str = "",
        rows: list[Any] | None = None,
        check: Check = lambda _tag, _message: True,
    ) -> None:
        self._run_id = run_id
        self._slot = slot
        self._check = check
        self.heartbeats: dict[str, Payload] = {}
        rows = rows or []
        # Each entry is a row, a StepRecord, or None: refused.
        self._entries: dict[tuple[bytes, int], Any] = {(row[0], row[1]): row for row in rows}
        if len(self._entries) < len(rows):
            self._entries = {}
            for row in rows:
                self._add(row)

    def __len__(self) -> int:
        return len(self._entries)

    def __setitem__(self, call: tuple[bytes, int], record: StepRecord) -> None:
        self._entries[call] = record

    def get(self, call: tuple[bytes, int]) -> StepRecord | None:
        """The record of the call with this key and ordinal; None if there is none that holds."""
        entry = self._entries.get(call)
        if type(entry) is tuple:
            entry = self._entries[call] = self._record(entry)
        return entry

    def records(self) -> Iterator[StepRecord]:
        """All that hold."""
        for call in list(self._entries):
            record = self.get(call)
            if record is not None:
                yield record

    def _add(self, row: Any) -> None:
        call = row[0], row[1]
        if call in self._entries and self._record(row) is None:
            return  # someone put it there: it must not hide the real one
        self._entries[call] = row

    def _record(self, row: Any) -> StepRecord | None:
        key, ordinal, activity_id, first, first_tag, seq, tag, identity, data, rest = row
        once = rest is not None and rest["once"]
        start = (self._run_id, first, "StepStarted", activity_id, self._slot, key, ordinal, once)
        if not self._check(first_tag, start):
            return None
        if rest is not None:
            return self._unusual(row, rest)
        about = (activity_id, 1, "json", identity, len(data), *_NO_ERROR)
        if not self._check(tag, (self._run_id, seq, "StepCompleted", *about)):
            return None
        result = Payload(identity, "json", len(data), data)
        return StepRecord(activity_id, key, ordinal, "completed", 1, False, result, None)

    def _unusual(self, row: Any, rest: dict[str, Any]) -> StepRecord | None:
        key, ordinal, activity_id, _, _, seq, tag, identity, data, _ = row
        kind, attempt, codec, size = (rest[name] for name in ("type", "attempt", "codec", "size"))
        error = rest["error"], rest["message"], rest["traceback"]
        if kind != "StepStarted":
            about = (activity_id, attempt, codec, identity, size, *error)
            if not self._check(tag, (self._run_id, seq, kind, *about)):
                return None
        result = Payload(identity, codec, size, data) if codec is not None else None
        failure = None
        if kind in {"StepFailed", "AttemptFailed"}:
            failure, result = ErrorInfo(*error, result), None
        return StepRecord(
            activity_id, key, ordinal, _STATUS[kind], attempt, rest["once"], result, failure
        )


def step_table(
    connection: duckdb.DuckDBPyConnection, run_id: str, slot: str, check: Check
) -> StepTable:
    """The latest state of each step in the slot."""
    rows = connection.execute(_STEPS, {"run_id": run_id, "slot": slot}).fetchall()
    table = StepTable(run_id, slot, rows, check)
    beats = connection.execute(_HEARTBEATS, {"run_id": run_id, "slot": slot}).fetchall()
    for activity_id, seq, kind, body, tag in beats:
        if check(tag, (run_id, seq, kind, body)):
            event = decode_event(body)
            if isinstance(event, HeartbeatRecorded) and event.payload is not None:
                table.heartbeats[activity_id] = event.payload
    return table
