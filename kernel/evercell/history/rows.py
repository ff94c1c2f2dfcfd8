"""Events as rows of `store.event`: which columns each type fills, and how.

Types that fill the same columns share one `Shape`, so that a fold appends few, large batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from evercell import events as e

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BASE", "Shape", "shape_of"]

BASE = ("writer", "position", "generation", "seq", "run_id", "at_ns", "type")
_PAYLOAD = ("codec", "payload_id", "payload_size", "payload_data")
_IN_COLUMNS = frozenset({"run_id", "at", "activity_id"})
_ERROR = ("error_type", "error_message", "error_traceback", *_PAYLOAD)


@dataclass(frozen=True, slots=True, eq=False)  # looked up by identity, for each event
class Shape:
    """The columns behind BASE and their values of an event, given with its encoded form."""

    columns: tuple[str, ...]
    values: Callable[[Any, bytes], tuple[object, ...]]


def _payload(payload: e.Payload | None) -> tuple[object, ...]:
    if payload is None:
        return (None, None, None, None)
    return (payload.codec, payload.id, payload.size, payload.data)


def _error(error: e.ErrorInfo) -> tuple[object, ...]:
    return (error.type, error.message, error.traceback, *_payload(error.payload))


def _started(event: e.StepStarted, _: bytes) -> tuple[object, ...]:
    return (
        event.activity_id,
        event.cell,
        event.slot,
        event.name,
        event.key,
        event.ordinal,
        event.arguments,
        event.at_most_once,
        1,
    )


def _completed(event: e.StepCompleted, _: bytes) -> tuple[object, ...]:
    result = _payload(event.result)
    return (event.activity_id, event.attempt, event.duration, *result, event.view)


def _failed(event: e.StepFailed, _: bytes) -> tuple[object, ...]:
    error = _error(event.error)
    return (event.activity_id, event.attempt, event.duration, event.reason, None, *error)


def _attempt_failed(event: e.AttemptFailed, _: bytes) -> tuple[object, ...]:
    error = _error(event.error)
    return (event.activity_id, event.attempt, None, None, event.retry_delay, *error)


def _usage(event: e.UsageRecorded, _: bytes) -> tuple[object, ...]:
    return (event.activity_id, event.attempt, _detail(event))


def _whole(event: e.Event, body: bytes) -> tuple[object, ...]:
    activity_id = getattr(event, "activity_id", None)
    return (activity_id, getattr(event, "slot", None), _detail(event), body)


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


_ERROR_COLUMNS = ("activity_id", "attempt", "duration_ns", "reason", "retry_delay_ns", *_ERROR)
_STARTED = Shape(
    (
        "activity_id",
        "cell",
        "slot",
        "name",
        "key",
        "ordinal",
        "arguments",
        "at_most_once",
        "attempt",
    ),
    _started,
)
_WHOLE = Shape(("activity_id", "slot", "detail", "body"), _whole)
_SHAPES: dict[type[e.Event], Shape] = {
    e.StepStarted: _STARTED,
    e.AttemptStarted: Shape(
        ("activity_id", "cell", "attempt"),
        lambda event, _: (event.activity_id, event.cell, event.attempt),
    ),
    e.StepCompleted: Shape(
        ("activity_id", "attempt", "duration_ns", *_PAYLOAD, "view"), _completed
    ),
    e.StepFailed: Shape(_ERROR_COLUMNS, _failed),
    e.AttemptFailed: Shape(_ERROR_COLUMNS, _attempt_failed),
    e.StepCanceled: Shape(
        ("activity_id", "attempt", "reason"),
        lambda event, _: (event.activity_id, event.attempt, event.reason),
    ),
    e.StepsAnswered: Shape(
        ("cell", "answered"), lambda event, _: (event.cell, list(event.activity_ids))
    ),
    e.UsageRecorded: Shape(("activity_id", "attempt", "detail"), _usage),
}


def shape_of(event: e.Event) -> Shape:
    """How `event` becomes a row; runs and cells are kept whole."""
    return _SHAPES.get(type(event), _WHOLE)
