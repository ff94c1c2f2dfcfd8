"""What leaves the history one by one: a stored value, a query's result as a file."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.errors import UsageError
from evercell.events import Event, Payload, decode_event
from evercell.history.database import query_errors, quiet
from evercell.history.interrupts import held_interrupts, interruptible
from evercell.history.trust import payloads_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import duckdb

    from evercell.history.reader import Reader

__all__ = [
    "Result",
    "as_arrow",
    "as_polars",
    "no_result",
    "relation_of",
    "result_of",
    "write_parquet",
]

_BY_ACTIVITY = """
SELECT
    s.activity_id, s.name, s.status, s.error, e.payload_id, e.codec, e.payload_size, e.payload_data
FROM steps s
LEFT JOIN store.event e
    ON e.type = 'StepCompleted' AND e.run_id = s.run_id AND e.activity_id = s.activity_id
WHERE s.activity_id = $id
ORDER BY e.seq DESC LIMIT 1
"""
_BY_PAYLOAD = """
SELECT
    activity_id, NULL, 'completed', NULL, payload_id, codec, payload_size, payload_data
FROM store.event WHERE payload_id = unhex($id)
ORDER BY payload_data IS NULL LIMIT 1
"""
# Of what is kept whole, the ids of its payloads stand in the text for people.
_IN_BODY = """
SELECT body FROM store.event
WHERE body IS NOT NULL AND contains(CAST(detail AS VARCHAR), $id)
ORDER BY seq
"""
_PAYLOAD_ID = 32  # hexadecimal digits


class Result(msgspec.Struct, frozen=True):
    """A stored value and where it comes from: a step, or an event that names it. Without a
    payload, `status` and `error` say why."""

    activity_id: str | None
    name: str | None
    status: str
    error: str | None
    payload: Payload | None
    event: Event | None = None  # the one that names the payload, where it is no step's


def result_of(connection: duckdb.DuckDBPyConnection, identity: str) -> Result | None:
    """The step with this activity_id, or whatever is recorded with this payload id."""
    rows: list[Any] = connection.execute(_BY_ACTIVITY, {"id": identity}).fetchall()
    if not rows and _is_payload_id(identity):
        rows = connection.execute(_BY_PAYLOAD, {"id": identity}).fetchall()
    for activity, name, status, error, key, codec, size, data in rows:
        done = status == "completed" and key is not None
        payload = Payload(key, codec, size, data) if done else None
        return Result(activity, name, status, error, payload)
    return _in_body(connection, identity) if _is_payload_id(identity) else None


def _in_body(connection: duckdb.DuckDBPyConnection, identity: str) -> Result | None:
    for (body,) in connection.execute(_IN_BODY, {"id": identity}).fetchall():
        event = decode_event(body)
        for payload in payloads_of(event):
            if payload.id.hex() == identity:
                activity = getattr(event, "activity_id", None)
                return Result(activity, None, "completed", None, payload, event)
    return None


def no_result(identity: str, folder: Path) -> UsageError:
    """The error for an id that is no step's and no stored result's."""
    return UsageError(
        f"{folder} has no step and no stored value with the id {identity!r}. An id is what the "
        "column activity_id of the view steps holds, or a payload id: the columns result_id, "
        "input_id and payload_id of the views, and the fields id of payloads in events."
    )


def relation_of(
    reader: Reader, sql: str, parameters: Mapping[str, object] | None
) -> duckdb.DuckDBPyRelation:
    """A query's result as a relation of its own, in memory, which holds no lock on the history."""
    import duckdb  # noqa: PLC0415 - costs tens of milliseconds

    with held_interrupts():  # DuckDB would make a RuntimeError of one
        own = quiet(duckdb.connect())

    def run(_: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyRelation:
        with query_errors():
            path = str(reader.path).replace("'", "''")
            own.execute(f"ATTACH '{path}' AS history (READ_ONLY)")
            own.execute("USE history")
            make = f"CREATE TABLE memory.main.result AS FROM ({sql.rstrip().rstrip(';')}\n)"
            given = dict(parameters) if parameters else None
            interruptible(own, lambda: own.execute(make, given))
            own.execute("USE memory")
            own.execute("DETACH history")
            return own.table("result")

    return reader.read(run, shared=True)


def write_parquet(relation: duckdb.DuckDBPyRelation, path: Path) -> None:
    """Write `relation` to `path`, which is whole or what it was before; durations as seconds,
    because most readers of Parquet know no intervals. Raises UsageError."""
    import duckdb  # noqa: PLC0415 - costs tens of milliseconds

    plain, _ = _without_intervals(relation, "epoch")
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        plain.write_parquet(str(draft), compression="zstd")
        draft.replace(path)
    except (duckdb.IOException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f"{path} could not be written: {reason}.") from error
    finally:
        draft.unlink(missing_ok=True)


def as_arrow(relation: duckdb.DuckDBPyRelation) -> Any:
    """The relation as an Arrow table, intervals as Arrow's durations, which everybody can read."""
    import pyarrow as pa  # noqa: PLC0415 - heavy, and not everybody has it

    plain, durations = _without_intervals(relation, "epoch_us")
    table = plain.to_arrow_table()
    for index in durations:
        column = table.column(index).cast(pa.duration("us"))
        table = table.set_column(index, table.column_names[index], column)
    return table


def as_polars(relation: duckdb.DuckDBPyRelation) -> Any:
    """The relation as a polars DataFrame, which knows durations and no intervals."""
    import polars  # noqa: PLC0415 - heavy, and not everybody has it

    return polars.from_arrow(as_arrow(relation))


def _without_intervals(
    relation: duckdb.DuckDBPyRelation, convert: str
) -> tuple[duckdb.DuckDBPyRelation, list[int]]:
    """The relation with `convert` around its intervals, and the places of these columns."""
    kinds = [str(kind) for kind in relation.types]
    columns = [
        f"{convert}({_quoted(name)}) AS {_quoted(name)}" if kind == "INTERVAL" else _quoted(name)
        for name, kind in zip(relation.columns, kinds, strict=True)
    ]
    places = [index for index, kind in enumerate(kinds) if kind == "INTERVAL"]
    return relation.project(", ".join(columns)), places


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_payload_id(identity: str) -> bool:
    return len(identity) == _PAYLOAD_ID and all(it in "0123456789abcdef" for it in identity)
