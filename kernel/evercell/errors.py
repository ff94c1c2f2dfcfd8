"""Everything Evercell raises, in one tree.

EvercellError                   EC000
├── UsageError                  EC100   wrong input; nothing was touched
│   ├── NotebookNotFoundError   EC101
│   ├── NotebookInvalidError    EC102
│   ├── KernelNotFoundError     EC103
│   ├── UnknownParameterError   EC104
│   └── NotInKernelError        EC105
├── HistoryError                EC200   the history can't be read or written
│   ├── HistoryWriteError       EC201
│   ├── HistoryNewerError       EC202
│   ├── JournalDamagedError     EC203
│   ├── HistoryLockedError      EC204
│   ├── RunNotFoundError        EC205
│   ├── RunInUseError           EC206
│   ├── PayloadError            EC207
│   └── QueryError              EC208
├── CellError                   EC300   a cell can't be restored or recorded
│   ├── NotStorableError        EC301
│   └── RestoreError            EC302
├── StepError                   EC400   a durable call could not be completed
│   ├── StepFailedError         EC401
│   ├── StepTimeoutError        EC402
│   ├── InDoubtError            EC403
│   ├── StepCanceledError       EC404
│   └── ApplicationError        EC405
└── WorkflowError               EC500   a workflow function's run
    ├── NondeterminismError     EC501
    ├── WorkflowCallError       EC502
    ├── WorkflowFailedError     EC503
    ├── WorkflowCanceledError   EC504
    ├── WorkflowTerminatedError EC505
    ├── WorkflowTimeoutError    EC506
    ├── WorkflowAlreadyStartedError EC507
    ├── WorkflowNotDefinedError EC508
    ├── WorkflowClosedError     EC509
    ├── WorkflowBlockedError    EC510
    ├── QueryMutatedError       EC511
    ├── HandlerNotFoundError    EC512
    ├── UpdateRejectedError     EC513
    └── ForkError               EC514
        └── ForkEditedError     EC515

A message says what happened, why, and what to do, in that order. Codes are stable: once
released, a code is never reused for anything else.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

__all__ = [
    "ApplicationError",
    "CellError",
    "EvercellError",
    "ForkEditedError",
    "ForkError",
    "HandlerNotFoundError",
    "HistoryError",
    "HistoryLockedError",
    "HistoryNewerError",
    "HistoryWriteError",
    "InDoubtError",
    "JournalDamagedError",
    "KernelNotFoundError",
    "NondeterminismError",
    "NotInKernelError",
    "NotStorableError",
    "NotebookInvalidError",
    "NotebookNotFoundError",
    "PayloadError",
    "QueryError",
    "QueryMutatedError",
    "RestoreError",
    "RunInUseError",
    "RunNotFoundError",
    "StepCanceledError",
    "StepError",
    "StepFailedError",
    "StepTimeoutError",
    "UnknownParameterError",
    "UpdateRejectedError",
    "UsageError",
    "WorkflowAlreadyStartedError",
    "WorkflowBlockedError",
    "WorkflowCallError",
    "WorkflowCanceledError",
    "WorkflowClosedError",
    "WorkflowError",
    "WorkflowFailedError",
    "WorkflowNotDefinedError",
    "WorkflowTerminatedError",
    "WorkflowTimeoutError",
]


class EvercellError(Exception):
    """Base of every error that Evercell raises; `code` is stable across releases."""

    code: ClassVar[str] = "EC000"

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def __str__(self) -> str:
        return f"[{self.code}] {self.message}"


class UsageError(EvercellError):
    """Wrong input from the caller; nothing was touched."""

    code = "EC100"


class NotebookNotFoundError(UsageError):
    """The notebook file does not exist or can't be read."""

    code = "EC101"


class NotebookInvalidError(UsageError):
    """The file is not a notebook that nbformat accepts."""

    code = "EC102"


class KernelNotFoundError(UsageError):
    """The `evercell` kernelspec is not installed where Jupyter looks."""

    code = "EC103"


class UnknownParameterError(UsageError):
    """A parameter was given that the notebook does not declare."""

    code = "EC104"


class NotInKernelError(UsageError):
    """The call needs a running Evercell kernel."""

    code = "EC105"


class HistoryError(EvercellError):
    """The event history can't be read or written."""

    code = "EC200"


class HistoryWriteError(HistoryError):
    """A record could not be made durable: disk full, quota, read-only, no permission."""

    code = "EC201"


class HistoryNewerError(HistoryError):
    """The history was written by a newer schema than this release knows."""

    code = "EC202"


class JournalDamagedError(HistoryError):
    """Bytes in the middle of a journal are not what was written."""

    code = "EC203"


class HistoryLockedError(HistoryError):
    """Another program holds the DuckDB file's lock for too long."""

    code = "EC204"

    def __init__(self, message: str, *, here: bool = False) -> None:
        """`here`: it is a connection in this process."""
        super().__init__(message)
        self.here = here


class RunNotFoundError(HistoryError):
    """No run with this id, or a prefix of it, is in the history."""

    code = "EC205"


class RunInUseError(HistoryError):
    """Another kernel is attached to this run."""

    code = "EC206"


class PayloadError(HistoryError):
    """A stored value is missing, changed, or was not written by this user."""

    code = "EC207"


class QueryError(HistoryError):
    """DuckDB refused a query over the history."""

    code = "EC208"


class CellError(EvercellError):
    """A cell's result can't be recorded or given back."""

    code = "EC300"


class NotStorableError(CellError):
    """A value does not survive its round trip."""

    code = "EC301"


class RestoreError(CellError):
    """A recorded cell could not be decoded; nothing in the namespace was touched."""

    code = "EC302"


class StepError(EvercellError):
    """A durable call could not be completed."""

    code = "EC400"


class StepFailedError(StepError):
    """A step failed for good, with an exception that can't be stored; it is the `__cause__`
    where it is still at hand."""

    code = "EC401"


TimeoutKind = Literal["start_to_close", "schedule_to_start", "schedule_to_close", "heartbeat"]


class StepTimeoutError(StepError, TimeoutError):
    """An attempt took longer than `start_to_close_timeout` or was silent for longer than
    `heartbeat_timeout`, or a step than one of the other two timeouts; `kind` says which."""

    code = "EC402"

    def __init__(self, message: str, kind: TimeoutKind = "start_to_close") -> None:
        super().__init__(message)
        self.kind: TimeoutKind = kind


class InDoubtError(StepError):
    """An at-most-once step was started by an earlier process and may have taken effect."""

    code = "EC403"


class StepCanceledError(StepError):
    """Somebody cancelled the step, or the wait, by command."""

    code = "EC404"


class ApplicationError(StepError):
    """Raised by a step's own code, to say how its failure is to be treated.

    `type` is a name that `non_retryable_error_types` can hold, `details` whatever the caller may
    want to know, `next_retry_delay` what the wait before the next attempt is to be, as a duration
    (seconds, timedelta, "2m"); with `non_retryable` there is no next attempt.
    """

    code = "EC405"

    def __init__(
        self,
        message: str,
        *details: Any,
        type: str | None = None,  # noqa: A002 - Temporal's name
        non_retryable: bool = False,
        next_retry_delay: Any = None,
    ) -> None:
        super().__init__(message)
        self.details = details
        self.type = type
        self.non_retryable = non_retryable
        self.next_retry_delay = next_retry_delay

    def __str__(self) -> str:
        return self.message if self.type is None else f"{self.type}: {self.message}"


class WorkflowError(EvercellError):
    """A run of a workflow function did not do what was asked of it."""

    code = "EC500"


class NondeterminismError(WorkflowError):
    """Today's code asks for something else than the run's history holds."""

    code = "EC501"


class WorkflowCallError(WorkflowError):
    """Workflow code called what a replay could not repeat, such as a clock or a file."""

    code = "EC502"


class WorkflowFailedError(WorkflowError):
    """The workflow failed with an exception that can't be given back itself."""

    code = "EC503"


class WorkflowCanceledError(WorkflowError):
    """The workflow was cancelled."""

    code = "EC504"


class WorkflowTerminatedError(WorkflowError):
    """The workflow was ended from outside, without asking its code."""

    code = "EC505"


class WorkflowTimeoutError(WorkflowError, TimeoutError):
    """The workflow took longer than its `execution_timeout`."""

    code = "EC506"


class WorkflowAlreadyStartedError(WorkflowError):
    """A run with this workflow id exists, and the policy forbids another."""

    code = "EC507"


class WorkflowNotDefinedError(WorkflowError):
    """The run's workflow function is not defined in this process."""

    code = "EC508"


class WorkflowClosedError(WorkflowError):
    """The run is closed: it takes no signals or updates any more."""

    code = "EC509"


class WorkflowBlockedError(WorkflowError):
    """The run is open and can't go on with today's code; the cause says why."""

    code = "EC510"


class QueryMutatedError(WorkflowError):
    """A query's handler asked for something that would change the run."""

    code = "EC511"


class HandlerNotFoundError(WorkflowError):
    """The workflow has no query or update of this name."""

    code = "EC512"


class UpdateRejectedError(WorkflowError):
    """An update's validator refused it; nothing was recorded."""

    code = "EC513"


class ForkError(WorkflowError):
    """A run can't be forked as asked; nothing was recorded."""

    code = "EC514"


class ForkEditedError(ForkError):
    """A fork would share results of steps whose code is another today: its user has to say so."""

    code = "EC515"
