"""The event history's vocabulary: one frozen struct per event, and how they become bytes.

    RunStarted ─ RunAttached ─┬─ CellStarted ─┬─ StepStarted ─ (AttemptFailed ─ AttemptStarted)* ─┐
                              │               │      └ UsageRecorded*                             │
                              │               │     StepCompleted | StepFailed | StepCanceled ────┤
                              │               │     StepsAnswered*     (the history answered)     │
                              │               │     MapStarted*        (how many calls will come) │
                              │               └─ CellCompleted | CellFailed ──────────────────────┘
                              │                       └ CellVerified    (large values came back)
                              ├─ CellRestored
                              ├─ CellAccepted | CellForgotten     (on a user's word)
                              └─ RunDetached | RunFinished

A run of an `@workflow` function is RunStarted (with `start`), then what its code asked for and what
reached it, in the order in which it did:

    asked     StepStarted  TimerStarted  TimerCanceled  ChildStarted  ApprovalRequested
              MarkerRecorded  SignalSent  AttributesSet  CancelSent
    reached   StepCompleted | StepFailed | StepCanceled  TimerFired  ChildFinished  ApprovalAnswered
              SignalReceived  UpdateAccepted  CancelRequested  DeliveryReported
    besides   HeartbeatRecorded  UpdateCompleted  RunBlocked  ScheduleSet  ScheduleFired
              SignalAwaited  ConditionAwaited ─ SignalTaken | WaitEnded

A cell waits as it calls steps, and people step in:

    TimerStarted ─ TimerFired
    SignalAwaited ─ SignalTaken             a wait may also end as TimerFired (its time limit
    ApprovalRequested ─ ApprovalAnswered    came) or TimerCanceled
    SignalReceived  CancelRequested  CommandReceived (retry now, skip, terminate)

Events are facts in the past tense; a status is always computed from them. `at` is the wall clock
in nanoseconds since the epoch (UTC) and only informs: the order of a run is (generation of the
attached kernel, position in its journal), so a clock that jumps back changes nothing.

An event is encoded as a MessagePack array headed by its type's name. Fields are only ever
appended, with a default, so every earlier history decodes.

A cell's activity is one execution (or restore) of it: a new `activity_id` each time. A step's
activity is the logical call - slot, key, ordinal - and keeps its `activity_id` over attempts and
over kernel restarts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

import msgspec

from evercell.events.parts import (
    AmbientChange,
    CommandKind,
    Decision,
    ErrorInfo,
    Event,
    MarkerKind,
    ParentClosePolicy,
    Payload,
    Product,
    RunEnd,
    Verdict,
    WorkflowStart,
)
from evercell.events.runs import (
    CellAccepted,
    CellCompleted,
    CellFailed,
    CellForgotten,
    CellRestored,
    CellStarted,
    CellVerified,
    RunAttached,
    RunBlocked,
    RunDetached,
    RunFinished,
    RunStarted,
)
from evercell.events.steps import (
    AttemptFailed,
    AttemptStarted,
    HeartbeatRecorded,
    MapStarted,
    StepCanceled,
    StepCompleted,
    StepFailed,
    StepsAnswered,
    StepStarted,
    UsageRecorded,
)
from evercell.events.workflows import (
    ApprovalAnswered,
    ApprovalRequested,
    AttributesSet,
    CancelRequested,
    CancelSent,
    ChildFinished,
    ChildStarted,
    CommandReceived,
    ConditionAwaited,
    DeliveryReported,
    MarkerRecorded,
    ScheduleFired,
    ScheduleSet,
    SignalAwaited,
    SignalReceived,
    SignalSent,
    SignalTaken,
    TimerCanceled,
    TimerFired,
    TimerStarted,
    UpdateAccepted,
    UpdateCompleted,
    WaitEnded,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "EVENT_TYPES",
    "AmbientChange",
    "ApprovalAnswered",
    "ApprovalRequested",
    "AttemptFailed",
    "AttemptStarted",
    "AttributesSet",
    "CancelRequested",
    "CancelSent",
    "CellAccepted",
    "CellCompleted",
    "CellFailed",
    "CellForgotten",
    "CellRestored",
    "CellStarted",
    "CellVerified",
    "ChildFinished",
    "ChildStarted",
    "CommandKind",
    "CommandReceived",
    "ConditionAwaited",
    "Decision",
    "DeliveryReported",
    "ErrorInfo",
    "Event",
    "HeartbeatRecorded",
    "MapStarted",
    "MarkerKind",
    "MarkerRecorded",
    "ParentClosePolicy",
    "Payload",
    "Product",
    "RunAttached",
    "RunBlocked",
    "RunDetached",
    "RunEnd",
    "RunFinished",
    "RunStarted",
    "ScheduleFired",
    "ScheduleSet",
    "SignalAwaited",
    "SignalReceived",
    "SignalSent",
    "SignalTaken",
    "StepCanceled",
    "StepCompleted",
    "StepFailed",
    "StepStarted",
    "StepsAnswered",
    "TimerCanceled",
    "TimerFired",
    "TimerStarted",
    "UpdateAccepted",
    "UpdateCompleted",
    "UsageRecorded",
    "Verdict",
    "WaitEnded",
    "WorkflowStart",
    "decode_event",
    "decode_events",
    "encode_event",
]

AnyEvent = (
    RunStarted
    | RunAttached
    | RunDetached
    | RunFinished
    | CellStarted
    | CellCompleted
    | CellFailed
    | CellRestored
    | CellAccepted
    | CellForgotten
    | CellVerified
    | StepStarted
    | AttemptStarted
    | AttemptFailed
    | StepCompleted
    | StepFailed
    | StepCanceled
    | StepsAnswered
    | UsageRecorded
    | TimerStarted
    | TimerFired
    | TimerCanceled
    | SignalReceived
    | SignalSent
    | SignalAwaited
    | SignalTaken
    | CancelSent
    | DeliveryReported
    | ApprovalRequested
    | ApprovalAnswered
    | UpdateAccepted
    | UpdateCompleted
    | CancelRequested
    | CommandReceived
    | ChildStarted
    | ChildFinished
    | MarkerRecorded
    | AttributesSet
    | HeartbeatRecorded
    | RunBlocked
    | ScheduleSet
    | ScheduleFired
    | MapStarted
    | ConditionAwaited
    | WaitEnded
)

EVENT_TYPES: dict[str, type[Event]] = {cls.__name__: cls for cls in get_args(AnyEvent)}

_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyEvent)
_list_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(list[AnyEvent])


encode_event: Callable[[Event], bytes] = msgspec.msgpack.Encoder().encode
"""The event as MessagePack."""


def decode_event(data: bytes | memoryview) -> Event:
    """The event that `encode_event` made. Raises `msgspec.DecodeError` on anything else."""
    decoded: Event = _decoder.decode(data)
    return decoded


def decode_events(encoded: Sequence[bytes]) -> list[Event]:
    """The same for many at once, in half the time. Raises `msgspec.DecodeError` if one is wrong."""
    head = b"\xdd" + len(encoded).to_bytes(4, "big")  # MessagePack's array of so many
    decoded: list[Event] = _list_decoder.decode(b"".join((head, *encoded)))
    return decoded
