"""Events of steps and of their attempts.

`gc=False` marks those of which there are many: plain data, which the collector need not look at.
"""

from __future__ import annotations

from evercell.events.parts import (
    ErrorInfo,
    Event,
    Payload,
)

__all__ = [
    "AttemptFailed",
    "AttemptStarted",
    "HeartbeatRecorded",
    "MapStarted",
    "StepCanceled",
    "StepCompleted",
    "StepFailed",
    "StepStarted",
    "StepsAnswered",
    "UsageRecorded",
]


class StepStarted(Event, frozen=True, gc=False):
    """A durable call was made for the first time; its attempt 1 begins."""

    activity_id: str
    cell: str  # activity_id of the cell execution
    slot: str
    name: str  # the function's qualified name
    key: bytes  # H(function, its version, arguments)
    ordinal: int  # among calls with the same key in the slot, from 0
    arguments: str  # JSON object by parameter name, for people
    at_most_once: bool = False


class AttemptStarted(Event, frozen=True, gc=False):
    """Attempt 2 or later of a step begins, perhaps in a later cell execution."""

    activity_id: str
    cell: str
    attempt: int


class AttemptFailed(Event, frozen=True):
    """One try raised; another follows after `retry_delay` nanoseconds."""

    activity_id: str
    attempt: int
    error: ErrorInfo
    retry_delay: int


class HeartbeatRecorded(Event, frozen=True):
    """An attempt said that it is alive; its details reach the next attempt."""

    activity_id: str
    attempt: int
    payload: Payload | None = None
    view: str | None = None


class StepCompleted(Event, frozen=True, gc=False):
    """A step's result is durable."""

    activity_id: str
    attempt: int
    result: Payload
    view: str | None = None  # JSON for people where the payload itself is not JSON
    duration: int = 0  # nanoseconds of this attempt
    reason: str | None = None  # "skipped by NAME", where a person gave the result


class StepFailed(Event, frozen=True):
    """A step failed for good."""

    activity_id: str
    attempt: int
    error: ErrorInfo
    reason: str  # "non-retryable", "maximum attempts", "schedule_to_close_timeout", ...
    duration: int = 0


class StepCanceled(Event, frozen=True, gc=False):
    """The attempt was cancelled or interrupted; the next call of it runs again."""

    activity_id: str
    attempt: int
    reason: str


class StepsAnswered(Event, frozen=True):
    """The history answered these step calls; one event for many, written lazily."""

    cell: str
    activity_ids: tuple[str, ...]


class UsageRecorded(Event, frozen=True, gc=False):
    """Tokens or money that an attempt (or a cell, when `activity_id` is a cell's) used."""

    activity_id: str
    attempt: int
    model: str | None
    input_tokens: int
    output_tokens: int
    cost: float | None = None  # in the currency of the user's price table


class MapStarted(Event, frozen=True):
    """A map is about to make calls that the history did not answer; it may stop at a failure."""

    cell: str
    name: str  # the step's
    calls: int
