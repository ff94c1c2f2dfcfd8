"""When a schedule starts a run: pure functions from its spec to times, from what runs to a choice.

Words and meanings are Temporal's (temporalio.client.Schedule): intervals are counted from the
epoch, `offset` shifts them; a time that falls while the run before is open is treated as the
overlap policy says; times missed while nothing ran are caught up within `catchup_window`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from evercell.engine.durations import Duration, seconds
from evercell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Choice", "OverlapPolicy", "ScheduleSpec", "choose", "make_spec", "times_after"]

OverlapPolicy = Literal[
    "skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all"
]
Choice = Literal["start", "skip", "buffer", "cancel and buffer", "terminate and start"]

_SECOND = 1_000_000_000
_POLICIES = (
    "skip", "buffer_one", "buffer_all", "cancel_other", "terminate_other", "allow_all",
)  # fmt: skip


class ScheduleSpec(msgspec.Struct, frozen=True):
    """When and how a schedule starts runs; as JSON in the history."""

    cron: str | None
    every: float | None  # seconds
    offset: float  # seconds, of intervals
    timezone: str  # of cron
    overlap: OverlapPolicy
    catchup_window: float  # seconds
    created_at: int  # nanoseconds since the epoch: nothing before it is due


def make_spec(
    *,
    cron: str | None,
    every: Duration | None,
    offset: Duration,
    timezone: str,
    overlap: OverlapPolicy,
    catchup_window: Duration,
    created_at: int,
) -> ScheduleSpec:
    """A checked spec. Raises UsageError."""
    if (cron is None) == (every is None):
        raise UsageError('a schedule has either cron="0 9 * * *" or every="1h".')
    interval = None if every is None else seconds(every)
    if interval is not None and interval < 1:
        raise UsageError("a schedule's interval is at least one second.")
    if overlap not in _POLICIES:
        raise UsageError(f"overlap is one of {', '.join(_POLICIES)}, not {overlap!r}.")
    try:
        ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise UsageError(f"{timezone!r} is no time zone, such as 'Europe/Berlin'.") from error
    spec = ScheduleSpec(
        cron, interval, seconds(offset), timezone, overlap, seconds(catchup_window), created_at
    )
    next(times_after(spec, created_at))
    return spec


def times_after(spec: ScheduleSpec, after: int) -> Iterator[int]:
    """The times at which the schedule is due after `after`, nanoseconds since the epoch. Raises
    UsageError for a cron expression that is none."""
    if spec.every is not None:
        interval, offset = int(spec.every * _SECOND), int(spec.offset * _SECOND)
        at = (after - offset) // interval * interval + offset
        while True:
            at += interval
            yield at
    from croniter import CroniterError, croniter  # noqa: PLC0415 - few notebooks have schedules

    base = datetime.fromtimestamp(after / _SECOND, UTC).astimezone(ZoneInfo(spec.timezone))
    try:
        found = croniter(spec.cron, base)
        while True:
            at = round(found.get_next(float)) * _SECOND
            if at > after:
                yield at
    except CroniterError as error:
        why = str(error).rstrip(".")
        raise UsageError(f"cron={spec.cron!r} is no cron expression: {why}.") from error


def choose(policy: OverlapPolicy, *, running: bool, buffered: int) -> Choice:
    """What happens at a due time while runs of the schedule are open (`running`) and `buffered`
    earlier times wait."""
    if policy == "allow_all" or not (running or buffered):
        return "start"
    match policy:
        case "skip":
            return "skip"
        case "buffer_one":
            return "skip" if buffered else "buffer"
        case "buffer_all":
            return "buffer"
        case "cancel_other":
            return "skip" if buffered else "cancel and buffer"
        case "terminate_other":
            return "terminate and start"
