"""When a failed attempt is tried again: a policy, and a pure decision.

    next_attempt(policy, attempt, error, remaining) -> Retry(delay) | GiveUp(reason)

Field names, defaults and the backoff formula are Temporal's (temporalio.common.RetryPolicy).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, ClassVar

import msgspec

from evercell.engine.durations import Duration, seconds
from evercell.errors import ApplicationError, StepTimeoutError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ONCE", "GiveUp", "Retry", "RetryPolicy", "next_attempt", "retry_after"]


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How a step's failed attempts are retried.

    The n-th retry waits `initial_interval * backoff_coefficient ** (n - 1)`, at most
    `maximum_interval` (100 x `initial_interval` unless given); a server's Retry-After, or the
    `next_retry_delay` of an ApplicationError, replaces the computed wait. `maximum_attempts` counts
    the first attempt too; 0 means no limit. An error is not retried when the name of its class or
    of one of its bases, bare or qualified, or the `type` of an ApplicationError, is in
    `non_retryable_error_types`.

    Raises UsageError for values that make no sense.
    """

    # Steps that share a policy, such as the default one, have nothing else to do with each other.
    __evercell_value__: ClassVar[bool] = True

    initial_interval: Duration = 1.0
    backoff_coefficient: float = 2.0
    maximum_interval: Duration | None = None
    maximum_attempts: int = 0
    non_retryable_error_types: Sequence[str | type[BaseException]] = ()

    def __post_init__(self) -> None:
        if seconds(self.initial_interval) <= 0:
            raise UsageError("initial_interval must be longer than 0.")
        if self.backoff_coefficient < 1:
            raise UsageError("backoff_coefficient must be at least 1, or waits would shrink.")
        if self.maximum_interval is not None and (
            seconds(self.maximum_interval) < seconds(self.initial_interval)
        ):
            raise UsageError("maximum_interval must not be shorter than initial_interval.")
        if self.maximum_attempts < 0:
            raise UsageError("maximum_attempts must be 0 (no limit) or more.")

    def interval(self, attempt: int) -> float:
        """Seconds to wait after failed attempt number `attempt` (from 1)."""
        first = seconds(self.initial_interval)
        limit = seconds(self.maximum_interval) if self.maximum_interval is not None else 100 * first
        try:
            return min(limit, first * self.backoff_coefficient ** (attempt - 1))
        except OverflowError:
            return limit


_FINAL = ("schedule_to_start", "schedule_to_close")  # timeouts that no further attempt can mend
ONCE = RetryPolicy(maximum_attempts=1)


class Retry(msgspec.Struct, frozen=True):
    """Try again after `delay` seconds."""

    delay: float


class GiveUp(msgspec.Struct, frozen=True):
    """The step failed for good."""

    reason: str


def next_attempt(
    policy: RetryPolicy,
    attempt: int,
    error: BaseException,
    *,
    now: datetime | None = None,
    remaining: float | None = None,
) -> Retry | GiveUp:
    """What follows the failed attempt number `attempt`, counted from 1 since the step was last
    asked for by its user.

    `remaining`: seconds until its `schedule_to_close_timeout`. An attempt that could only begin
    after it is not made.
    """
    if isinstance(error, StepTimeoutError) and error.kind in _FINAL:
        return GiveUp(f"{error.kind}_timeout")
    asked = retry_after(error, now=now)
    if isinstance(error, ApplicationError):
        if error.non_retryable:
            return GiveUp("non-retryable: its code said so")
        if error.next_retry_delay is not None:
            asked = seconds(error.next_retry_delay)
    refused = {_name(kind) for kind in policy.non_retryable_error_types}
    if refused:
        names = {name for cls in type(error).__mro__ for name in (cls.__name__, _name(cls))}
        if isinstance(error, ApplicationError) and error.type is not None:
            names.add(error.type)
        if found := sorted(refused & names):
            return GiveUp(f"non-retryable: {found[0]}")
    if policy.maximum_attempts and attempt >= policy.maximum_attempts:
        return GiveUp(f"maximum_attempts={policy.maximum_attempts} reached")
    delay = policy.interval(attempt) if asked is None else asked
    if remaining is not None and delay >= remaining:
        return GiveUp("schedule_to_close_timeout")
    return Retry(delay)


def retry_after(error: BaseException, *, now: datetime | None = None) -> float | None:
    """Seconds that a server asked to wait, where `error.response.headers` has a Retry-After header
    (RFC 9110, 10.2.3: seconds or a date) or OpenAI's retry-after-ms; None without one."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    get = getattr(headers, "get", None)
    if get is None:
        return None
    milliseconds, value = get("retry-after-ms"), get("retry-after") or get("Retry-After")
    try:
        if milliseconds is not None:
            return max(0.0, float(milliseconds) / 1000)
        return None if value is None else max(0.0, float(value))
    except (TypeError, ValueError):
        return _until(str(value), now)


def _until(date: str, now: datetime | None) -> float | None:
    try:
        due = parsedate_to_datetime(date)
    except ValueError:
        return None
    if due.tzinfo is None:
        due = due.replace(tzinfo=UTC)
    return max(0.0, (due - (now or datetime.now(UTC))).total_seconds())


def _name(kind: str | type) -> str:
    return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
