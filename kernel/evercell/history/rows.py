"""Events as rows of `store.event`: which columns each type fills, and how.

Types that fill the same columns share one `Shape`, so that a fold appends few, large batches.

Each row that comes from a journal of this user carries a tag under the user's key. It covers what
resuming relies on: whose result, of which call, in which order. A payload's bytes are covered by
its id. Texts that are there for people only (arguments, names, views, times) are not covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from evercell import events as e

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.history.keys import UserKey

__all__ = ["BASE", "KEPT_WHOLE", "READABLE", "VIEWED", "Shape", "row_tag", "shape_of", "viewed"]

BASE = ("writer", "position", "generation", "seq", "run_id", "at_ns", "type", "tag")
_PAYLOAD = ("codec", "payload_id", "payload_size", "payload_data")
_IN_COLUMNS = frozenset({"run_id", "at", "activity_id", "view"})
_ERROR = ("error_type", "error_message", "error_traceback", *_PAYLOAD)


@dataclass(frozen=True, slots=True, eq=False)  # looked up by identity, for each event
class Shape:
    """The columns behind BASE and their values of an event, given with its encoded form."""

    columns: tuple[str, ...]
    values: Callable[[Any, bytes], tuple[object, ...]]
    trusted: Callable[[Any, bytes], tuple[object, ...]]  # what the tag covers


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
    return (event.activity_id, event.attempt, event.duration, event.reason, *result, event.view)


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


def _run_started(event: e.RunStarted, body: bytes) -> tuple[object, ...]:
    return (None if event.start is None else event.start.host, _detail(event), body)


def _viewed(event: Any, body: bytes) -> tuple[object, ...]:
    return (getattr(event, "activity_id", None), event.view, _detail(event), body)


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


def _trusted_start(event: e.StepStarted, _: bytes) -> tuple[object, ...]:
    return (event.activity_id, event.slot, event.key, event.ordinal, event.at_most_once)


def _trusted_attempt(event: Any, _: bytes) -> tuple[object, ...]:
    return (event.activity_id, event.attempt, None, None, None, None, None, None)


def _trusted_result(event: e.StepCompleted, _: bytes) -> tuple[object, ...]:
    result = event.result
    return (
        event.activity_id, event.attempt, result.codec, result.id, result.size, None, None, None,
    )  # fmt: skip


def _trusted_error(event: e.StepFailed | e.AttemptFailed, _: bytes) -> tuple[object, ...]:
    codec, identity, size, _data = _payload(event.error.payload)
    error = event.error
    return (
        event.activity_id, event.attempt, codec, identity, size,
        error.type, error.message, error.traceback,
    )  # fmt: skip


def row_tag(key: UserKey, seq: int, event: e.Event, body: bytes) -> bytes:
    """The tag of the event's row; `body` is the event's encoded form, for those kept whole."""
    trusted = shape_of(event).trusted(event, body)
    return key.tag((event.run_id, seq, type(event).__name__, *trusted))


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
    _trusted_start,
)
_ERROR_COLUMNS = ("activity_id", "attempt", "duration_ns", "reason", "retry_delay_ns", *_ERROR)
_WHOLE = Shape(("activity_id", "slot", "detail", "body"), _whole, lambda _, body: (body,))
_VIEWED = Shape(("activity_id", "view", "detail", "body"), _viewed, lambda _, body: (body,))
VIEWED = (
    e.RunFinished, e.SignalReceived, e.SignalSent, e.ApprovalAnswered, e.UpdateAccepted,
    e.UpdateCompleted, e.ChildFinished, e.MarkerRecorded, e.HeartbeatRecorded,
)  # fmt: skip
"""Event types that are kept whole, with a payload or a digest of one and its JSON for people."""

READABLE = (e.StepCompleted, *VIEWED)
"""Event types whose rows have JSON for people."""

_SHAPES: dict[type[e.Event], Shape] = {
    **dict.fromkeys(VIEWED, _VIEWED),
    e.RunStarted: Shape(("host_run", "detail", "body"), _run_started, lambda _, body: (body,)),
    e.StepStarted: _STARTED,
    e.AttemptStarted: Shape(
        ("activity_id", "cell", "attempt"),
        lambda event, _: (event.activity_id, event.cell, event.attempt),
        _trusted_attempt,
    ),
    e.StepCompleted: Shape(
        ("activity_id", "attempt", "duration_ns", "reason", *_PAYLOAD, "view"),
        _completed,
        _trusted_result,
    ),
    e.StepFailed: Shape(_ERROR_COLUMNS, _failed, _trusted_error),
    e.AttemptFailed: Shape(_ERROR_COLUMNS, _attempt_failed, _trusted_error),
    e.StepCanceled: Shape(
        ("activity_id", "attempt", "reason"),
        lambda event, _: (event.activity_id, event.attempt, event.reason),
        _trusted_attempt,
    ),
    e.StepsAnswered: Shape(
        ("cell", "answered"),
        lambda event, _: (event.cell, list(event.activity_ids)),
        lambda event, _: (event.cell, event.activity_ids),
    ),
    e.UsageRecorded: Shape(
        ("activity_id", "attempt", "detail"),
        _usage,
        lambda event, _: (event.activity_id, event.attempt, _detail(event)),
    ),
}

KEPT_WHOLE = tuple(
    kind for kind in e.EVENT_TYPES.values() if "body" in _SHAPES.get(kind, _WHOLE).columns
)
"""Event types whose payloads are found in the row's `body` alone."""


def shape_of(event: e.Event) -> Shape:
    """How `event` becomes a row; all but steps are kept whole."""
    return _SHAPES.get(type(event), _WHOLE)
