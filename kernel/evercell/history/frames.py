"""How batches of events lie in a journal file.

    frame  = magic "EVFR" | u32 length of the body | u32 batch number | u32 crc32 | tag | body
    tag    = 16 bytes of BLAKE3 under the user's key, over the segment's header, batch, and body
    body   = (u32 length | event bytes)*

One frame is one batch: written with one pwrite, made durable by one sync, and the next batch is
written only after that. So at a crash only the last frame can be torn, and a bad frame with a
valid later one behind it is damage, never a torn tail. The checksum covers length, batch number,
tag and body and starts from a salt of the segment, so that frames of another file are never taken
for this one's. It tells an accident to anybody; the tag tells the owner of the key what somebody
else has changed.
"""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from evercell.history.keys import TAG_SIZE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from blake3 import blake3

__all__ = ["FRAME_OVERHEAD", "Frame", "Frames", "pack_frame", "read_frames", "valid_frames"]

MAGIC = b"EVFR"
_HEADER = struct.Struct(f"<4sIII{TAG_SIZE}s")
_NUMBERS = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
FRAME_OVERHEAD = _HEADER.size
EVENT_OVERHEAD = _LENGTH.size


_NO_TAG = bytes(TAG_SIZE)


def pack_frame(batch: int, events: Sequence[bytes], salt: int, seal: blake3 | None = None) -> bytes:
    """The frame that holds `events` as batch number `batch`; `seal` is `UserKey.frames`."""
    parts: list[bytes] = []
    for event in events:
        parts += (_LENGTH.pack(len(event)), event)
    body = b"".join(parts)
    numbers = _NUMBERS.pack(len(body), batch)
    if seal is None:
        tag = _NO_TAG
    else:  # as `_tag`, and `_checksum` below, without the calls: a step waits for it
        hasher = seal.copy()
        hasher.update(numbers + body)
        tag = hasher.digest(TAG_SIZE)
    checksum = zlib.crc32(body, zlib.crc32(numbers + tag, salt))
    return _HEADER.pack(MAGIC, len(body), batch, checksum, tag) + body


def _tag(numbers: bytes, body: bytes | memoryview, seal: blake3) -> bytes:
    hasher = seal.copy()
    hasher.update(numbers)
    hasher.update(body)
    return hasher.digest(TAG_SIZE)


def _checksum(numbers: bytes, tag: bytes, body: bytes | memoryview, salt: int) -> int:
    return zlib.crc32(body, zlib.crc32(numbers + tag, salt))


class Frame(NamedTuple):
    """A frame whose checksum holds."""

    batch: int
    body: memoryview
    tag: bytes

    @property
    def events(self) -> list[bytes]:
        """The batch's events, encoded."""
        return _split(self.body)

    def holds(self, seal: blake3 | None) -> bool:
        """Whether it was written under the key of `seal`; without one, nobody asks."""
        if seal is None:
            return True
        return self.tag == _tag(_NUMBERS.pack(len(self.body), self.batch), self.body, seal)


class Frames(msgspec.Struct, frozen=True):
    """What `read_frames` found."""

    events: list[bytes]  # of all valid frames, in order
    end: int  # offset behind the last valid frame
    batch: int  # number of the last valid frame
    damaged: bool  # at `end` is a frame that was changed, or a bad one before a valid later one


def read_frames(
    data: bytes, start: int, batch: int, salt: int, seal: blake3 | None = None
) -> Frames:
    """Read the frames in `data` from offset `start` on; the last one before it was `batch`.

    Reading ends at the first bytes that are not the next batch's valid frame: the end of what was
    written, a torn tail, or damage. With `seal`, a frame that the key's owner did not write is
    damage.
    """
    events: list[bytes] = []
    view = memoryview(data)
    offset = start
    changed = False
    while (frame := _frame_at(view, offset, salt)) is not None and frame.batch == batch + 1:
        changed = not frame.holds(seal)
        if changed:
            break
        batch = frame.batch
        offset += FRAME_OVERHEAD + len(frame.body)
        events.extend(frame.events)
    damaged = changed or _later_frame(data, view, offset, batch, salt)
    return Frames(events, offset, batch, damaged)


def valid_frames(data: bytes, start: int, salt: int, seal: blake3 | None) -> list[Frame]:
    """Every frame that holds, in the order of their batches, whatever lies between them: what can
    be saved of a damaged segment."""
    view = memoryview(data)
    found: list[Frame] = []
    offset = data.find(MAGIC, start)
    while offset >= 0:
        frame = _frame_at(view, offset, salt)
        if frame is not None and frame.holds(seal) and (not found or frame.batch > found[-1].batch):
            found.append(frame)
            offset += FRAME_OVERHEAD + len(frame.body)
        else:
            offset += 1
        offset = data.find(MAGIC, offset)
    return found


def _frame_at(view: memoryview, offset: int, salt: int) -> Frame | None:
    if offset + FRAME_OVERHEAD > len(view):
        return None
    magic, length, batch, checksum, tag = _HEADER.unpack_from(view, offset)
    body = view[offset + FRAME_OVERHEAD : offset + FRAME_OVERHEAD + length]
    if magic != MAGIC or len(body) != length:
        return None
    if _checksum(_NUMBERS.pack(length, batch), tag, body, salt) != checksum:
        return None
    return Frame(batch, body, tag)


def _split(body: memoryview) -> list[bytes]:
    data, end = bytes(body), len(body)  # slices of bytes are made in half the time of a view's
    length_at = _LENGTH.unpack_from
    events = []
    offset = 0
    while offset < end:
        begin = offset + EVENT_OVERHEAD
        offset = begin + length_at(data, offset)[0]
        events.append(data[begin:offset])
    return events


def _later_frame(data: bytes, view: memoryview, offset: int, batch: int, salt: int) -> bool:
    """Whether a batch that was begun after batch + 1 had been synced lies behind `offset`.

    An event may hold bytes that look like a frame of this very file, say a step that read the
    journal; those are of earlier batches, and don't count.
    """
    place = offset
    while (place := data.find(MAGIC, place)) >= 0:
        frame = _frame_at(view, place, salt)
        if frame is not None and frame.batch > batch + 1:
            return True
        place += 1
    return False
