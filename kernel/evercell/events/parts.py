"""What events are made of."""

from __future__ import annotations

from typing import Literal

import msgspec

__all__ = [
    "AmbientChange",
    "CommandKind",
    "Decision",
    "ErrorInfo",
    "Event",
    "MarkerKind",
    "ParentClosePolicy",
    "Part",
    "Payload",
    "Product",
    "RunEnd",
    "Verdict",
    "WorkflowStart",
]

Decision = Literal["executed", "restored", "recomputed", "volatile"]
RunEnd = Literal["completed", "failed", "canceled", "terminated", "timed out", "continued as new"]
ParentClosePolicy = Literal["terminate", "abandon", "request_cancel"]
CommandKind = Literal["retry now", "skip", "terminate"]
MarkerKind = Literal["side effect", "patched", "deprecate patch"]


class Part(msgspec.Struct, frozen=True, array_like=True):
    """A value inside an event."""


class Payload(Part, frozen=True, gc=False):  # plain data, and many
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


class ErrorInfo(Part, frozen=True):
    """An exception: readable, and restorable where `payload` is set."""

    type: str  # qualified name, "openai.RateLimitError"
    message: str
    traceback: str = ""
    payload: Payload | None = None


class Product(Part, frozen=True):
    """One co-variable that a cell created or changed: names that share mutable objects."""

    names: tuple[str, ...]
    version: bytes  # what a reader's key holds for each of these names
    payload: Payload | None = None  # None: can't be stored, the cell is recomputed
    buffers: tuple[Payload, ...] = ()  # pickle protocol 5 out-of-band buffers, in order
    reason: str | None = None  # why it can't be stored
    refers: tuple[str, ...] = ()  # other variables that it holds by name: functions, classes, steps
    traced: bytes | None = (
        None  # its version if it comes back, which a trial beside the kernel tells
    )
    verified: bool = True  # False: the trial went on when the cell finished; see CellVerified


class Verdict(Part, frozen=True):
    """What a trial found of a product."""

    names: tuple[str, ...]
    version: bytes  # for good, in place of one that nothing else has
    reason: str | None = None  # why it can't be stored; None: it comes back


class AmbientChange(Part, frozen=True):
    """Process state outside the namespace that a cell changed, such as the cwd."""

    name: str
    version: bytes
    payload: Payload | None = None


class WorkflowStart(Part, frozen=True):
    """What a run of an `@workflow` function begins with."""

    workflow_id: str
    host: str  # run_id of the notebook's run whose kernel carries it
    input: Payload  # (args, kwargs)
    seed: bytes  # of the run's random numbers and ids
    version: bytes  # digest of the definition's code
    definition: Payload | None = None  # the function by value, where its runs are pinned to it
    deadline: int | None = None  # execution_timeout: nanoseconds since the epoch
    parent: str | None = None  # run_id of the workflow that started it as its child
    parent_close_policy: ParentClosePolicy = "terminate"
    memo: str | None = None  # JSON
    search_attributes: str | None = None  # JSON
    first: str | None = None  # run_id of the chain's first run, where this one continues it
    continued_from: str | None = None  # run_id before it in the chain
    forked_from: str | None = None  # run_id whose history it shares up to `forked_at`
    forked_at: int | None = None  # how many of that run's events are shared
    overrides: tuple[str, ...] = ()  # activity_ids of shared steps whose result was edited
    schedule: str | None = None  # schedule_id that started it
    caller: str | None = None  # activity_id of the recorded call that started it
    time: int | None = None  # the run's time at its beginning, where it is not that of RunStarted


class Event(msgspec.Struct, frozen=True, array_like=True, tag=True):
    """What every event begins with."""

    run_id: str
    at: int
