"""A writer's journal as files: `<writer>-<segment:06d>.log`, each header + frames + zeros.

A segment appears whole: header and zeros are written under another name and synced first. The
zeros are really written, because a sync that has neither a size nor an unwritten extent to record
is the cheapest; in pieces, because the page cache keeps what one call wrote as one folio, and a
sync looks at the whole of each folio that it finds a few bytes in. Reading never trusts a length
before its checksum.
"""

from __future__ import annotations

import itertools
import os
import struct
import zlib
from typing import TYPE_CHECKING

import msgspec

from evercell.errors import HistoryError, HistoryNewerError, JournalDamagedError
from evercell.history import failpoints
from evercell.history.disk import create_file, start_write_out, sync, write_at
from evercell.history.frames import read_frames
from evercell.history.schema import SCHEMA, newer

if TYPE_CHECKING:
    from pathlib import Path

    from blake3 import blake3

    from evercell.history.keys import UserKey

__all__ = [
    "Reading",
    "SegmentHeader",
    "SegmentWriter",
    "read_header",
    "read_segment",
    "segment_path",
    "segments",
]

HEADER_SIZE = 512
FIRST_SIZE = 1 << 20  # bytes: a short session's file, zeroed in about 1.5 ms
LATER_SIZE = 4 << 20
PIECE = 32 << 10  # bytes of a file that are zeroed with one call: its syncs take 8 % less time
_MAGIC = b"EVERCELL"
_PREFIX = struct.Struct("<8sII")  # magic, length and crc32 of the JSON behind it


class SegmentHeader(msgspec.Struct, frozen=True):
    """What a segment says about itself; `batch` and `position` are those before its first frame."""

    schema: int
    evercell: str  # release that wrote it
    writer: str
    segment: int  # 0, 1, ...
    batch: int
    position: int  # events that earlier segments hold
    created: int  # nanoseconds since the epoch
    pid: int
    host: str
    key: str = ""  # id of the key that its frames are tagged with

    def seal(self, key: UserKey) -> blake3 | None:
        """What checks, and makes, the frames' tags; None if they are under another key."""
        return key.frames(msgspec.json.encode(self)) if key.id == self.key else None

    @property
    def salt(self) -> int:
        """Where this segment's checksums start."""
        return zlib.crc32(f"{self.writer}-{self.segment}-{self.created}".encode())


def segment_path(folder: Path, writer: str, segment: int) -> Path:
    """The file of a writer's segment."""
    return folder / f"{writer}-{segment:06d}.log"


def segments(folder: Path, writer: str = "*") -> dict[str, list[tuple[int, Path]]]:
    """The segments in `folder`, or only a writer's, by writer, in order."""
    found: dict[str, list[tuple[int, Path]]] = {}
    if folder.is_dir():
        for path in sorted(folder.glob(f"{writer}-*.log")):
            name, _, number = path.stem.rpartition("-")
            if number.isdigit():
                found.setdefault(name, []).append((int(number), path))
    return found


class SegmentWriter:
    """One segment, open for appending frames at explicit offsets."""

    def __init__(self, folder: Path, header: SegmentHeader, room: int) -> None:
        """Create the segment with space for a frame of at least `room` bytes. Raises OSError."""
        self.header = header
        self.path = segment_path(folder, header.writer, header.segment)
        size = max(FIRST_SIZE if header.segment == 0 else LATER_SIZE, HEADER_SIZE + room)
        whole = memoryview(_pack_header(header).ljust(size, b"\0"))
        pieces = [whole[at : at + PIECE] for at in range(0, size, PIECE)]
        create_file(self.path, *pieces, temporary=f".{self.path.name}.new")
        self._fd = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        self._size = size
        self.salt = header.salt
        self.offset = HEADER_SIZE  # where the next frame goes; moved on by who knows its number

    def fits(self, length: int) -> bool:
        """Whether a frame of `length` bytes still has its place here."""
        return self.offset + length <= self._size

    def write(self, frame: bytes) -> None:
        """Make `frame` durable at `offset`. The same call may be made again. Raises OSError."""
        write_at(self._fd, frame, self.offset)
        self.sync()

    def start(self, frame: bytes) -> None:
        """Write `frame` at `offset`, and have it on its way to the disk; `sync` makes it durable.
        Raises OSError."""
        write_at(self._fd, frame, self.offset)
        start_write_out(self._fd, self.offset, len(frame))

    def sync(self) -> None:
        """Make durable what was written. Raises OSError."""
        failpoints.reach("sync")
        sync(self._fd)

    def close(self) -> None:
        os.close(self._fd)


def _pack_header(header: SegmentHeader) -> bytes:
    text = msgspec.json.encode(header)
    block = _PREFIX.pack(_MAGIC, len(text), zlib.crc32(text)) + text
    if len(block) > HEADER_SIZE:
        raise HistoryError(f"The journal's header does not fit: {text!r}.")
    return block.ljust(HEADER_SIZE, b"\0")


def read_header(path: Path) -> SegmentHeader:
    """The segment's header.

    Raises HistoryNewerError for a newer release's, JournalDamagedError when it does not hold.
    """
    block = _read(path, HEADER_SIZE)
    try:
        magic, length, checksum = _PREFIX.unpack_from(block)
        text = block[_PREFIX.size : _PREFIX.size + length]
        if len(block) < HEADER_SIZE or magic != _MAGIC or zlib.crc32(text) != checksum:
            raise _damaged(path, 0)
        header = msgspec.json.decode(text, type=SegmentHeader)
    except (struct.error, msgspec.DecodeError) as error:
        raise _damaged(path, 0) from error
    if header.schema > SCHEMA:
        raise HistoryNewerError(newer(path, header.schema, header.evercell))
    return header


def _read(path: Path, size: int = -1) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(size)
    except OSError as error:
        raise HistoryError(
            f"The journal {path} can't be read: {error.strerror}. Check its permissions, or "
            f"restore it from a backup, or move it out of {path.parent} to go on without it."
        ) from error


class Reading(msgspec.Struct, frozen=True):
    """The new events of a segment and where the next reading starts."""

    events: list[bytes]
    offset: int
    batch: int
    damage: JournalDamagedError | None = None  # what ended the reading, if not the end of writing


def read_segment(
    path: Path, header: SegmentHeader, offset: int, batch: int, seal: blake3 | None = None
) -> Reading:
    """The segment's events from `offset` on, behind batch number `batch`; `header.seal` has the
    tags checked.

    A torn tail ends the reading: its batch was never acknowledged. So does damage, which is when
    a later batch lies behind bytes that don't hold.
    """
    events: list[bytes] = []
    offset = max(offset, HEADER_SIZE)
    for attempt in itertools.count():
        frames = read_frames(_read(path), offset, batch, header.salt, seal)
        events += frames.events
        if not frames.damaged:
            return Reading(events, frames.end, frames.batch)
        if not frames.events and attempt > 0:
            return Reading(events, frames.end, frames.batch, _damaged(path, frames.end))
        # Written while it was read, perhaps: the bytes before a frame that holds were complete
        # by then, so what is only unread now holds in a second look.
        offset, batch = frames.end, frames.batch
    raise AssertionError  # itertools.count() has no end


def check_successor(path: Path, reading: Reading, successor: SegmentHeader) -> None:
    """Raise JournalDamagedError if frames are missing between a segment and the one after it."""
    if successor.batch != reading.batch:
        raise _damaged(path, reading.offset)


def _damaged(path: Path, offset: int) -> JournalDamagedError:
    return JournalDamagedError(
        f"The journal {path} is damaged at offset {offset}: the bytes there are not what was "
        "written, though later ones are. What lies before has been taken into the history. "
        f"Restore the file from a backup, or move it out of {path.parent} to go on without "
        "the rest."
    )
