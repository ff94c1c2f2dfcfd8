"""Events as rows of `store.event`: which columns each type fills, and how.

Types that fill the same columns share one `Shape`, so that a fold appends few, large batches.

Each row that comes from a journal of this user carries a tag under the user's key. It covers what
resuming relies on: whose result, of which call, in which order. A payload's bytes are covered by
its id. Texts that are there for people only (arguments, names, views, times) are not covered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from evercell import events as e
from evercell.history.arrow import insert

if TYPE_CHECKING:
    import duckdb

    from evercell.history.arrow import Kind
    from evercell.history.keys import UserKey

__all__ = [
    "BASE",
    "GENERATION_SHIFT",
    "KEPT_WHOLE",
    "KINDS",
    "READABLE",
    "VIEWED",
    "Columns",
    "Group",
    "Shape",
    "insert_rows",
    "row_message",
    "row_tag",
    "shape_of",
    "viewed",
]

BASE = ("writer", "position", "generation", "seq", "run_id", "at_ns", "type", "tag")
# What a column of `store.event` holds; the others hold text.
KINDS: dict[str, Kind] = {
    "position": "bigint", "generation": "int", "seq": "bigint", "at_ns": "bigint", "tag": "blob",
    "key": "blob", "ordinal": "int", "at_most_once": "bool", "attempt": "int",
    "duration_ns": "bigint", "retry_delay_ns": "bigint", "payload_id": "blob",
    "payload_size": "bigint", "payload_data": "blob", "answered": "texts", "body": "blob",
}  # fmt: skip
Columns = Mapping[str, Sequence[Any]]
"""Rows of `store.event` by column; those that are absent are null."""

GENERATION_SHIFT = 40  # positions stay below 2**40
_IN_COLUMNS = frozenset({"run_id", "at", "activity_id", "view"})


Getter = Callable[[Any], object]


@dataclass(frozen=True, slots=True, eq=False)  # looked up by identity, for each event
class Shape:
    """The columns behind BASE and how to get their values from an event; what its tag covers."""

    getters: Mapping[str, Getter]
    covered: Callable[[Any], tuple[object, ...]] | None  # None: its encoded form, kept in `body`

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names."""
        return (*self.getters, "body") if self.covered is None else tuple(self.getters)

    def values(self, event: e.Event, body: bytes) -> tuple[object, ...]:
        """The columns' values of `event`, whose encoded form is `body`."""
        values = tuple([get(event) for get in self.getters.values()])
        return (*values, body) if self.covered is None else values


@dataclass(frozen=True, slots=True)
class Group:
    """Events that fill the same columns, with what places each in the history."""

    shape: Shape
    events: list[e.Event]
    bodies: list[bytes]  # the same, encoded
    positions: list[int]
    seqs: list[int]

    def columns(self, writer: str, key: UserKey | None) -> Columns:
        """Their columns; with tags under `key`."""
        events, shape = self.events, self.shape
        columns: dict[str, Sequence[Any]] = {
            "writer": [writer] * len(events),
            "position": self.positions,
            "generation": [seq >> GENERATION_SHIFT for seq in self.seqs],
            "seq": self.seqs,
            "run_id": [event.run_id for event in events],
            "at_ns": [event.at for event in events],
            "type": [type(event).__name__ for event in events],
            "tag": [None] * len(events) if key is None else self._tags(key),
        }
        for name, get in shape.getters.items():
            columns[name] = [get(event) for event in events]
        if shape.covered is None:
            columns["body"] = self.bodies
        return columns

    def _tags(self, key: UserKey) -> list[bytes]:
        places = zip(self.events, self.seqs, self.bodies, strict=True)
        covered = self.shape.covered
        if covered is None:
            return key.tags((it.run_id, seq, type(it).__name__, body) for it, seq, body in places)
        return key.tags((it.run_id, seq, type(it).__name__, *covered(it)) for it, seq, _ in places)


def _error_payload(field: str) -> Getter:
    def get(event: e.StepFailed | e.AttemptFailed) -> object:
        payload = event.error.payload
        return None if payload is None else getattr(payload, field)

    return get


def viewed(event: Any, readable: Callable[[e.Payload], str | None]) -> Any:
    """The event with the JSON of its payload, where SQL can't read that in the event's row and the
    event has no JSON of its own; `readable` gives it."""
    if event.view is not None:
        return event
    payload = event.result if hasattr(event, "result") else getattr(event, "payload", None)
    if payload is None:
        return event
    view = readable(payload)
    if view is None and type(event) in VIEWED and payload.codec == "json" and payload.data:
        view = str(payload.data, "utf-8", "replace")
    return event if view is None else msgspec.structs.replace(event, view=view)


def _detail(event: e.Event) -> str:
    names = [name for name in event.__struct_fields__ if name not in _IN_COLUMNS]
    return msgspec.json.encode({name: _readable(getattr(event, name)) for name in names}).decode()


def _readable(value: object) -> object:
    """`value` as JSON for people: structs by field name, bytes as hex, no stored values."""
    match value:
        case e.Payload():
            return {"id": value.id.hex(), "codec": value.codec, "size": value.size}
        case msgspec.Struct():
            return {name: _readable(getattr(value, name)) for name in value.__struct_fields__}
        case bytes():
            return value.hex()
        case dict():
            return {name: _readable(part) for name, part in value.items()}
        case tuple() | list():
            return [_readable(part) for part in value]
        case _:
            return value


def row_message(seq: int, event: e.Event, body: bytes) -> tuple[object, ...]:
    """What the tag of the event's row says; `body` is its encoded form, for those kept whole."""
    covered = shape_of(event).covered
    trusted = (body,) if covered is None else covered(event)
    return (event.run_id, seq, type(event).__name__, *trusted)


def row_tag(key: UserKey, seq: int, event: e.Event, body: bytes) -> bytes:
    """The tag of the event's row."""
    return key.tag(row_message(seq, event, body))


def _shape(covered: Callable[[Any], tuple[object, ...]] | None, **fields: str | Getter) -> Shape:
    """Columns by name, each with the attribute that fills it, or a function of the event."""
    return Shape(
        {
            name: attrgetter(field) if isinstance(field, str) else field
            for name, field in fields.items()
        },
        covered,
    )


_ATTEMPT = {"activity_id": "activity_id", "attempt": "attempt"}
_ERROR: dict[str, str | Getter] = {
    "error_type": "error.type", "error_message": "error.message",
    "error_traceback": "error.traceback",
    "codec": _error_payload("codec"), "payload_id": _error_payload("id"),
    "payload_size": _error_payload("size"), "payload_data": _error_payload("data"),
}  # fmt: skip


def _covered_error(event: Any) -> tuple[object, ...]:
    payload = [get(event) for get in map(_error_payload, ("codec", "id", "size"))]
    error = event.error
    return (
        event.activity_id, event.attempt, *payload, error.type, error.message, error.traceback,
    )  # fmt: skip


_WHOLE = _shape(
    None,
    activity_id=lambda event: getattr(event, "activity_id", None),
    slot=lambda event: getattr(event, "slot", None),
    detail=_detail,
)
VIEWED = (
    e.RunFinished, e.SignalReceived, e.SignalSent, e.ApprovalAnswered, e.UpdateAccepted,
    e.UpdateCompleted, e.ChildFinished, e.MarkerRecorded, e.HeartbeatRecorded,
)  # fmt: skip
"""Event types that are kept whole, with a payload or a digest of one and its JSON for people."""

READABLE = (e.StepCompleted, *VIEWED)
"""Event types whose rows have JSON for people."""

_VIEWED = _shape(
    None,
    activity_id=lambda event: getattr(event, "activity_id", None),
    view="view",
    detail=_detail,
)
_SHAPES: dict[type[e.Event], Shape] = {
    **dict.fromkeys(VIEWED, _VIEWED),
    e.RunStarted: _shape(
        None,
        host_run=lambda event: None if event.start is None else event.start.host,
        detail=_detail,
    ),
    e.StepStarted: _shape(
        attrgetter("activity_id", "slot", "key", "ordinal", "at_most_once"),
        activity_id="activity_id", cell="cell", slot="slot", name="name", key="key",
        ordinal="ordinal", arguments="arguments", at_most_once="at_most_once",
        attempt=lambda _: 1,
    ),
    e.AttemptStarted: _shape(attrgetter("activity_id", "attempt"), **_ATTEMPT, cell="cell"),
    e.StepCompleted: _shape(
        attrgetter("activity_id", "attempt", "result.codec", "result.id", "result.size"),
        **_ATTEMPT, duration_ns="duration", codec="result.codec", payload_id="result.id",
        payload_size="result.size", payload_data="result.data", view="view", reason="reason",
    ),
    e.StepFailed: _shape(
        _covered_error, **_ATTEMPT, duration_ns="duration", reason="reason", **_ERROR
    ),
    e.AttemptFailed: _shape(_covered_error, **_ATTEMPT, retry_delay_ns="retry_delay", **_ERROR),
    e.StepCanceled: _shape(attrgetter("activity_id", "attempt"), **_ATTEMPT, reason="reason"),
    e.StepsAnswered: _shape(
        attrgetter("cell", "activity_ids"), cell="cell", answered="activity_ids"
    ),
    e.UsageRecorded: _shape(
        lambda event: (event.activity_id, event.attempt, _detail(event)),
        **_ATTEMPT, detail=_detail,
    ),
}  # fmt: skip

KEPT_WHOLE = tuple(
    kind for kind in e.EVENT_TYPES.values() if _SHAPES.get(kind, _WHOLE).covered is None
)
"""Event types whose payloads are found in the row's `body` alone."""


def insert_rows(connection: duckdb.DuckDBPyConnection, columns: Columns) -> None:
    """Append rows to `store.event`, given as columns of one length, at least 1."""
    constants: list[object] = []
    varying: dict[str, tuple[Kind, Sequence[Any]]] = {}
    selected = []
    for name, values in columns.items():
        first = values[0]
        if values[-1] == first and values.count(first) == len(values):
            constants.append(list(first) if isinstance(first, tuple) else first)
            selected.append("?")
        else:
            varying[name] = KINDS.get(name, "text"), values
            selected.append(name)
    sql = f"INSERT INTO store.event ({', '.join(columns)}) SELECT {', '.join(selected)}"
    if varying:
        insert(connection, f"{sql} FROM batch", varying, constants)
    else:
        connection.execute(sql, constants)


def shape_of(event: e.Event) -> Shape:
    """How `event` becomes a row; all but steps are kept whole."""
    return _SHAPES.get(type(event), _WHOLE)
