"""How a run can end without a result, as exceptions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.errors import (
    WorkflowCanceledError,
    WorkflowError,
    WorkflowFailedError,
    WorkflowTerminatedError,
    WorkflowTimeoutError,
)

if TYPE_CHECKING:
    from evercell.events import RunEnd

__all__ = ["ending_error"]

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
