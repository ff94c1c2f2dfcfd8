"""Locks: exclusive, explained, and gone with their process."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from evercell.errors import RunInUseError
from evercell.history.locks import FileLock, RunLock, is_held

if TYPE_CHECKING:
    from pathlib import Path

SINCE = 1_767_225_600_000_000_000


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "x.lock"), FileLock(tmp_path / "x.lock")
    assert first.take(since=SINCE)
    assert not second.take(since=SINCE)
    assert is_held(tmp_path / "x.lock")
    first.release()
    assert not is_held(tmp_path / "x.lock")
    assert second.take(since=SINCE)
    second.release()
    second.release()


def test_asking_does_not_disturb(tmp_path: Path) -> None:
    assert not is_held(tmp_path / "missing.lock")
    assert not (tmp_path / "missing.lock").exists()


def test_a_lock_on_a_deleted_file_is_no_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.lock"
    first, second = FileLock(path), FileLock(path)
    assert first.take(since=SINCE)
    path.unlink()
    assert second.take(since=SINCE)
    assert path.exists()
    first.release()
    second.release()


def test_a_run_in_use_names_its_holder_and_two_ways_out(tmp_path: Path) -> None:
    lock = RunLock.take(tmp_path / "runs", "run1", since=SINCE)
    with pytest.raises(RunInUseError) as raised:
        RunLock.take(tmp_path / "runs", "run1", since=SINCE)
    lock.release()

    message = str(raised.value)
    assert f"process id {os.getpid()} on {socket.gethostname()}" in message
    assert "since 202" in message
    assert "Shut that kernel down" in message
    assert "%evercell new-run" in message


def test_a_lock_dies_with_its_process(tmp_path: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from evercell.history.locks import FileLock\n"
        "FileLock(Path(sys.argv[1])).take(since=1) and print('taken', flush=True)\n"
    )
    # A subprocess that the lock's holder leaves behind must not keep the lock.
    script = script.replace("FileLock(Path", "lock = FileLock(Path").replace(
        ".take(since=1) and print('taken', flush=True)",
        "\nlock.take(since=1)\nimport subprocess\n"
        "left = subprocess.Popen(['sleep', '30'])\nprint(left.pid, flush=True)\ntime.sleep(30)",
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "x.lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    left = int(process.stdout.readline())
    try:
        assert is_held(tmp_path / "x.lock")
        process.kill()
        process.wait()
        assert not is_held(tmp_path / "x.lock")
    finally:
        os.kill(left, 9)
        process.stdout.close()
