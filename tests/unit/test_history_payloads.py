"""Payloads: small ones inline, large ones in files, none that another user wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest

from evercell.errors import PayloadError
from evercell.history.keys import UserKey
from evercell.history.payloads import INLINE_LIMIT, PayloadStore

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> PayloadStore:
    return PayloadStore(tmp_path / "blobs", "writer0001", key=UserKey(tmp_path / "key"))


@pytest.mark.parametrize("size", [0, 1, INLINE_LIMIT, INLINE_LIMIT + 1, 3 << 20])
def test_bytes_come_back(store: PayloadStore, size: int) -> None:
    data = (b"0123456789" * (size // 10 + 1))[:size]
    payload = store.put(memoryview(data), "pickle")

    assert store.get(payload) == data
    assert payload.size == size
    assert (payload.data is None) == (size > INLINE_LIMIT)


def test_the_limit_for_files_is_64_kib(store: PayloadStore, tmp_path: Path) -> None:
    store.put(bytes(INLINE_LIMIT), "pickle")
    assert not (tmp_path / "blobs").exists()
    payload = store.put(bytes(INLINE_LIMIT + 1), "pickle")
    name = payload.id.hex()
    assert [path.name for path in (tmp_path / "blobs" / name[:2]).iterdir()] == [name]


def test_equal_bytes_share_a_file(store: PayloadStore, tmp_path: Path) -> None:
    first = store.put(bytes(100_000), "pickle")
    again = store.put(bytes(100_000), "pickle")

    assert first == again
    assert len([path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]) == 1


def test_a_file_cut_short_is_written_again(store: PayloadStore, tmp_path: Path) -> None:
    payload = store.put(bytes(100_000), "pickle")
    name = payload.id.hex()
    (tmp_path / "blobs" / name[:2] / name).write_bytes(bytes(10))
    with pytest.raises(PayloadError):
        store.get(payload)

    assert store.get(store.put(bytes(100_000), "pickle")) == bytes(100_000)


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
    payload = store.put(bytes(100_000), "pickle")
    path = tmp_path / "blobs" / payload.id.hex()[:2] / payload.id.hex()
    path.unlink()

    with pytest.raises(PayloadError, match=payload.id.hex()):
        store.get(payload)


def test_a_changed_file_is_refused(store: PayloadStore, tmp_path: Path) -> None:
    payload = store.put(bytes(100_000), "pickle")
    path = tmp_path / "blobs" / payload.id.hex()[:2] / payload.id.hex()
    path.write_bytes(bytes(99_999) + b"\1")

    with pytest.raises(PayloadError):
        store.get(payload)


def test_large_json_is_readable_for_sql(store: PayloadStore) -> None:
    large = b'"' + b"x" * 100_000 + b'"'
    assert store.readable(store.put(large, "json")) == large.decode()
    assert store.readable(store.put(b"1", "json")) is None  # inline: SQL reads it there
    assert store.readable(store.put(large, "pickle")) is None
    assert store.readable(store.put(bytes(2 << 20), "json")) is None
