"""Events of a run and of its cells."""

from __future__ import annotations

from typing import Any

from msgspec import field

from evercell.events.parts import (
    AmbientChange,
    Decision,
    ErrorInfo,
    Event,
    Payload,
    Product,
    RunEnd,
    Verdict,
    WorkflowStart,
)

__all__ = [
    "CellAccepted",
    "CellCompleted",
    "CellFailed",
    "CellForgotten",
    "CellRestored",
    "CellStarted",
    "CellVerified",
    "RunAttached",
    "RunBlocked",
    "RunDetached",
    "RunFinished",
    "RunStarted",
]


class RunStarted(Event, frozen=True):
    """A run exists from here on. A notebook's `parameters` are part of every cell's key; those of a
    workflow function are its arguments by name, for people."""

    workflow: str  # "notebook" or a workflow function's name
    notebook: str | None  # absolute path when it was started
    parameters: dict[str, Any]
    python: str  # the ABI that pickles and bytecode depend on, "cpython-311"
    evercell: str  # release that wrote it
    start: WorkflowStart | None = None  # of an `@workflow` function
    forked_from: str | None = None  # of a notebook: run_id whose history it shares up to
    forked_at: int | None = None  # this place in that run's order (`seq` in the store)
    overrides: tuple[str, ...] = ()  # activity_ids of the steps there whose results were edited


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
    """A headless run came to its end, and a later attach reopens it; or a workflow function's run
    is closed for good."""

    status: RunEnd
    result: Payload | None = None
    view: str | None = None  # of the result, JSON for people
    error: ErrorInfo | None = None
    next_run: str | None = None  # run_id that goes on, where this one continued as new
    reason: str | None = None


class RunBlocked(Event, frozen=True):
    """The run can't go on with today's code: it stays open, and goes on when the code fits."""

    error: ErrorInfo


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
    waits: bool = False  # recomputing it may wait until another cell needs what can't be stored
    # "@file:NAME" -> version of each file that it wrote, as it was when the cell had run
    writes: dict[str, bytes] = field(default_factory=dict)


class CellVerified(Event, frozen=True):
    """What a cell made was loaded and compared beside the kernel. Until then its record counts for
    nothing, and the cell runs again after a kill."""

    activity_id: str  # of the CellCompleted
    duration: int  # nanoseconds since the cell finished
    products: tuple[Verdict, ...]


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


class CellAccepted(Event, frozen=True):
    """A user kept a recorded result on their word: with this source and these inputs, it counts as
    the cell's result."""

    activity_id: str
    origin: str  # activity_id of the CellCompleted that is kept
    slot: str
    cell_index: int | None
    cell_id: str | None
    source: str
    source_digest: bytes
    ordinal: int
    reads: dict[str, bytes]  # as CellCompleted's, with the versions of this moment
    reason: str  # what had made it stale
    user: str
    host: str


class CellForgotten(Event, frozen=True):
    """A user took a cell's records out of use: they are never hits again. Or a fork did, in which
    the result of a step of that cell was overridden."""

    activity_id: str
    origins: tuple[str, ...]  # activity_ids of the CellCompleted events
    slot: str
    cell_index: int | None
    cell_id: str | None
    source: str
    user: str
    host: str
    overridden: tuple[str, ...] = ()  # activity_ids of its steps with another result from now on
