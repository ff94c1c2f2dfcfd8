"""The per-user key: made once, private, never replaced."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from evercell.errors import HistoryError, HistoryWriteError
from evercell.history.keys import key_file, key_id, load_key

if TYPE_CHECKING:
    from pathlib import Path


def test_a_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "key"
    key = load_key(path)

    assert len(key) == 32
    assert load_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_threads_that_race_get_the_same_key(tmp_path: Path) -> None:
    path = tmp_path / "key"
    keys: list[bytes] = []
    start = threading.Barrier(8)

    def load() -> None:
        start.wait()
        keys.append(load_key(path))

    threads = [threading.Thread(target=load) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(keys) == 8
    assert len(set(keys)) == 1


def test_a_file_that_is_no_key_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"short")

    with pytest.raises(HistoryError, match="holds 5 bytes instead of 32"):
        load_key(path)


def test_a_place_that_can_not_be_made_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(HistoryWriteError, match="key"):
        load_key(tmp_path / "file" / "key")


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "mine"))
    assert key_file() == tmp_path / "mine"
    monkeypatch.delenv("EVERCELL_KEY_FILE")
    assert key_file().name == "key"


def test_a_key_id_tells_keys_apart() -> None:
    assert key_id(bytes(32)) == key_id(bytes(32))
    assert key_id(bytes(32)) != key_id(b"\1" * 32)
