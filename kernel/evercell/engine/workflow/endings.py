"""How a run can end without a result, or stand still, as exceptions."""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING

from evercell.engine.interceptors import WorkflowEnd, workflow_ended
from evercell.errors import (
    EvercellError,
    HistoryLockedError,
    HistoryWriteError,
    WorkflowBlockedError,
    WorkflowCanceledError,
    WorkflowError,
    WorkflowFailedError,
    WorkflowTerminatedError,
    WorkflowTimeoutError,
)

if TYPE_CHECKING:
    from evercell.events import RunEnd, RunFinished, RunStarted

__all__ = ["PASSING", "blocked_error", "ending_error", "fault", "tell_interceptors"]

PASSING = (HistoryWriteError, HistoryLockedError)  # what may be over in a moment
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
    why = f": {reason}" if reason and reason not in words else ""
    return kind(f"{who} {words}{why}.")


def blocked_error(run_id: str, error: EvercellError) -> EvercellError:
    """The error for who waits for a run that today's code does not fit, or whose history can't be
    read or written."""
    if isinstance(error, PASSING):
        return error
    blocked = WorkflowBlockedError(
        f"run {run_id} is open and can't go on with today's code: {error}"
    )
    blocked.__cause__ = error
    return blocked


def fault(error: BaseException) -> EvercellError:
    """The error for a fault of ours."""
    lines = "".join(traceback.format_exception(error))
    return EvercellError(f"something in Evercell itself went wrong; please report this:\n{lines}")


def tell_interceptors(event: RunFinished, started: RunStarted) -> None:
    """A run's end, to who looks on."""
    error = None if event.error is None else f"{event.error.type}: {event.error.message}"
    workflow_id = "" if started.start is None else started.start.workflow_id
    workflow_ended(
        WorkflowEnd(
            started.workflow, workflow_id, event.run_id, event.status, started.at, event.at, error
        )
    )
