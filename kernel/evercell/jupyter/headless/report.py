"""What a headless run tells while it goes, and what came of it."""

from __future__ import annotations

import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from evercell.events import Event

__all__ = [
    "Awaited",
    "CellEnded",
    "CellFailure",
    "CellScheduled",
    "Counted",
    "KernelReady",
    "Noted",
    "Progress",
    "Recorded",
    "RunBegan",
    "RunOutcome",
    "Status",
    "Tally",
    "Waits",
]

Status = Literal["completed", "failed", "interrupted", "kernel died"]


@dataclass(frozen=True, slots=True)
class Tally:
    """What the history says that this attach of the run has done so far."""

    run_id: str | None = None
    generation: int = 0
    cells: Mapping[str, int] = field(default_factory=dict)  # by decision: executed, restored, ...
    decisions: Mapping[int, str] = field(default_factory=dict)  # by cell index
    executed: int = 0  # steps whose body ran to its end
    restored: int = 0  # steps that the history answered
    failed: int = 0  # steps that failed for good
    running: int = 0  # steps that have begun and not ended
    retried: int = 0  # attempts that failed and were followed by another
    origins: tuple[str, ...] = ()  # the activities whose effects restored cells gave back


@dataclass(frozen=True, slots=True)
class RunBegan:
    """The notebook has been read and its kernel is starting."""

    notebook: Path
    output: Path
    cells: int  # that will be run


@dataclass(frozen=True, slots=True)
class KernelReady:
    """The kernel takes requests."""

    seconds: float


@dataclass(frozen=True, slots=True)
class CellScheduled:
    """A cell was sent to the kernel."""

    index: int  # in the notebook's cells
    number: int  # among the cells that are run, from 1
    source: str


@dataclass(frozen=True, slots=True)
class CellEnded:
    """The kernel replied, or died."""

    index: int
    number: int
    source: str
    ok: bool
    seconds: float
    decision: str | None  # executed, restored, recomputed, volatile; None where it is not known


@dataclass(frozen=True, slots=True)
class Counted:
    """The counts changed."""

    tally: Tally


@dataclass(frozen=True, slots=True)
class Recorded:
    """The kernel recorded this, in order."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the user should know and that stops nothing."""

    text: str


class Awaited(NamedTuple):
    """Something that code waits for."""

    kind: Literal["timer", "signal", "approval", "condition"]
    name: str  # of the timer or the signal, the question, or where the condition is written
    run_id: str
    until: int | None  # nanoseconds since the epoch
    schema: str | None = None  # of an answer, JSON


@dataclass(frozen=True, slots=True)
class Waits:
    """The cells are done, and workflows are not: what these wait for."""

    awaited: tuple[Awaited, ...]


Progress = RunBegan | KernelReady | CellScheduled | CellEnded | Counted | Recorded | Noted | Waits


@dataclass(frozen=True, slots=True)
class CellFailure:
    """The cell that ended the run."""

    index: int
    number: int
    source: str
    name: str  # of the exception; empty when the kernel died
    message: str
    traceback: str  # as IPython formats it, with colours


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What came of `run_notebook`."""

    status: Status
    notebook: Path
    output: Path
    cells: int  # that were to be run
    tally: Tally
    seconds: float
    failure: CellFailure | None = None
    signal: int | None = None  # that interrupted the run
    notes: tuple[str, ...] = ()
    output_written: bool = True

    @property
    def run_id(self) -> str | None:
        """The run's id in the history, or None where no kernel attached to it."""
        return self.tally.run_id

    @property
    def exit_code(self) -> int:
        """What a process that did this run exits with."""
        if self.status == "interrupted":
            return 128 + (self.signal or signal.SIGINT)
        return 0 if self.status == "completed" and self.output_written else 1
