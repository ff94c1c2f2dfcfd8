"""What the kernel has recorded so far, read from its journal while it runs.

    journal files of the kernel's process -> events -> Tally

The journal is read directly: it costs a file read now and then, while a query would open DuckDB
beside the kernel twice a second.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from evercell import events
from evercell.errors import HistoryError
from evercell.history.segments import SegmentHeader, read_header, read_segment, segments
from evercell.jupyter.headless.report import Tally

if TYPE_CHECKING:
    from typing import BinaryIO

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


@dataclass(slots=True)
class _Place:
    """How far a segment has been read. The file is held open: a fold deletes a full segment, and
    perhaps before its last events were read here."""

    file: BinaryIO
    header: SegmentHeader
    offset: int
    batch: int

    def path(self) -> Path:
        """The open file's name; /dev/fd works for a deleted one, too."""
        self.file.seek(0)  # where /dev/fd duplicates the descriptor, it shares the position
        return Path(f"/dev/fd/{self.file.fileno()}")


class Follower:
    """Reads on, at each call, in the journal of one kernel that starts after this was made."""

    def __init__(self, history: Path) -> None:
        self._folder = history / "journal"
        self._seen = set(self._segments())
        self._places: list[_Place] = []
        self._counts = Counts()

    def read(self, pid: int | None) -> Tally:
        """The counts of the kernel process `pid` up to now.

        A journal that can't be read counts as one that has not been written yet: the kernel says
        what is wrong with its history.
        """
        for path in self._segments():
            if path not in self._seen:
                self._seen.add(path)
                self._open(path, pid)
        for place in self._places:
            self._read_on(place)
        latest = {place.header.writer: place for place in self._places}
        for place in [place for place in self._places if place is not latest[place.header.writer]]:
            place.file.close()  # full, and read to its end
            self._places.remove(place)
        return self._counts.tally

    def close(self) -> None:
        """Let go of the files."""
        for place in self._places:
            place.file.close()
        self._places = []

    def _segments(self) -> list[Path]:
        return [path for found in segments(self._folder).values() for _, path in found]

    def _open(self, path: Path, pid: int | None) -> None:
        try:
            file = path.open("rb")
        except OSError:
            return
        try:
            header = read_header(path)
        except (HistoryError, OSError):
            header = None
        if header is None or header.pid != pid:
            file.close()
            return
        self._places.append(_Place(file, header, 0, header.batch))

    def _read_on(self, place: _Place) -> None:
        try:
            reading = read_segment(place.path(), place.header, place.offset, place.batch)
        except (HistoryError, OSError):
            return
        place.offset, place.batch = reading.offset, reading.batch
        for data in reading.events:
            self._counts.apply(events.decode_event(data))
