"""How many steps are in which state, and how long the rest will take. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from evercell_widgets.state import Execution, StepGroup, StepStatus

__all__ = ["Counts", "counted", "counts_of", "remaining"]

_ENOUGH = 3  # calls that must have ended before their pace says anything


class Counts(TypedDict):
    """How many steps are in which state; `total` are those known so far."""

    total: int
    completed: int
    restored: int
    running: int  # retrying ones included
    retrying: int
    failed: int
    canceled: int
    in_doubt: int
    planned: int  # 0, or how many there will be in the end: never less than `total`


def counts_of(groups: Iterable[StepGroup]) -> Counts:
    """The sum over `groups`."""
    return counted((group.counts, group.to_come) for group in groups)


def counted(parts: Iterable[tuple[Mapping[StepStatus, int], int]]) -> Counts:
    """The sum over parts, each with its counts by status, and how many are to come."""
    counts: Counts = {
        "total": 0,
        "completed": 0,
        "restored": 0,
        "running": 0,
        "retrying": 0,
        "failed": 0,
        "canceled": 0,
        "in_doubt": 0,
        "planned": 0,
    }
    to_come = 0
    for by_status, more in parts:
        counts["completed"] += by_status["completed"]
        counts["restored"] += by_status["restored"]
        counts["retrying"] += by_status["retrying"]
        counts["running"] += by_status["running"] + by_status["retrying"]
        counts["failed"] += by_status["failed"]
        counts["canceled"] += by_status["canceled"]
        counts["in_doubt"] += by_status["in doubt"]
        counts["total"] += sum(by_status.values())
        to_come += more
    counts["planned"] = counts["total"] + to_come if to_come else 0
    return counts


def remaining(executions: Iterable[Execution], now: int) -> int | None:
    """Nanoseconds until the planned calls of the cells that run will have ended, at the pace of
    those that have ended; None where no plan is known, or no pace yet."""
    estimates = [
        estimate
        for execution in executions
        if execution.status == "running"
        for group in execution.groups.values()
        if (estimate := _remaining(group, now)) is not None
    ]
    return max(estimates, default=None)


def _remaining(group: StepGroup, now: int) -> int | None:
    left = max(group.expected, group.began) - group.ended
    if not group.expected or group.ended < _ENOUGH or left <= 0:
        return None
    return left * max(0, now - group.began_at) // group.ended
