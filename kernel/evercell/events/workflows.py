"""Events of workflows: what their code asked for and what reached it, and schedules."""

from __future__ import annotations

from evercell.events.parts import (
    CommandKind,
    ErrorInfo,
    Event,
    MarkerKind,
    ParentClosePolicy,
    Payload,
    RunEnd,
)

__all__ = [
    "ApprovalAnswered",
    "ApprovalRequested",
    "AttributesSet",
    "CancelRequested",
    "CancelSent",
    "ChildFinished",
    "ChildStarted",
    "CommandReceived",
    "ConditionAwaited",
    "DeliveryReported",
    "MarkerRecorded",
    "ScheduleFired",
    "ScheduleSet",
    "SignalAwaited",
    "SignalReceived",
    "SignalSent",
    "SignalTaken",
    "TimerCanceled",
    "TimerFired",
    "TimerStarted",
    "UpdateAccepted",
    "UpdateCompleted",
    "WaitEnded",
]


class TimerStarted(Event, frozen=True):
    """A durable timer runs: it fires at `fire_at`, whether or not a process lives until then."""

    activity_id: str
    slot: str  # "workflow", or the slot of the cell that waits
    name: str  # "sleep", "timeout", or the author's summary
    fire_at: int  # nanoseconds since the epoch
    cell: str = ""  # activity_id of the cell execution, where a cell waits
    key: bytes = b""  # H(what is waited for), where a cell waits
    ordinal: int = 0  # among waits with the same key in the slot, from 0


class TimerFired(Event, frozen=True):
    """The timer's time came, and its code goes on; or the time limit of a wait did."""

    activity_id: str


class TimerCanceled(Event, frozen=True):
    """Nobody waits for the timer any more; or a cell's wait was cancelled by command."""

    activity_id: str


class SignalReceived(Event, frozen=True):
    """A message for the run; `signal_id` makes a second delivery of it known as such."""

    signal_id: str
    name: str
    payload: Payload | None  # (args, kwargs)
    view: str | None = None  # JSON for people
    sender: str | None = None  # who sent it: a user, or a run_id


class SignalAwaited(Event, frozen=True):
    """A cell, or a workflow's code, waits for the next signal of this name that no other wait
    took."""

    activity_id: str
    slot: str  # "workflow", or the slot of the cell that waits
    name: str
    expires_at: int | None = None  # nanoseconds since the epoch
    cell: str = ""
    key: bytes = b""
    ordinal: int = 0


class SignalTaken(Event, frozen=True):
    """A wait got this signal, and no other one will."""

    activity_id: str
    signal_id: str


class ConditionAwaited(Event, frozen=True):
    """A workflow's code waits until a condition holds."""

    activity_id: str
    slot: str
    name: str  # where it is written, "Cell In[3], line 4"
    expires_at: int | None = None  # nanoseconds since the epoch


class WaitEnded(Event, frozen=True):
    """A workflow's code no longer waits for the condition, or it waits for the signal no more."""

    activity_id: str


class SignalSent(Event, frozen=True):
    """A workflow sent a signal to another run."""

    activity_id: str
    target: str  # run_id
    name: str
    key: bytes  # H(target, name, arguments)
    view: str | None = None


class CancelSent(Event, frozen=True):
    """A workflow asked for the cancellation of another run."""

    activity_id: str
    target: str  # run_id
    reason: str | None = None


class DeliveryReported(Event, frozen=True):
    """What a workflow sent to another run arrived there, or could not be delivered."""

    activity_id: str  # of the SignalSent or CancelSent
    error: ErrorInfo | None = None


class ApprovalRequested(Event, frozen=True):
    """A person is asked; the code waits for the answer."""

    activity_id: str
    slot: str
    prompt: str
    schema: str | None  # JSON schema of the answer; None: yes or no
    expires_at: int | None = None  # nanoseconds since the epoch
    cell: str = ""
    key: bytes = b""
    ordinal: int = 0


class ApprovalAnswered(Event, frozen=True):
    """A person answered."""

    activity_id: str
    approved: bool
    payload: Payload | None = None  # the form's content, JSON
    view: str | None = None
    by: str | None = None
    command_id: str | None = None


class UpdateAccepted(Event, frozen=True):
    """An update passed its validator and is carried out."""

    update_id: str
    name: str
    payload: Payload | None  # (args, kwargs)
    view: str | None = None


class UpdateCompleted(Event, frozen=True):
    """An update's handler returned or raised."""

    update_id: str
    result: Payload | None = None
    view: str | None = None
    error: ErrorInfo | None = None


class CancelRequested(Event, frozen=True):
    """Somebody asked for the run, or one activity of it, to be cancelled."""

    command_id: str
    activity_id: str | None = None
    reason: str | None = None
    by: str | None = None


class CommandReceived(Event, frozen=True):
    """Somebody stepped in with a command that has no event of its own; `command_id` makes a second
    delivery of it known as such."""

    command_id: str
    command: CommandKind
    activity_id: str | None  # None: the run
    by: str | None = None


class ChildStarted(Event, frozen=True):
    """A workflow started another one as its child."""

    activity_id: str
    child: str  # run_id
    workflow: str
    workflow_id: str
    key: bytes  # H(workflow, arguments)
    parent_close_policy: ParentClosePolicy = "terminate"


class ChildFinished(Event, frozen=True):
    """The child is closed, and its parent knows it."""

    activity_id: str
    child: str  # run_id, of the last run of a chain
    status: RunEnd
    result: Payload | None = None
    view: str | None = None
    error: ErrorInfo | None = None


class MarkerRecorded(Event, frozen=True):
    """A value that the code took from outside, or which code version went this way."""

    activity_id: str
    kind: MarkerKind
    name: str
    payload: Payload | None = None
    view: str | None = None


class AttributesSet(Event, frozen=True):
    """The run's search attributes or memo changed; both are JSON objects to merge."""

    activity_id: str
    search_attributes: str | None = None
    memo: str | None = None


class ScheduleSet(Event, frozen=True):
    """A schedule was made, changed, paused or deleted; `spec` is all of it, None once deleted."""

    schedule_id: str
    workflow: str
    spec: str | None  # JSON
    input: Payload | None = None
    paused: bool = False
    note: str | None = None


class ScheduleFired(Event, frozen=True):
    """A time of a schedule came: it started `child`, was skipped because of `reason`, or, with
    neither, waits for the run before."""

    schedule_id: str
    due: int  # nanoseconds since the epoch
    child: str | None = None  # run_id
    reason: str | None = None
    command_id: str | None = None  # of the call that asked for it out of turn
