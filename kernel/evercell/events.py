"""The event history's vocabulary: one frozen struct per event, and how they become bytes.

    RunStarted ─ RunAttached ─┬─ CellStarted ─┬─ StepStarted ─ (AttemptFailed ─ AttemptStarted)* ─┐
                              │               │      └ UsageRecorded*                             │
                              │               │     StepCompleted | StepFailed | StepCanceled ────┤
                              │               │     StepsAnswered*     (the history answered)     │
                              │               └─ CellCompleted | CellFailed ──────────────────────┘
                              ├─ CellRestored
                              └─ RunDetached | RunFinished

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

from typing import Any, Literal, get_args

import msgspec

__all__ = [
    "EVENT_TYPES",
    "AmbientChange",
    "AttemptFailed",
    "AttemptStarted",
    "CellCompleted",
    "CellFailed",
    "CellRestored",
    "CellStarted",
    "Decision",
    "ErrorInfo",
    "Event",
    "Payload",
    "Product",
    "RunAttached",
    "RunDetached",
    "RunFinished",
    "RunStarted",
    "StepCanceled",
    "StepCompleted",
    "StepFailed",
    "StepStarted",
    "StepsAnswered",
    "UsageRecorded",
    "decode_event",
    "encode_event",
]

Decision = Literal["executed", "restored", "recomputed", "volatile"]


class _Part(msgspec.Struct, frozen=True, array_like=True):
    """A value inside an event."""


class Payload(_Part, frozen=True, gc=False):  # plain data, and many
    """An encoded value. `id` is the keyed BLAKE3 digest (16 bytes) of the stored bytes: it is the
    content address and it proves that this user wrote them."""

    id: bytes
    codec: str  # how to decode: "json", "pickle", ...; layers joined by "+", innermost first
    size: int  # stored bytes
    data: bytes | None = None  # the bytes themselves when small; else in a file named by `id`

    @property
    def encoding(self) -> str:
        """How the value was encoded, without the layers around it."""
        return self.codec.partition("+")[0]


class ErrorInfo(_Part, frozen=True):
    """An exception: readable, and restorable where `payload` is set."""

    type: str  # qualified name, "openai.RateLimitError"
    message: str
    traceback: str = ""
    payload: Payload | None = None


class Product(_Part, frozen=True):
    """One co-variable that a cell created or changed: names that share mutable objects."""

    names: tuple[str, ...]
    version: bytes  # what a reader's key holds for each of these names
    payload: Payload | None = None  # None: can't be stored, the cell is recomputed
    buffers: tuple[Payload, ...] = ()  # pickle protocol 5 out-of-band buffers, in order
    reason: str | None = None  # why it can't be stored


class AmbientChange(_Part, frozen=True):
    """Process state outside the namespace that a cell changed, such as the cwd."""

    name: str
    version: bytes
    payload: Payload | None = None


class Event(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What every event begins with."""

    run_id: str
    at: int


class RunStarted(Event, frozen=True):
    """A run exists from here on. Its `parameters` are part of every cell's key."""

    workflow: str  # "notebook" or a workflow function's name
    notebook: str | None  # absolute path when it was started
    parameters: dict[str, Any]
    python: str  # the ABI that pickles and bytecode depend on, "cpython-311"
    evercell: str  # release that wrote it


class RunAttached(Event, frozen=True):
    """A kernel process took the run; what an earlier generation left unfinished is in doubt."""

    generation: int  # 1, 2, ... within the run
    pid: int
    host: str
    kernel_id: str | None
    notebook: str | None  # where the notebook was at this time: follows renames


class RunDetached(Event, frozen=True):
    """The kernel process let go of the run in good order."""

    generation: int


class RunFinished(Event, frozen=True):
    """A headless run came to its end; a later attach reopens it."""

    status: Literal["completed", "failed", "canceled"]


class CellStarted(Event, frozen=True):
    """A cell begins to run: activity scheduled and started in one."""

    activity_id: str
    slot: str  # the cell's place in the run over edits: steps are looked up per slot
    cell_index: int | None  # index in the notebook's cells, or the place in the order of execution
    cell_id: str | None  # nbformat cell id
    source: str
    source_digest: bytes  # of the normal form: no comments, no layout
    ordinal: int  # among cells with the same source_digest, from 0
    decision: Decision
    reason: str  # why it runs, in words for the user
    execution_count: int


class CellCompleted(Event, frozen=True):
    """A cell finished. Its `reads` and `products` can be restored, if `restorable`."""

    activity_id: str
    key: bytes
    duration: int  # nanoseconds
    reads: dict[str, bytes]  # name -> version it read; b"" for a name found absent
    products: tuple[Product, ...]
    deleted: tuple[str, ...]
    ambient: tuple[AmbientChange, ...]
    outputs: Payload | None  # the kernel messages in order
    result: str | None  # name of the product that is Out[n], if the cell displayed a value
    restorable: bool
    reason: str | None = None  # why it is not restorable, or must be recomputed


class CellFailed(Event, frozen=True):
    """A cell raised, or was interrupted by the user. Never a hit."""

    activity_id: str
    duration: int
    error: ErrorInfo
    interrupted: bool = False
    outputs: Payload | None = None


class CellRestored(Event, frozen=True):
    """A cell's recorded effects were given back without running it."""

    activity_id: str
    origin: str  # activity_id of the CellCompleted that it came from
    slot: str
    cell_index: int | None
    cell_id: str | None
    source: str
    source_digest: bytes
    ordinal: int
    reason: str
    execution_count: int
    duration: int  # nanoseconds that restoring took
    saved: int  # nanoseconds that the recorded execution had taken


class StepStarted(Event, frozen=True):
    """A durable call was made for the first time; its attempt 1 begins."""

    activity_id: str
    cell: str  # activity_id of the cell execution
    slot: str
    name: str  # the function's qualified name
    key: bytes  # H(function, its version, arguments)
    ordinal: int  # among calls with the same key in the slot, from 0
    arguments: str  # JSON object by parameter name, for people
    at_most_once: bool = False


class AttemptStarted(Event, frozen=True):
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


class StepCompleted(Event, frozen=True):
    """A step's result is durable."""

    activity_id: str
    attempt: int
    result: Payload
    view: str | None = None  # JSON for people where the payload itself is not JSON
    duration: int = 0  # nanoseconds of this attempt


class StepFailed(Event, frozen=True):
    """A step failed for good."""

    activity_id: str
    attempt: int
    error: ErrorInfo
    reason: str  # "non-retryable", "maximum attempts", "schedule_to_close_timeout", ...
    duration: int = 0


class StepCanceled(Event, frozen=True):
    """The attempt was cancelled or interrupted; the next call of it runs again."""

    activity_id: str
    attempt: int
    reason: str


class StepsAnswered(Event, frozen=True):
    """The history answered these step calls; one event for many, written lazily."""

    cell: str
    activity_ids: tuple[str, ...]


class UsageRecorded(Event, frozen=True):
    """Tokens or money that an attempt (or a cell, when `activity_id` is a cell's) used."""

    activity_id: str
    attempt: int
    model: str | None
    input_tokens: int
    output_tokens: int
    cost: float | None = None  # in the currency of the user's price table


AnyEvent = (
    RunStarted
    | RunAttached
    | RunDetached
    | RunFinished
    | CellStarted
    | CellCompleted
    | CellFailed
    | CellRestored
    | StepStarted
    | AttemptStarted
    | AttemptFailed
    | StepCompleted
    | StepFailed
    | StepCanceled
    | StepsAnswered
    | UsageRecorded
)

EVENT_TYPES: dict[str, type[Event]] = {cls.__name__: cls for cls in get_args(AnyEvent)}

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Any] = msgspec.msgpack.Decoder(AnyEvent)


def encode_event(event: Event) -> bytes:
    """The event as MessagePack."""
    return _encoder.encode(event)


def decode_event(data: bytes | memoryview) -> Event:
    """The event that `encode_event` made. Raises `msgspec.DecodeError` on anything else."""
    decoded: Event = _decoder.decode(data)
    return decoded
