"""Segments: whole or absent, and honest about what they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from evercell.errors import HistoryNewerError, JournalDamagedError
from evercell.history.frames import pack_frame
from evercell.history.schema import SCHEMA
from evercell.history.segments import (
    HEADER_SIZE,
    SegmentHeader,
    SegmentWriter,
    check_successor,
    read_header,
    read_segment,
    segments,
)

if TYPE_CHECKING:
    from pathlib import Path

HEADER = SegmentHeader(SCHEMA, "0.1.0", "writer0001", 0, 0, 0, 17, 4711, "host")


def test_a_new_segment_is_zeroed_and_leaves_no_draft(tmp_path: Path) -> None:
    segment = SegmentWriter(tmp_path, HEADER, 100)
    segment.close()

    assert read_header(segment.path) == HEADER
    assert not any(segment.path.read_bytes()[HEADER_SIZE:])
    assert list(tmp_path.iterdir()) == [segment.path]


def test_a_frame_larger_than_a_segment_gets_a_larger_one(tmp_path: Path) -> None:
    frame = pack_frame(1, [bytes(6 << 20)], HEADER.salt)
    segment = SegmentWriter(tmp_path, HEADER, len(frame))
    segment.write(frame)
    segment.close()

    assert read_segment(segment.path, HEADER, 0, 0).events == [bytes(6 << 20)]


def test_segments_are_listed_by_writer_in_order(tmp_path: Path) -> None:
    for name in ("b-000001.log", "a-000010.log", "a-000009.log", "b-000000.log", "a.lock"):
        (tmp_path / name).touch()

    found = segments(tmp_path)

    assert {writer: [number for number, _ in files] for writer, files in found.items()} == {
        "a": [9, 10],
        "b": [0, 1],
    }


@pytest.mark.parametrize("offset", [0, 9, 13, 40])
def test_a_damaged_header_names_the_file(tmp_path: Path, offset: int) -> None:
    segment = SegmentWriter(tmp_path, HEADER, 0)
    segment.close()
    data = bytearray(segment.path.read_bytes())
    data[offset] ^= 0xFF
    segment.path.write_bytes(data)

    with pytest.raises(JournalDamagedError, match=r"writer0001-000000\.log is damaged at offset 0"):
        read_header(segment.path)


def test_an_empty_file_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "w-000000.log"
    path.touch()

    with pytest.raises(JournalDamagedError):
        read_header(path)


def test_a_newer_schema_says_what_to_install(tmp_path: Path) -> None:
    header = msgspec.structs.replace(HEADER, schema=SCHEMA + 1, evercell="7.2.0")
    segment = SegmentWriter(tmp_path, header, 0)
    segment.close()

    with pytest.raises(HistoryNewerError, match=r"pip install 'evercell>=7\.2\.0'"):
        read_header(segment.path)


def test_damage_ends_a_reading_and_names_the_offset(tmp_path: Path) -> None:
    segment = SegmentWriter(tmp_path, HEADER, 0)
    frames = [pack_frame(number, [b"event %d" % number], HEADER.salt) for number in (1, 2, 3)]
    for frame in frames:
        segment.write(frame)
        segment.offset += len(frame)
    segment.close()
    data = bytearray(segment.path.read_bytes())
    place = HEADER_SIZE + len(frames[0])
    data[place + 20] ^= 1
    segment.path.write_bytes(data)

    reading = read_segment(segment.path, HEADER, 0, 0)

    assert reading.events == [b"event 1"]
    assert reading.damage is not None
    assert f"{segment.path} is damaged at offset {place}" in str(reading.damage)


def test_a_lost_end_of_a_sealed_segment_is_damage(tmp_path: Path) -> None:
    segment = SegmentWriter(tmp_path, HEADER, 0)
    segment.write(pack_frame(1, [b"one"], HEADER.salt))
    segment.close()
    reading = read_segment(segment.path, HEADER, 0, 0)
    successor = msgspec.structs.replace(HEADER, segment=1, batch=2)

    with pytest.raises(JournalDamagedError):
        check_successor(segment.path, reading, successor)
