"""What resuming and listing read from the database: SQL in, plain structs out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from evercell.events import ErrorInfo, Event, Payload, decode_event

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "RunRecord",
    "RunStatus",
    "StepRecord",
    "StepStatus",
    "Table",
    "cell_events",
    "latest_generation",
    "run_records",
    "same_parameters",
    "step_records",
    "step_slots",
]

RunStatus = Literal["running", "stopped", "completed", "failed", "canceled"]
StepStatus = Literal["completed", "failed", "in doubt", "canceled", "retrying"]


@dataclass(frozen=True, slots=True)
class Table:
    """A query's whole result."""

    columns: tuple[str, ...]
    types: tuple[str, ...]  # DuckDB's names: VARCHAR, BIGINT, ...
    rows: list[tuple[Any, ...]]


class RunRecord(msgspec.Struct, frozen=True):
    """A run as the history knows it."""

    run_id: str
    workflow: str
    notebook: str | None  # absolute path where it was last seen
    parameters: dict[str, Any]
    status: RunStatus
    started_at: int  # nanoseconds since the epoch
    last_activity: int  # the same
    generation: int  # of the latest attachment; 0 before the first
    kernel_id: str | None  # Jupyter's, at the latest attachment
    pid: int | None
    host: str | None
    cells: int
    steps: int


class StepRecord(msgspec.Struct, frozen=True, gc=False):  # a tree of plain data, and many
    """The latest state of a logical step.

    "in doubt": an attempt began and its end is not in the history. "retrying": the latest attempt
    failed, and its retry policy had not given up.
    """

    activity_id: str
    key: bytes
    ordinal: int
    status: StepStatus
    attempts: int
    at_most_once: bool
    result: Payload | None
    error: ErrorInfo | None


_RUNS = """
SELECT
    r.run_id, r.workflow, r.notebook, CAST(r.parameters AS VARCHAR), r.status, s.at_ns,
    epoch_us(r.last_activity) * 1000, r.generation, r.kernel_id, r.pid, r.host, r.cells, r.steps
FROM runs r
JOIN store.event s ON s.run_id = r.run_id AND s.type = 'RunStarted'
ORDER BY s.rowid
"""

_CELLS = """
SELECT body FROM store.event
WHERE run_id = $run_id
    AND type IN ('CellStarted', 'CellCompleted', 'CellFailed', 'CellRestored')
ORDER BY seq
"""

_STEPS = """
WITH started AS (
    SELECT activity_id, key, ordinal, at_most_once, seq
    FROM store.event
    WHERE run_id = $run_id AND slot = $slot AND type = 'StepStarted'
),
history AS (
    SELECT e.activity_id, max(e.seq) AS seq, max(e.attempt) AS attempts
    FROM store.event e SEMI JOIN started USING (activity_id)
    WHERE e.run_id = $run_id AND e.type IN (
        'StepStarted', 'AttemptStarted', 'AttemptFailed', 'StepCompleted', 'StepFailed',
        'StepCanceled'
    )
    GROUP BY e.activity_id
)
SELECT
    s.activity_id, s.key, s.ordinal, e.payload_id, e.payload_data,
    -- Nearly all steps are alike in the rest, and a value costs more to fetch than to find.
    CASE
        WHEN e.type = 'StepCompleted' AND h.attempts = 1 AND NOT s.at_most_once
            AND e.codec = 'json' AND e.payload_size = octet_length(e.payload_data) THEN NULL
        ELSE {
            'attempts': h.attempts, 'once': s.at_most_once, 'type': e.type, 'codec': e.codec,
            'size': e.payload_size, 'error': e.error_type, 'message': e.error_message,
            'traceback': e.error_traceback
        }
    END
FROM started s
JOIN history h USING (activity_id)
JOIN store.event e ON e.seq = h.seq AND e.activity_id = s.activity_id AND e.run_id = $run_id
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


def run_records(connection: duckdb.DuckDBPyConnection) -> list[RunRecord]:
    """Every run, in the order in which they were started.

    The order is that of folding, not of the clock: a process folds what is there before it
    starts a run, so a clock that jumps back does not make an old run the current one.
    """
    rows: list[Any] = connection.execute(_RUNS).fetchall()
    records = []
    for run_id, workflow, notebook, parameters, *rest in rows:
        known = msgspec.json.decode(parameters, type=dict[str, Any])
        records.append(RunRecord(run_id, workflow, notebook, known, *rest))
    return records


def same_parameters(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether both are the same JSON value: 1, 1.0 and true are three different ones."""
    return _canonical(one) == _canonical(other)


def _canonical(parameters: dict[str, Any]) -> bytes:
    return msgspec.json.encode(parameters, order="deterministic")


def latest_generation(connection: duckdb.DuckDBPyConnection, run_id: str) -> int:
    """The generation of the run's latest attachment, 0 without one."""
    row = connection.execute(
        "SELECT max(generation) FROM store.event WHERE run_id = ? AND type = 'RunAttached'",
        [run_id],
    ).fetchone()
    return int(row[0]) if row and row[0] is not None else 0


def cell_events(connection: duckdb.DuckDBPyConnection, run_id: str) -> list[Event]:
    """The run's cell events in order, as they were recorded."""
    rows = connection.execute(_CELLS, {"run_id": run_id}).fetchall()
    return [decode_event(body) for (body,) in rows]


def step_slots(connection: duckdb.DuckDBPyConnection, run_id: str) -> dict[str, int]:
    """How many steps each of the run's slots has; slots without any are absent."""
    rows = connection.execute(
        """SELECT slot, count(*) FROM store.event
        WHERE run_id = ? AND type = 'StepStarted' GROUP BY slot""",
        [run_id],
    ).fetchall()
    return dict(rows)


def step_records(connection: duckdb.DuckDBPyConnection, run_id: str, slot: str) -> list[StepRecord]:
    """The latest state of each step in the slot, in the order of their first calls."""
    rows: list[Any] = connection.execute(_STEPS, {"run_id": run_id, "slot": slot}).fetchall()
    records = []
    for activity_id, key, ordinal, identity, data, rest in rows:
        if rest is None:
            payload = Payload(identity, "json", len(data), data)
            record = StepRecord(activity_id, key, ordinal, "completed", 1, False, payload, None)
        else:
            result, error = _outcome(identity, data, rest)
            status, attempts, once = _STATUS[rest["type"]], rest["attempts"], rest["once"]
            record = StepRecord(activity_id, key, ordinal, status, attempts, once, result, error)
        records.append(record)
    return records


def _outcome(
    identity: bytes | None, data: bytes | None, rest: dict[str, Any]
) -> tuple[Payload | None, ErrorInfo | None]:
    codec, payload = rest["codec"], None
    if identity is not None and codec is not None:
        payload = Payload(identity, codec, rest["size"], data)
    if rest["type"] in {"StepFailed", "AttemptFailed"}:
        return None, ErrorInfo(rest["error"], rest["message"], rest["traceback"], payload)
    return payload, None
