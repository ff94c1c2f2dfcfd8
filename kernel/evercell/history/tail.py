"""Events as other processes record them, read from their journals while they write.

    the folder's segments ── those that are accepted ── read on ──> events, in each writer's order

Reading the journals directly costs a file read now and then, while a query would open DuckDB
beside the kernel at each look.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evercell.errors import HistoryError
from evercell.events import decode_event
from evercell.history.segments import SegmentHeader, read_header, read_segment, segments

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from evercell.events import Event

__all__ = ["Tail"]


class _Place(msgspec.Struct):
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


class Tail:
    """Reads on, at each call, in the journals of the history in `folder`.

    With `coming`, only in segments that appear after this was made. A journal that can't be read
    counts as one that has not been written yet: whoever opens the history says what is wrong.
    """

    def __init__(self, folder: Path, *, coming: bool = False) -> None:
        self._folder = folder / "journal"
        self._seen = set(self._segments()) if coming else set()
        self._places: list[_Place] = []

    def read(self, accepts: Callable[[SegmentHeader], bool] = lambda _: True) -> list[Event]:
        """The events that came since the last call. A segment is accepted or not when it is seen
        first."""
        for path in self._segments():
            if path not in self._seen:
                self._seen.add(path)
                self._open(path, accepts)
        events = [event for place in self._places for event in _read_on(place)]
        latest = {place.header.writer: place for place in self._places}
        for place in [place for place in self._places if place is not latest[place.header.writer]]:
            place.file.close()  # full, and read to its end
            self._places.remove(place)
        return events

    def close(self) -> None:
        """Let go of the files."""
        for place in self._places:
            place.file.close()
        self._places = []

    def _segments(self) -> list[Path]:
        return [path for found in segments(self._folder).values() for _, path in found]

    def _open(self, path: Path, accepts: Callable[[SegmentHeader], bool]) -> None:
        try:
            file = path.open("rb")
        except OSError:
            return
        try:
            header = read_header(path)
        except (HistoryError, OSError):
            header = None
        if header is None or not accepts(header):
            file.close()
            return
        self._places.append(_Place(file, header, 0, header.batch))


def _read_on(place: _Place) -> list[Event]:
    try:
        reading = read_segment(place.path(), place.header, place.offset, place.batch)
    except (HistoryError, OSError):
        return []
    place.offset, place.batch = reading.offset, reading.batch
    return [decode_event(data) for data in reading.events]
