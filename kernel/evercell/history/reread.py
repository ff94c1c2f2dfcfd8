"""Rows of `store.event` as the events they were: the way back from `rows.py`."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evercell import events as e
from evercell.history.rows import row_message
from evercell.history.seals import COVERED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence, Set

    import duckdb

    from evercell.history.queries import Check
    from evercell.history.seals import Place

__all__ = ["StoredEvent", "holds", "run_events", "stored_events"]

_COLUMNS = (
    "run_id", "at_ns", "type", "activity_id", "cell", "slot", "name", "key", "ordinal", "arguments",
    "at_most_once", "attempt", "duration_ns", "reason", "retry_delay_ns", "error_type",
    "error_message", "error_traceback", "codec", "payload_id", "payload_size", "payload_data",
    "view", "answered", "detail", "body",
)  # fmt: skip

Row = dict[str, Any]


def run_events(
    connection: duckdb.DuckDBPyConnection, run_id: str, *, hosted: bool = False
) -> list[e.Event]:
    """All events of a run, in order; with `hosted`, followed by those of the workflows' runs that
    it carries, the earliest run first, each in its order."""
    by_run: dict[str, list[e.Event]] = {run_id: []}
    for stored in stored_events(connection, run_id, hosted=hosted):
        if stored.event is not None:
            by_run.setdefault(stored.event.run_id, []).append(stored.event)
    own = by_run.pop(run_id)
    runs = sorted(by_run.values(), key=lambda events: events[0].at)
    return [*own, *chain.from_iterable(runs)]


class StoredEvent(NamedTuple):
    """A row of `store.event`."""

    writer: str
    position: int
    generation: int
    seq: int
    tag: bytes | None
    block: int | None
    event: e.Event | None  # None: what the row holds is no event
    body: bytes  # the event's encoded form, where the row keeps it; else empty


def holds(stored: StoredEvent, check: Check, proved: Set[Place]) -> bool:
    """Whether a row is proved: by itself, as `check` tells, or with its block."""
    event = stored.event
    if event is None:
        return False
    kind = type(event).__name__
    if kind not in COVERED:
        return check(stored.tag, row_message(stored.seq, event, stored.body))
    if stored.block is None:
        return check(None, ())
    return not stored.body and (event.run_id, kind, stored.block) in proved


_HOSTED = """ OR run_id IN (
    SELECT run_id FROM store.event WHERE type = 'RunStarted' AND host_run = $run_id
)"""
_PLACE = ("writer", "position", "generation", "seq", "tag", "block")


def stored_events(
    connection: duckdb.DuckDBPyConnection,
    run_id: str | None = None,
    *,
    types: tuple[type[e.Event], ...] = (),
    hosted: bool = False,
    among: Sequence[str] | None = None,
    only: str = "true",
) -> Iterator[StoredEvent]:
    """The rows of a run in its order, or of all runs, or of those `among` which they are to be, by
    writer and position; of some types, and those for which the SQL of `only` holds. With `hosted`,
    also the rows of the workflows' runs that the run carries, each in its order.

    They are read in parts: other work on the connection has to wait for the last one.
    """
    order = "seq, writer" if run_id else "writer, position"
    chosen = "true" if among is None else "run_id IN (SELECT unnest($among))"
    cursor = connection.execute(
        f"SELECT {', '.join((*_PLACE, *_COLUMNS))} FROM store.event "  # noqa: S608
        f"WHERE ($run_id IS NULL OR run_id = $run_id{_HOSTED if hosted else ''}) "
        "AND (len($types) = 0 "
        f"OR list_contains($types, type)) AND {chosen} AND {only} ORDER BY {order}",
        {
            "run_id": run_id,
            "types": [kind.__name__ for kind in types],
            **({} if among is None else {"among": list(among)}),
        },
    )
    while rows := cursor.fetchmany(10_000):
        for row in rows:
            writer, position, generation, seq, tag, block, *values = row
            event = _event_or_none(dict(zip(_COLUMNS, values, strict=True)))
            body = row[-1] or b""
            yield StoredEvent(writer, position, generation, seq, tag, block, event, body)


def _event_or_none(row: Row) -> e.Event | None:
    try:
        return _event(row)
    except (msgspec.DecodeError, KeyError, TypeError):
        return None  # another program wrote it: `evercell verify` names it


def _event(row: Row) -> e.Event:
    if row["body"] is not None:
        return e.decode_event(row["body"])
    return _MAKERS[row["type"]](row)


def _payload(row: Row) -> e.Payload:
    return e.Payload(row["payload_id"], row["codec"], row["payload_size"], row["payload_data"])


def _error(row: Row) -> e.ErrorInfo:
    payload = None if row["codec"] is None else _payload(row)
    return e.ErrorInfo(row["error_type"], row["error_message"], row["error_traceback"], payload)


def _head(row: Row) -> tuple[str, int, str]:
    return row["run_id"], row["at_ns"], row["activity_id"]


def _usage(row: Row) -> e.UsageRecorded:
    told = msgspec.json.decode(row["detail"])
    return e.UsageRecorded(
        *_head(row),
        row["attempt"],
        told["model"],
        told["input_tokens"],
        told["output_tokens"],
        told["cost"],
    )


_MAKERS: dict[str, Callable[[Row], e.Event]] = {
    "StepStarted": lambda row: e.StepStarted(
        *_head(row),
        row["cell"],
        row["slot"],
        row["name"],
        row["key"],
        row["ordinal"],
        row["arguments"],
        row["at_most_once"],
    ),
    "AttemptStarted": lambda row: e.AttemptStarted(*_head(row), row["cell"], row["attempt"]),
    "AttemptFailed": lambda row: e.AttemptFailed(
        *_head(row), row["attempt"], _error(row), row["retry_delay_ns"]
    ),
    "StepCompleted": lambda row: e.StepCompleted(
        *_head(row), row["attempt"], _payload(row), row["view"], row["duration_ns"], row["reason"]
    ),
    "StepFailed": lambda row: e.StepFailed(
        *_head(row), row["attempt"], _error(row), row["reason"], row["duration_ns"]
    ),
    "StepCanceled": lambda row: e.StepCanceled(*_head(row), row["attempt"], row["reason"]),
    "StepsAnswered": lambda row: e.StepsAnswered(
        row["run_id"], row["at_ns"], row["cell"], tuple(row["answered"])
    ),
    "UsageRecorded": _usage,
}
