"""What resuming and listing read from the database: SQL in, plain structs out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from evercell.events import (
    CellCompleted,
    CellFailed,
    CellStarted,
    ErrorInfo,
    Event,
    Payload,
    RunAttached,
    RunStarted,
    decode_event,
)
from evercell.history.lineage import Shared, ended_waits, lineage

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

    from evercell.history.keys import UserKey

__all__ = [
    "Attachment",
    "Check",
    "KnownRun",
    "RunRecord",
    "RunStatus",
    "StepRecord",
    "StepStatus",
    "Table",
    "cell_events",
    "foreign_keys",
    "known_runs",
    "latest_attachment",
    "named_run",
    "run_records",
    "same_parameters",
    "step_slots",
    "wait_events",
]

Check = Callable[["bytes | None", "tuple[object, ...]"], bool]
"""Whether a row's tag holds for its message: the row is this user's, and unchanged."""

RunStatus = Literal[
    "running", "stopped", "completed", "failed", "canceled", "terminated", "timed out",
    "continued as new",
]  # fmt: skip
StepStatus = Literal["completed", "failed", "in doubt", "canceled", "retrying"]


class Table(msgspec.Struct, frozen=True):
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


class KnownRun(msgspec.Struct, frozen=True):
    """A run that could be resumed."""

    run_id: str
    parameters: dict[str, Any]
    notebook: str | None  # where it was last seen
    kernel_id: str | None  # of the latest attachment
    generation: int


class Attachment(msgspec.Struct, frozen=True):
    """A kernel process's hold of a run."""

    generation: int
    writer: str
    host: str
    detached: bool  # in good order


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
    shared: bool = False  # another run's, from which this one was forked


_RUNS = """
SELECT
    r.run_id, r.workflow, r.notebook, CAST(r.parameters AS VARCHAR), r.status, s.at_ns,
    epoch_us(r.last_activity) * 1000, r.generation, r.kernel_id, r.pid, r.host, r.cells, r.steps
FROM runs r
JOIN store.event s ON s.run_id = r.run_id AND s.type = 'RunStarted'
ORDER BY s.rowid
"""

_WHOLE = """
SELECT seq, type, body, tag FROM store.event
WHERE run_id = $run_id AND list_contains($types, type) AND seq <= $top
ORDER BY seq
"""
_LAST = 2**63 - 1  # any place in a run's order comes before
_CELLS = [
    "CellStarted", "CellCompleted", "CellFailed", "CellRestored", "CellAccepted", "CellForgotten",
    "CellVerified",
]  # fmt: skip
_WAITS = [
    "TimerStarted", "TimerFired", "TimerCanceled", "SignalAwaited", "SignalTaken",
    "SignalReceived", "ApprovalRequested", "ApprovalAnswered", "CancelRequested", "CommandReceived",
]  # fmt: skip

_NAMED = """
SELECT run_id FROM store.event WHERE type = 'RunStarted' AND starts_with(run_id, $run)
UNION ALL
SELECT arg_max(run_id, rowid) FROM store.event
WHERE type = 'RunStarted' AND (detail->>'$.start.workflow_id') = $run
"""

# In the order of folding, which keeps that of each writer: a process folds before it takes a run.
_ATTACHED = """
WITH rows AS (
    SELECT
        run_id, seq, type, body, tag, writer, rowid AS place,
        row_number() OVER (PARTITION BY writer ORDER BY rowid) AS by_place,
        row_number() OVER (PARTITION BY writer ORDER BY position) AS by_position
    FROM store.event
    WHERE type IN ('RunStarted', 'RunAttached')
)
SELECT run_id, seq, type, body, tag
FROM rows
JOIN (SELECT writer, place AS place_of_it, by_place AS number FROM rows) places
    ON places.writer = rows.writer AND places.number = rows.by_position
ORDER BY place_of_it
"""


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


def latest_attachment(connection: duckdb.DuckDBPyConnection, run_id: str) -> Attachment:
    """The run's latest attachment; generation 0 without one.

    Any row counts, tagged or not: the next generation must be a new number.
    """
    rows: list[Any] = connection.execute(
        """SELECT a.generation, a.writer, a.detail->>'$.host', EXISTS (
            FROM store.event d
            WHERE d.run_id = a.run_id AND d.type = 'RunDetached' AND d.generation = a.generation
        )
        FROM store.event a WHERE a.run_id = ? AND a.type = 'RunAttached'
        ORDER BY a.generation DESC, a.seq DESC LIMIT 1""",
        [run_id],
    ).fetchall()
    return Attachment(*rows[0]) if rows else Attachment(0, "", "", detached=True)


def cell_events(connection: duckdb.DuckDBPyConnection, run_id: str, check: Check) -> list[Event]:
    """The run's cell events in order, as they were recorded, after those that it shares; those
    that fail `check` are left out, and ends whose beginning is."""
    begun: set[str] = set()
    events: list[Event] = []
    runs = [*lineage(connection, run_id, check), Shared(run_id, _LAST, _LAST)]
    for event in chain.from_iterable(
        _whole_events(connection, run.run_id, run.top, _CELLS, check) for run in runs
    ):
        match event:
            case CellStarted(activity_id=activity):
                begun.add(activity)
            case CellCompleted(activity_id=activity) | CellFailed(activity_id=activity):
                if activity not in begun:
                    continue
        events.append(event)
    return events


def wait_events(connection: duckdb.DuckDBPyConnection, run_id: str, check: Check) -> list[Event]:
    """What a run's cells waited for, what reached them, and commands, in order, after what ended
    of that in runs that it shares; those that fail `check` are left out."""
    shared = [
        event
        for run in lineage(connection, run_id, check)
        for event in ended_waits(_whole_events(connection, run.run_id, run.waits, _WAITS, check))
    ]
    return [*shared, *_whole_events(connection, run_id, _LAST, _WAITS, check)]


def _whole_events(
    connection: duckdb.DuckDBPyConnection, run_id: str, top: int, types: list[str], check: Check
) -> Iterator[Event]:
    rows = connection.execute(_WHOLE, {"run_id": run_id, "types": types, "top": top}).fetchall()
    for seq, kind, body, tag in rows:
        if check(tag, (run_id, seq, kind, body)):
            yield decode_event(body)


def named_run(connection: duckdb.DuckDBPyConnection, run: str) -> str | None:
    """The run whose id begins so, if it is one, or else the latest with this workflow id."""
    rows = connection.execute(_NAMED, {"run": run}).fetchall()
    *begin_so, (named,) = rows
    if len(begin_so) == 1:
        return str(begin_so[0][0])
    return None if begin_so or named is None else str(named)


def known_runs(connection: duckdb.DuckDBPyConnection, check: Check) -> list[KnownRun]:
    """The notebooks' runs that are proved to be this user's, in the order in which they were
    started, or attached to last."""
    runs: dict[str, KnownRun] = {}
    rows = connection.execute(_ATTACHED).fetchall()
    for run_id, seq, kind, body, tag in rows:
        if not check(tag, (run_id, seq, kind, body)):
            continue
        match decode_event(body):
            case RunStarted(start=None) as event:
                runs[run_id] = KnownRun(run_id, event.parameters, event.notebook, None, 0)
            case RunAttached() as event if run_id in runs:
                run = runs[run_id]
                if event.generation > run.generation:
                    del runs[run_id]  # it is the last one now
                    runs[run_id] = KnownRun(
                        run_id,
                        run.parameters,
                        event.notebook or run.notebook,
                        event.kernel_id,
                        event.generation,
                    )
            case _:
                pass
    return list(runs.values())


def step_slots(connection: duckdb.DuckDBPyConnection, run_id: str, check: Check) -> dict[str, int]:
    """How many steps each of the run's slots has, with those that it shares; slots without any are
    absent."""
    found: Counter[str] = Counter()
    for run in (*lineage(connection, run_id, check), Shared(run_id, _LAST, _LAST)):
        rows = connection.execute(
            """SELECT slot, count(*) FROM store.event
            WHERE run_id = ? AND type = 'StepStarted' AND seq <= ? GROUP BY slot""",
            [run.run_id, run.top],
        ).fetchall()
        found.update(dict(rows))
    return dict(found)


def foreign_keys(connection: duckdb.DuckDBPyConnection, key: UserKey) -> list[str]:
    """Ids of the other keys that records in this history are tagged with."""
    rows = connection.execute(
        "SELECT DISTINCT key FROM store.writer WHERE key <> ? ORDER BY key", [key.id]
    ).fetchall()
    return [known for (known,) in rows]
