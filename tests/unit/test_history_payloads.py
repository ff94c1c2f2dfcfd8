"""Payloads: small ones inline, large ones in files, none that another user wrote."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pytest

from evercell import AesGcm, settings
from evercell.codec.buffers import PrivateMapping
from evercell.codec.parts import Parted, Pieces, joined, parted
from evercell.errors import PayloadError
from evercell.history.keys import UserKey
from evercell.history.payloads import INLINE_LIMIT, PayloadStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def noise(size: int) -> bytes:
    """The same bytes each time, which no compression makes smaller."""
    return random.Random(size).randbytes(size)


@pytest.fixture
def store(tmp_path: Path) -> PayloadStore:
    return PayloadStore(tmp_path / "blobs", "writer0001", key=UserKey(tmp_path / "key"))


@pytest.mark.parametrize("size", [0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, 3 << 20])
def test_bytes_come_back(store: PayloadStore, size: int) -> None:
    data = noise(size)
    payload = store.put(memoryview(data), "pickle")

    assert store.get(payload) == data
    assert payload.size == size
    assert (payload.data is None) == (size > INLINE_LIMIT)


def test_the_limit_for_files_is_64_kib(store: PayloadStore, tmp_path: Path) -> None:
    store.put(noise(INLINE_LIMIT), "pickle")
    assert not (tmp_path / "blobs").exists()
    payload = store.put(noise(INLINE_LIMIT + 1), "pickle")
    name = payload.id.hex()
    assert [path.name for path in (tmp_path / "blobs" / name[:2]).iterdir()] == [name]


def test_equal_bytes_share_a_file(store: PayloadStore, tmp_path: Path) -> None:
    first = store.put(noise(100_000), "pickle")
    again = store.put(noise(100_000), "pickle")

    assert first == again
    assert len([path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("size", [100_000, 17 << 20])
@pytest.mark.parametrize("make", [noise, bytes], ids=["as it is", "compressed"])
def test_large_bytes_objects_come_each_by_itself(
    store: PayloadStore, make: Callable[[int], bytes], size: int
) -> None:
    pieces = Pieces(b"stream", [memoryview(make(size)), memoryview(bytearray(b"b"))])
    payload = store.put(pieces if size > 1 << 20 else bytes(pieces), "parts")
    found = store.value(payload) if payload.data is None else store.get(payload)
    assert parted(found) == (b"stream", [make(size), b"b"])
    assert store.get(payload) == bytes(pieces)
    if payload.data is None:
        assert isinstance(found, Parted)
        assert [type(it) for it in found.buffers] == [bytes, bytearray]


@pytest.mark.parametrize("place", [0, 7, 8, 15, 16, 24, 70, 150, 100_000])
def test_large_bytes_objects_that_were_changed_are_refused(store: PayloadStore, place: int) -> None:
    payload = store.put(joined(b"stream", [memoryview(noise(200_000))]), "parts")
    path = store.path(payload.id)
    data = bytearray(path.read_bytes())
    data[place] ^= 0xC1
    path.chmod(0o600)
    for wrong in (data, data[:-1], data + b"x", data[:9], b""):
        path.write_bytes(wrong)
        with pytest.raises(PayloadError, match="was changed"):
            store.value(payload)


def test_a_file_cut_short_is_written_again(store: PayloadStore, tmp_path: Path) -> None:
    payload = store.put(noise(100_000), "pickle")
    name = payload.id.hex()
    (tmp_path / "blobs" / name[:2] / name).write_bytes(bytes(10))
    with pytest.raises(PayloadError):
        store.get(payload)

    assert store.get(store.put(noise(100_000), "pickle")) == noise(100_000)


@pytest.mark.parametrize("size", [10, 100_000])
def test_another_users_payload_is_refused(store: PayloadStore, tmp_path: Path, size: int) -> None:
    other = PayloadStore(tmp_path / "blobs", "writer0002", key=UserKey(tmp_path / "other key"))
    payload = other.put(bytes(size), "pickle")

    with pytest.raises(PayloadError, match="another user wrote it"):
        store.get(payload)


def test_json_can_not_be_passed_off_as_a_pickle(store: PayloadStore) -> None:
    payload = store.put(b'"cos\\nsystem"', "json")

    with pytest.raises(PayloadError):
        store.get(msgspec.structs.replace(payload, codec="pickle"))


def test_a_missing_file_says_which(store: PayloadStore, tmp_path: Path) -> None:
    payload = store.put(noise(100_000), "pickle")
    path = tmp_path / "blobs" / payload.id.hex()[:2] / payload.id.hex()
    path.unlink()

    with pytest.raises(PayloadError, match=payload.id.hex()):
        store.get(payload)


def test_a_changed_file_is_refused(store: PayloadStore, tmp_path: Path) -> None:
    payload = store.put(noise(100_000), "pickle")
    path = tmp_path / "blobs" / payload.id.hex()[:2] / payload.id.hex()
    path.write_bytes(noise(100_000)[1:] + b"\1")

    with pytest.raises(PayloadError):
        store.get(payload)


def test_large_json_is_readable_for_sql(store: PayloadStore) -> None:
    large = b'"' + b"x" * 100_000 + b'"'
    assert store.readable(store.put(large, "json")) == large.decode()
    assert store.readable(store.put(b"1", "json")) is None  # inline: SQL reads it there
    assert store.readable(store.put(large, "pickle")) is None
    assert store.readable(store.put(bytes(2 << 20), "json")) is None


def test_what_compresses_is_compressed(store: PayloadStore, tmp_path: Path) -> None:
    text = b"the quick brown fox " * 10_000
    payload = store.put(text, "pickle")

    assert payload.codec == "pickle+zstd"
    assert payload.data is not None
    assert payload.size < 2000
    assert store.get(payload) == text
    assert store.put(b"[" + b"1," * 10_000 + b"1]", "json").codec == "json"  # SQL reads it
    assert store.put(noise(200_000), "pickle").codec == "pickle"
    settings.change(compress=False)
    assert store.put(text, "pickle").codec == "pickle"


def test_encrypted_values_are_shared_and_need_their_key(store: PayloadStore) -> None:
    settings.change(codec=AesGcm(bytes(32)))
    for data in (b"attack at dawn", b"attack at dawn " * 10_000, noise(200_000)):
        payload = store.put(data, "json")
        assert payload.codec in {"json+aes-gcm", "json+zstd+aes-gcm"}
        assert payload == store.put(data, "json")
        assert store.get(payload) == data
        assert store.readable(payload) is None
    settings.change(codec=AesGcm(b"x" * 32))
    with pytest.raises(PayloadError, match="another key"):
        store.get(payload)
    settings.reset()
    with pytest.raises(PayloadError, match=r"'aes-gcm'.*configure"):
        store.get(payload)


def test_a_layer_sees_only_what_this_user_wrote(store: PayloadStore, tmp_path: Path) -> None:
    settings.change(codec=AesGcm(bytes(32)))
    payload = store.put(b"a", "json")
    assert payload.data is not None
    other = msgspec.structs.replace(payload, data=payload.data[:-1] + b"x")
    with pytest.raises(PayloadError, match="was changed"):
        store.get(other)


@pytest.mark.parametrize("layer", [None, AesGcm(bytes(32))])
def test_large_values_go_through_layers_in_chunks(
    store: PayloadStore, tmp_path: Path, layer: AesGcm | None
) -> None:
    settings.change(codec=layer)
    data = (noise(100_000) + bytes(400_000)) * 40
    payload = store.put(memoryview(data), "pickle")

    assert payload.codec.startswith("pickle+chunks+zstd")
    assert store.get(payload) == data
    assert store.put(data, "pickle") == payload
    path = store.path(payload.id)
    assert [it for it in (tmp_path / "blobs").rglob("*") if it.is_file()] == [path]
    stored = bytearray(path.read_bytes())
    stored[-1] ^= 1
    path.write_bytes(stored)
    with pytest.raises(PayloadError, match="was changed"):
        store.get(payload)


def test_a_large_buffer_is_memory_of_its_own_over_the_file(store: PayloadStore) -> None:
    data = noise(17 << 20)
    payload = store.put(data, "buffer")
    one, other = store.fetch(payload), store.fetch(payload)

    assert isinstance(one, PrivateMapping)
    one[0:4] = b"mine"
    assert bytes(other[:4]) == data[:4]
    assert store.get(payload) == data
    store.path(payload.id).unlink()  # as garbage collection does
    assert other[:] == data


class Changing(Pieces):
    """Of an array that another thread changes while it is written."""

    __slots__ = ("array",)

    def __getitem__(self, part: slice) -> bytes:
        piece = super().__getitem__(part)
        self.array += 1
        return piece


@pytest.mark.parametrize("compressible", [False, True])
def test_what_changes_while_it_is_written_is_whole(
    store: PayloadStore, *, compressible: bool
) -> None:
    array = np.frombuffer(bytearray(noise(40 << 20)), np.uint8)
    if compressible:
        array[:] = 0
    changing = Changing(b"stream", [memoryview(array)])
    changing.array = array
    payload = store.put(changing, "parts")
    assert payload.size < (1 << 20) if compressible else payload.size == len(changing)
    stream, (read,) = parted(store.fetch(payload))
    assert (stream, len(read)) == (b"stream", len(array))
    assert read[-1] != read[0] or not compressible  # a chunk later, it was another


def test_pieces_share_the_file_of_the_bytes_that_they_stand_for(
    store: PayloadStore, tmp_path: Path
) -> None:
    pieces = Pieces(b"stream", [memoryview(noise(20 << 20))])
    payload = store.put(pieces, "parts")
    assert store.put(bytes(pieces), "parts") == payload == store.put(pieces, "parts")
    assert store.get(payload) == bytes(pieces)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()].count(
        payload.id.hex()
    ) == 1
    assert not any(tmp_path.rglob("new/.*"))


def test_a_file_that_others_may_write_is_read_into_memory(store: PayloadStore) -> None:
    payload = store.put(noise(17 << 20), "buffer")
    store.path(payload.id).chmod(0o666)

    assert isinstance(store.fetch(payload), bytearray)


@pytest.mark.parametrize("size", [100_000, 17 << 20])
def test_a_buffer_of_another_length_is_refused(store: PayloadStore, size: int) -> None:
    payload = store.put(noise(size), "buffer")
    path = store.path(payload.id)
    for other in (noise(size) + b"a", noise(size)[:-1]):
        path.write_bytes(other)
        with pytest.raises(PayloadError):
            store.fetch(payload)
