"""Frames: what is read back, where a tail is cut, and what is damage."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from evercell.history.frames import pack_frame, read_frames

SALT = 12345


def written(*batches: list[bytes], salt: int = SALT, zeros: int = 200) -> bytes:
    frames = [pack_frame(number, events, salt) for number, events in enumerate(batches, start=1)]
    return b"".join(frames) + bytes(zeros)


@given(st.lists(st.lists(st.binary(max_size=40), min_size=1), max_size=6))
def test_events_come_back_in_order(batches: list[list[bytes]]) -> None:
    frames = read_frames(written(*batches), 0, 0, SALT)

    assert frames.events == [event for batch in batches for event in batch]
    assert frames.batch == len(batches)
    assert not frames.damaged


def test_a_tail_torn_at_any_length_is_cut() -> None:
    whole = written([b"one", b"two"], zeros=0)
    last = pack_frame(2, [b"three", b"four" * 30], SALT)
    for length in range(len(last)):
        frames = read_frames(whole + last[:length] + bytes(300), 0, 0, SALT)
        assert frames.events == [b"one", b"two"]
        assert frames.end == len(whole)
        assert not frames.damaged


def test_a_torn_tail_without_zeros_behind_it_is_cut() -> None:
    whole = written([b"one"], zeros=0)
    last = pack_frame(2, [b"two" * 10], SALT)
    for length in range(len(last)):
        frames = read_frames(whole + last[:length], 0, 0, SALT)
        assert frames.events == [b"one"]
        assert not frames.damaged


def test_a_flipped_byte_before_a_later_frame_is_damage() -> None:
    data = bytearray(written([b"one"], [b"two"], [b"three"]))
    start = len(pack_frame(1, [b"one"], SALT))
    end = start + len(pack_frame(2, [b"two"], SALT))
    for offset in range(start, end):
        flipped = bytearray(data)
        flipped[offset] ^= 0x40
        frames = read_frames(bytes(flipped), 0, 0, SALT)
        assert frames.events == [b"one"]
        assert frames.end == start
        assert frames.damaged


def test_a_frame_inside_a_torn_event_is_not_taken_for_a_later_one() -> None:
    inner = pack_frame(1, [b"one"], SALT)  # a step that read this very journal
    torn = pack_frame(2, [inner * 3 + b"tail" * 50], SALT)[:-20]
    frames = read_frames(inner + torn + bytes(100), 0, 0, SALT)

    assert frames.events == [b"one"]
    assert not frames.damaged


def test_frames_of_another_segment_do_not_hold() -> None:
    frames = read_frames(written([b"one"], salt=SALT + 1), 0, 0, SALT)

    assert frames.events == []
    assert not frames.damaged


def test_reading_goes_on_where_it_stopped() -> None:
    first = read_frames(written([b"one"]), 0, 0, SALT)
    second = read_frames(written([b"one"], [b"two"]), first.end, first.batch, SALT)

    assert second.events == [b"two"]
