"""How a run can end without a result, or stand still, as exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.errors import (
    WorkflowBlockedError,
    WorkflowCanceledError,
    WorkflowError,
    WorkflowFailedError,
    WorkflowTerminatedError,
    WorkflowTimeoutError,
)

if TYPE_CHECKING:
    from evercell.errors import EvercellError
    from evercell.events import RunEnd

__all__ = ["blocked_error", "ending_error"]

_ENDINGS: dict[str, tuple[type[WorkflowError], str]] = {
    "canceled": (WorkflowCanceledError, "was cancelled"),
    "terminated": (WorkflowTerminatedError, "was terminated"),
    "timed out": (WorkflowTimeoutError, "exceeded its execution_timeout"),
    "failed": (WorkflowFailedError, "failed"),
}


def ending_error(status: RunEnd, who: str, reason: str | None = None) -> WorkflowError | None:
    """The error for a run that ended without a result and without an exception of its own."""
    if status not in _ENDINGS:
        return None
    kind, words = _ENDINGS[status]
    return kind(f"{who} {words}{f': {reason}' if reason else ''}.")


def blocked_error(run_id: str, error: EvercellError) -> WorkflowBlockedError:
    """The error for who waits for a run that today's code does not fit."""
    blocked = WorkflowBlockedError(
        f"run {run_id} is open and can't go on with today's code: {error}"
    )
    blocked.__cause__ = error
    return blocked
