"""Large arrays behind their pickle: what comes back is what was given, over memory of its own."""

from __future__ import annotations

import io
import itertools
import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from evercell.codec.buffers import PrivateMapping
from evercell.codec.parts import Pieces, are_apart, gathered, joined, parted
from evercell.codec.values import decode, encode
from evercell.errors import RestoreError

if TYPE_CHECKING:
    from pathlib import Path

LARGE = np.arange(100_000)


@pytest.mark.parametrize("sizes", [(), (0,), (1,), (64, 65_536), (100_000, 3, 0, 7)])
def test_parts_come_apart_as_they_were_joined(sizes: tuple[int, ...]) -> None:
    given = [memoryview(bytes([n]) * size) for n, size in enumerate(sizes)]
    data = joined(b"stream", given)
    stream, buffers = parted(data)
    assert stream == b"stream"
    assert [bytes(it) for it in buffers] == [bytes(it) for it in given]
    assert len(data) % 64 == 0


@pytest.mark.parametrize("sizes", [(), (0,), (64, 65), (3, 0, 0, 64, 200)])
def test_pieces_are_read_as_the_bytes_that_they_stand_for(sizes: tuple[int, ...]) -> None:
    given = [memoryview(bytes([n + 1]) * size) for n, size in enumerate(sizes)]
    pieces, whole = Pieces(b"stream", given), joined(b"stream", given)
    assert (len(pieces), bytes(pieces)) == (len(whole), whole)
    places = range(0, len(whole) + 9, 7)
    for begin, end in itertools.product(places, places):
        assert pieces[begin:end] == whole[begin:end]


@pytest.mark.parametrize(
    "data",
    [b"", b"\1", bytes(8), bytes(64), b"\xff" * 64, joined(b"s", [memoryview(b"x" * 99)])[:-64],
     joined(b"s", []) + bytes(64)],
)  # fmt: skip
def test_what_was_cut_is_refused(data: bytes) -> None:
    with pytest.raises(RestoreError, match="not in the parts"):
        parted(data)


@pytest.mark.parametrize("chunk", [1, 64, 1000, 10**9])
def test_parts_are_gathered_from_chunks_of_any_size(chunk: int) -> None:
    given: list[Any] = [b"abc" * 1000, bytearray(b"d" * 65), memoryview(b"e" * 7), b"", b"f"]
    data = joined(b"stream", [memoryview(it) for it in given])
    first = 8 * (len(given) + 2)  # it holds the lengths
    chunks = [data[:first], *(data[at : at + chunk] for at in range(first, len(data), chunk))]
    found = gathered(chunks, len(data))
    assert found.stream == b"stream"
    assert found.buffers == given
    assert [type(it) for it in found.buffers[:2]] == [bytes, bytearray]
    assert bytes(found) == data
    for wrong in (chunks[:-1], [*chunks, b"x"]):
        with pytest.raises(RestoreError, match="not in the parts"):
            gathered(wrong, len(data))


@dataclass
class Page:
    name: str
    content: bytes


BYTES = bytes(range(256)) * 5000
VALUES = {
    "bytes": BYTES,
    "bytearray": bytearray(BYTES),
    "nested": {"a": [BYTES, 1.5], "b": (BYTES + b"x", LARGE, "text")},
    "object": Page("first", BYTES),
}


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_large_bytes_lie_beside_the_pickle(value: Any) -> None:
    encoded = encode(value, {})
    assert encoded.codec == "parts"
    assert are_apart(io.BytesIO(bytes(encoded.data)), len(encoded.data))
    assert len(parted(bytes(encoded.data))[0]) < 1000
    apart = gathered([bytes(encoded.data)], len(encoded.data))
    for data in (bytes(encoded.data), apart):
        found = decode("parts", data, {})
        assert repr(found) == repr(value)
        assert type(found) is type(value)


def test_large_bytes_keep_who_they_are() -> None:
    """Also beside arrays and a NaN, whose places in the stream are told by their order."""
    buffer, nan = bytearray(BYTES), float("nan")
    given = [LARGE, buffer, nan, BYTES, LARGE * 2, buffer, nan, BYTES]
    found = decode("parts", encode(given, {}).data, {})
    assert found[1] is found[5]
    assert found[1] is not buffer
    assert found[3] is found[7]
    assert found[2] is found[6]
    assert np.array_equal(found[4], LARGE * 2)
    found[1][0] = 9
    assert buffer[0] == 0


def test_arrays_come_back_writable_and_apart() -> None:
    value = {"a": LARGE, "b": LARGE * 2.0, "small": np.arange(3)}
    encoded = encode(value, {})
    assert encoded.codec == "parts"
    found: dict[str, Any] = decode("parts", encoded.data, {})
    for name, array in value.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    found["a"][0] = -1
    assert found["b"][0] == 0
    assert LARGE[0] == 0


def test_one_array_twice_stays_one() -> None:
    first, second = decode("parts", encode([LARGE, LARGE], {}).data, {})
    assert first is second


def test_a_view_stays_a_view() -> None:
    base, view = decode("parts", encode((LARGE, LARGE[10:20]), {}).data, {})
    view[0] = -1
    assert base[10] == -1


def test_a_read_only_array_and_a_frame_come_back() -> None:
    fixed = LARGE.copy()
    fixed.flags.writeable = False
    frame = pd.DataFrame({"x": LARGE, "y": LARGE / 3, "z": [f"row {n}" for n in LARGE]})
    array, table = decode("parts", encode([fixed, frame], {}).data, {})
    assert not array.flags.writeable
    pd.testing.assert_frame_equal(table, frame)


def test_one_array_is_its_file_and_can_be_changed(tmp_path: Path) -> None:
    path = tmp_path / "value"
    path.write_bytes(encode(LARGE, {}).data)
    with path.open("rb") as file:
        data = PrivateMapping(file.fileno(), 0, access=mmap.ACCESS_COPY)
    array = decode("parts", data, {})
    assert array.base is data
    assert array.ctypes.data % 64 == 0
    array[0] = -1
    assert path.read_bytes() == encode(LARGE, {}).data
