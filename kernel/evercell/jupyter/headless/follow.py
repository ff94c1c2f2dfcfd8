"""What the kernel has recorded so far, read from its journal while it runs.

journal files of the kernel's process -> events -> Tally
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evercell import events
from evercell.history.tail import Tail
from evercell.jupyter.headless.report import Tally

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Counts", "Follower"]


@dataclass(slots=True)
class Counts:
    """A fold of one kernel's events; `tally` is its state."""

    run_id: str | None = None
    generation: int = 0
    cells: Counter[str] = field(default_factory=Counter)
    decisions: dict[int, str] = field(default_factory=dict)
    origins: list[str] = field(default_factory=list)
    executed: int = 0
    restored: int = 0
    failed: int = 0
    retried: int = 0
    running: set[str] = field(default_factory=set)
    open_cells: dict[str, str] = field(default_factory=dict)  # activity -> decision

    def apply(self, event: events.Event) -> None:
        """Take one more event, in the journal's order."""
        match event:
            case events.RunAttached():
                self.run_id, self.generation = event.run_id, event.generation
            case events.CellStarted():
                self.open_cells[event.activity_id] = event.decision
                self._decided(event.cell_index, event.decision)
            case events.CellRestored():
                self.cells["restored"] += 1
                self.origins.append(event.origin)
                self._decided(event.cell_index, "restored")
            case events.CellCompleted():
                self.cells[self.open_cells.pop(event.activity_id, "executed")] += 1
            case events.CellFailed():
                self.open_cells.pop(event.activity_id, None)
                self.cells["failed"] += 1
            case _:
                self._step(event)

    def _decided(self, index: int | None, decision: str) -> None:
        if index is not None:
            self.decisions[index] = decision

    def _step(self, event: events.Event) -> None:
        match event:
            case events.StepsAnswered():
                self.restored += len(event.activity_ids)
            case events.StepStarted() | events.AttemptStarted():
                self.running.add(event.activity_id)
            case events.AttemptFailed():
                self.retried += 1
            case events.StepCompleted():
                self.executed += 1
                self.running.discard(event.activity_id)
            case events.StepFailed():
                self.failed += 1
                self.running.discard(event.activity_id)
            case events.StepCanceled():
                self.running.discard(event.activity_id)
            case _:
                pass  # about the run, not its cells or steps

    @property
    def tally(self) -> Tally:
        """The counts as they stand."""
        return Tally(
            run_id=self.run_id,
            generation=self.generation,
            cells=dict(self.cells),
            decisions=dict(self.decisions),
            origins=tuple(self.origins),
            executed=self.executed,
            restored=self.restored,
            failed=self.failed,
            retried=self.retried,
            running=len(self.running),
        )


class Follower:
    """Reads on, at each call, in the journal of one kernel that starts after this was made."""

    def __init__(self, history: Path) -> None:
        self._tail = Tail(history, coming=True)
        self._counts = Counts()
        self._events: list[events.Event] = []

    def read(self, pid: int | None) -> Tally:
        """The counts of the kernel process `pid` up to now."""
        came = self._tail.read(lambda header: header.pid == pid)
        for event in came:
            self._counts.apply(event)
        self._events += came
        return self._counts.tally

    def take(self) -> list[events.Event]:
        """The events that were read since the last call of this."""
        taken, self._events = self._events, []
        return taken

    def close(self) -> None:
        """Let go of the files."""
        self._tail.close()
