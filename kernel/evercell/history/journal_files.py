"""A journal writer's files: one frame after another, a new segment where the last one is full.

    hold(batch) ─ write: pack one frame ─ pwrite ─ sync ─ the batch is done
                  start: pack one frame ─ pwrite, on its way to the disk ... sync ─ done

A write that failed, or that an interrupt cut off, may be made again: the same batch goes to the
same place. Not safe for several threads at once: the journal has a turn for that.
"""

from __future__ import annotations

import errno
import os
import socket
from time import monotonic
from typing import TYPE_CHECKING

from evercell.history import failpoints
from evercell.history.disk import make_folder
from evercell.history.frames import FRAME_OVERHEAD, pack_frame
from evercell.history.locks import FileLock
from evercell.history.schema import RELEASE, SCHEMA
from evercell.history.segments import SegmentHeader, SegmentWriter

if TYPE_CHECKING:
    from pathlib import Path

    from blake3 import blake3

    from evercell.clock import Clock
    from evercell.history.entries import Entry
    from evercell.history.keys import UserKey

__all__ = ["QUICK", "JournalFiles"]

QUICK = 0.001  # seconds of a write that wakes no other thread in order to save time


class JournalFiles:
    """The segments of one writer under `folder`; they are made when the first events come."""

    def __init__(self, folder: Path, writer: str, clock: Clock, key: UserKey) -> None:
        self.written = 0  # events that are durable
        self.batch: list[Entry] = []  # in hand: accepted, and not durable yet
        self.started: Entry | None = None  # the last of the batch, if only its sync is missing
        self._folder = folder
        self._writer = writer
        self._clock = clock
        self._key = key
        self._number = 0  # of the last frame
        self._behind = (0, 0)  # what was started: where its frame ends, and how many events it has
        self._slow = QUICK  # seconds that a slow one of the latest writes took
        self._segment: SegmentWriter | None = None
        self._seal: blake3 | None = None  # tags the segment's frames
        self.alive = FileLock(folder / f"{writer}.lock")

    @property
    def quick(self) -> bool:
        """Whether the latest writes took less time than waking another thread is worth."""
        return self._slow < QUICK

    def fits(self, size: int) -> bool:
        """Whether entries of `size` bytes go into the segment that there is."""
        return self._segment is not None and self._segment.fits(FRAME_OVERHEAD + size)

    def write(self) -> None:
        """Make the batch in hand durable. Raises OSError, HistoryError."""
        self.started = None
        events = [event for entry in self.batch for event in entry.events]
        if not events:
            self.batch = []
            return
        segment, frame = self._pack(events)
        end, count = segment.offset + len(frame), len(events)
        begin = monotonic()
        segment.write(frame)
        self._slow = max(monotonic() - begin, 0.8 * self._slow)
        # From here no call, and so no interrupt: either all of this happened, or nothing did.
        segment.offset = end
        self._number += 1
        self.written += count
        self.batch = []

    def start(self) -> None:
        """Write the batch in hand, which holds events, and don't wait for the disk: `sync` is to
        follow, or `write` does all of it again. Raises OSError, HistoryError."""
        events = [event for entry in self.batch for event in entry.events]
        segment, frame = self._pack(events)
        segment.start(frame)
        self._behind = segment.offset + len(frame), len(events)
        self.started = self.batch[-1]

    def sync(self) -> None:
        """Make durable what was started; not for the main thread, which may be interrupted. Raises
        OSError: then only `write` may follow."""
        self.started, segment = None, self._segment
        assert segment is not None  # noqa: S101 - it was written to
        begin = monotonic()
        segment.sync()
        self._slow = max(monotonic() - begin, 0.8 * self._slow)
        segment.offset, count = self._behind
        self._number += 1
        self.written += count
        self.batch = []

    def _pack(self, events: list[bytes]) -> tuple[SegmentWriter, bytes]:
        """The segment that the batch in hand goes to, and its frame."""
        length = FRAME_OVERHEAD + sum([entry.size for entry in self.batch])
        segment = self._segment
        if segment is None or not segment.fits(length):
            segment = self._segment = self._next_segment(length)
            self._seal = segment.header.seal(self._key)
        frame = pack_frame(self._number + 1, events, segment.salt, self._seal)
        failpoints.reach("append")
        return segment, frame

    def _next_segment(self, room: int) -> SegmentWriter:
        previous = self._segment
        if previous is None:
            make_folder(self._folder)
            # Whoever looks whether this writer lives holds the lock for a moment only.
            if not self.alive.held and not self.alive.take(since=self._clock.now(), wait=5.0):
                raise BlockingIOError(errno.EAGAIN, f"{self.alive.path} is locked")
        header = SegmentHeader(
            schema=SCHEMA,
            evercell=RELEASE,
            writer=self._writer,
            segment=0 if previous is None else previous.header.segment + 1,
            batch=self._number,
            position=self.written,
            created=self._clock.now(),
            pid=os.getpid(),
            host=socket.gethostname(),
            key=self._key.id,
        )
        segment = SegmentWriter(self._folder, header, room)
        if previous is not None:
            previous.close()
        return segment

    def release(self) -> None:
        """Close the segment, and let others see that this writer is gone."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        self.alive.release()
