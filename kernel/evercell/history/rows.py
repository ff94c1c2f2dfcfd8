"""Events as rows of `store.event`: which columns each type fills, and how.

Types that fill the same columns share one `Shape`, so that a fold appends few, large batches.

Each row that comes from a journal of this user is proved by a tag under the user's key, of its own
or, the beginning and the result of a step, of its block (seals.py). It covers what resuming relies
on: whose result, of which call, in which order. The bytes of a step's inline result are covered,
too; those of other payloads by their keyed id. Texts that are there for people only (arguments,
names, views, times) are not covered.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

import msgspec

from evercell import events as e
from evercell.history.arrow import insert
from evercell.history.seals import COVERED, sealed_message

if TYPE_CHECKING:
    import duckdb

    from evercell.history.columns import Batch
    from evercell.history.keys import UserKey

__all__ = [
    "BASE",
    "GENERATION_SHIFT",
    "KEPT_WHOLE",
    "READABLE",
    "VIEWED",
    "Shape",
    "insert_rows",
    "row_message",
    "row_tag",
    "shape_of",
    "viewed",
]

BASE = ("writer", "position", "generation", "seq", "run_id", "at_ns", "type", "tag", "block")
GENERATION_SHIFT = 40  # positions stay below 2**40
_IN_COLUMNS = frozenset({"run_id", "at", "activity_id", "view"})


Getter = Callable[[Any], object]
_BODY = ("body",)
_SEALED = tuple(COVERED.values())


class Shape(msgspec.Struct, frozen=True, eq=False):  # looked up by identity, for each event
    """The columns behind BASE and how to get their values from an event."""

    getters: Mapping[str, Getter]  # without `body`, which is the event's encoded form
    covered: tuple[str, ...]  # columns that the tag covers, behind the run, the order and the type
    parts: Mapping[str, tuple[str, str]]  # of columns that a part of the event has: which, and how

    @property
    def whole(self) -> bool:
        """Whether the row keeps the event's encoded form, in `body`."""
        return self.covered == _BODY

    @property
    def sealed(self) -> bool:
        """Whether its rows are proved in blocks."""
        return self.covered in _SEALED

    @property
    def columns(self) -> tuple[str, ...]:
        """Their names."""
        return (*self.getters, *_BODY) if self.whole else tuple(self.getters)

    def columns_of(self, events: list[e.Event]) -> dict[str, list[Any]]:
        """The columns' values of many events, without `body`."""
        values: dict[str, list[Any]] = {}
        parts: dict[str, list[Any]] = {}
        for name, get in self.getters.items():
            if name in self.parts:
                part, field = self.parts[name]
                if part not in parts:
                    parts[part] = list(map(attrgetter(part), events))
                values[name] = list(map(attrgetter(field), parts[part]))
            elif get is _first:
                values[name] = [1] * len(events)
            else:
                values[name] = list(map(get, events))
        return values

    def values(self, event: e.Event, body: bytes) -> tuple[object, ...]:
        """The columns' values of `event`, whose encoded form is `body`."""
        values = tuple([get(event) for get in self.getters.values()])
        return (*values, body) if self.whole else values


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
    """What the tag of the event's row says; `body` is its encoded form, for those kept whole. Of a
    row that could be in a block, what it says where the row is a block by itself."""
    if isinstance(event, e.StepStarted | e.StepCompleted):
        return sealed_message([(seq, event)])
    shape = shape_of(type(event))
    values = dict(zip(shape.columns, shape.values(event, body), strict=True))
    trusted = [values[column] for column in shape.covered]
    return (event.run_id, seq, type(event).__name__, *trusted)


def row_tag(key: UserKey, seq: int, event: e.Event, body: bytes) -> bytes:
    """The tag of the event's row."""
    return key.tag(row_message(seq, event, body))


def _shape(covered: tuple[str, ...], /, **fields: str | Getter) -> Shape:
    """Columns by name, each with the attribute that fills it, or a function of the event."""
    getters = {
        name: attrgetter(field) if isinstance(field, str) else field
        for name, field in fields.items()
    }
    dotted = {it: field for it, field in fields.items() if isinstance(field, str) and "." in field}
    parts = {name: tuple(field.split(".")) for name, field in dotted.items()}
    return Shape(getters, covered, parts)  # type: ignore[arg-type]


def _first(_event: e.Event) -> int:
    """The attempt that StepStarted begins."""
    return 1


_ATTEMPT = {"activity_id": "activity_id", "attempt": "attempt"}
_ERROR: dict[str, str | Getter] = {
    "error_type": "error.type", "error_message": "error.message",
    "error_traceback": "error.traceback",
    "codec": _error_payload("codec"), "payload_id": _error_payload("id"),
    "payload_size": _error_payload("size"), "payload_data": _error_payload("data"),
}  # fmt: skip


_COVERED_ERROR = (
    *_ATTEMPT, "codec", "payload_id", "payload_size", "error_type", "error_message",
    "error_traceback",
)  # fmt: skip
_WHOLE = _shape(
    _BODY,
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
    _BODY,
    activity_id=lambda event: getattr(event, "activity_id", None),
    view="view",
    detail=_detail,
)
_SHAPES: dict[type[e.Event], Shape] = {
    **dict.fromkeys(VIEWED, _VIEWED),
    e.RunStarted: _shape(
        _BODY,
        host_run=lambda event: None if event.start is None else event.start.host,
        detail=_detail,
    ),
    e.StepStarted: _shape(
        COVERED["StepStarted"],
        activity_id="activity_id", cell="cell", slot="slot", name="name", key="key",
        ordinal="ordinal", arguments="arguments", at_most_once="at_most_once",
        attempt=_first,
    ),
    e.AttemptStarted: _shape(tuple(_ATTEMPT), **_ATTEMPT, cell="cell"),
    e.StepCompleted: _shape(
        COVERED["StepCompleted"],
        **_ATTEMPT, duration_ns="duration", codec="result.codec", payload_id="result.id",
        payload_size="result.size", payload_data="result.data", view="view", reason="reason",
    ),
    e.StepFailed: _shape(
        _COVERED_ERROR, **_ATTEMPT, duration_ns="duration", reason="reason", **_ERROR
    ),
    e.AttemptFailed: _shape(_COVERED_ERROR, **_ATTEMPT, retry_delay_ns="retry_delay", **_ERROR),
    e.StepCanceled: _shape(tuple(_ATTEMPT), **_ATTEMPT, reason="reason"),
    e.StepsAnswered: _shape(("cell", "answered"), cell="cell", answered="activity_ids"),
    e.UsageRecorded: _shape((*_ATTEMPT, "detail"), **_ATTEMPT, detail=_detail),
}  # fmt: skip

KEPT_WHOLE = tuple(kind for kind in e.EVENT_TYPES.values() if _SHAPES.get(kind, _WHOLE).whole)
"""Event types whose payloads are found in the row's `body` alone."""


def insert_rows(connection: duckdb.DuckDBPyConnection, batch: Batch) -> None:
    """Append rows, at least one, to `store.event`."""
    names, varying = ", ".join(batch.columns), {}
    constants: list[object] = []
    selected = []
    for name, column in batch.columns.items():
        if column.varies:
            varying[name] = column
            selected.append(name)
        else:
            value = column.constant
            constants.append(list(value) if isinstance(value, tuple) else value)
            selected.append("?")
    sql = f"INSERT INTO store.event ({names}) SELECT {', '.join(selected)}"
    if varying:
        insert(connection, f"{sql} FROM batch", varying, constants)
    else:
        connection.execute(sql, constants)  # a single row: positions differ


def shape_of(kind: type[e.Event]) -> Shape:
    """How events of this type become rows; all but steps' are kept whole."""
    return _SHAPES.get(kind, _WHOLE)
