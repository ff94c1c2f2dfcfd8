"""How batches of events lie in a journal file.

    frame  = magic "EVFR" | u32 length of the body | u32 batch number | u32 crc32 | body
    body   = (u32 length | event bytes)*

One frame is one batch: written with one pwrite, made durable by one sync, and the next batch is
written only after that. So at a crash only the last frame can be torn, and a bad frame with a
valid later one behind it is damage, never a torn tail. The checksum covers length, batch number
and body and starts from a salt of the segment, so that frames of another file are never taken for
this one's.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["FRAME_OVERHEAD", "Frames", "pack_frame", "read_frames"]

MAGIC = b"EVFR"
_HEADER = struct.Struct("<4sIII")
_NUMBERS = struct.Struct("<II")
_LENGTH = struct.Struct("<I")
FRAME_OVERHEAD = _HEADER.size
EVENT_OVERHEAD = _LENGTH.size


def pack_frame(batch: int, events: Sequence[bytes], salt: int) -> bytes:
    """The frame that holds `events` as batch number `batch`."""
    parts = [b""] * (2 * len(events))
    parts[0::2] = [_LENGTH.pack(len(event)) for event in events]
    parts[1::2] = events
    body = b"".join(parts)
    return _HEADER.pack(MAGIC, len(body), batch, _checksum(len(body), batch, body, salt)) + body


def _checksum(length: int, batch: int, body: bytes | memoryview, salt: int) -> int:
    return zlib.crc32(body, zlib.crc32(_NUMBERS.pack(length, batch), salt))


@dataclass(frozen=True, slots=True)
class Frames:
    """What `read_frames` found."""

    events: list[bytes]  # of all valid frames, in order
    end: int  # offset behind the last valid frame
    batch: int  # number of the last valid frame
    damaged: bool  # a valid later frame lies behind a bad one at `end`


def read_frames(data: bytes, start: int, batch: int, salt: int) -> Frames:
    """Read the frames in `data` from offset `start` on; the last one before it was `batch`.

    Reading ends at the first bytes that are not the next batch's valid frame: the end of what was
    written, a torn tail, or damage.
    """
    events: list[bytes] = []
    view = memoryview(data)
    offset = start
    while (frame := _frame_at(view, offset, salt)) is not None and frame[0] == batch + 1:
        batch, body = frame
        offset += FRAME_OVERHEAD + len(body)
        events.extend(_split(body))
    return Frames(events, offset, batch, _later_frame(data, view, offset, batch, salt))


def _frame_at(view: memoryview, offset: int, salt: int) -> tuple[int, memoryview] | None:
    if offset + FRAME_OVERHEAD > len(view):
        return None
    magic, length, batch, checksum = _HEADER.unpack_from(view, offset)
    body = view[offset + FRAME_OVERHEAD : offset + FRAME_OVERHEAD + length]
    if magic != MAGIC or len(body) != length:
        return None
    if _checksum(length, batch, body, salt) != checksum:
        return None
    return batch, body


def _split(body: memoryview) -> list[bytes]:
    events = []
    offset = 0
    while offset < len(body):
        (length,) = _LENGTH.unpack_from(body, offset)
        offset += EVENT_OVERHEAD
        events.append(bytes(body[offset : offset + length]))
        offset += length
    return events


def _later_frame(data: bytes, view: memoryview, offset: int, batch: int, salt: int) -> bool:
    """Whether a batch that was begun after batch + 1 had been synced lies behind `offset`.

    An event may hold bytes that look like a frame of this very file, say a step that read the
    journal; those are of earlier batches, and don't count.
    """
    place = offset
    while (place := data.find(MAGIC, place)) >= 0:
        frame = _frame_at(view, place, salt)
        if frame is not None and frame[0] > batch + 1:
            return True
        place += 1
    return False
