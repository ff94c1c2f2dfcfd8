"""Full disks, and clocks that jump back."""

from __future__ import annotations

import os
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from records import RUN, begin, record, recorded

from evercell import events as e
from evercell import settings
from evercell.clock import SystemClock
from evercell.errors import HistoryError
from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Count = Callable[[str, int], None]


@pytest.fixture(autouse=True)
def _key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    yield
    settings.reset()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 6 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip("mounting a small disk needs root")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk_stops_recording_and_room_lets_it_go_on(small_disk: Path, count: Count) -> None:
    """Payloads, journal and fold meet the full disk one after the other; what was acknowledged
    before is there, and what comes after is recorded."""
    settings.change(compress=False)
    history = History(small_disk / "history")
    begin(history)
    acknowledged: list[int] = []
    refused: list[str] = []
    for number in range(400):
        try:
            if number % 2:
                history.put(os.urandom(80_000), "buffer")
            record(history, range(number, number + 1))
            acknowledged.append(number)
            if number % 10 == 0:
                history.fold()
        except HistoryError as error:
            refused.append(error.message)
            if len(refused) >= 6:
                break
    assert len(refused) == 6
    assert all("No space left" in it or "could not be written" in it for it in refused)
    for blob in (small_disk / "history" / "blobs").rglob("*"):
        if blob.is_file():
            blob.unlink()
    record(history, range(1000, 1010))
    held = recorded(history)
    assert set(acknowledged) <= set(held)
    assert set(range(1000, 1010)) <= set(held)
    assert len(held) == len(set(held))
    history.close()
    count("writes refused by a full disk", len(refused))


def test_a_clock_that_jumps_back_changes_nothing(tmp_path: Path, count: Count) -> None:
    """Kernels and folds whose clocks run backwards: the order is that of recording."""
    for generation in range(1, 6):
        history = History(tmp_path / "history", clock=BackwardsClock(generation))
        lock = history.attach(RUN)
        assert lock.generation == generation
        begin(history, generation=generation)
        record(history, range(generation * 10, generation * 10 + 3))
        if generation > 1:
            step = history.step_records(RUN, "id:a")[0]
            history.commit(e.AttemptStarted(RUN, -generation, step.activity_id, "cell", generation))
            latest = history.step_records(RUN, "id:a")[0]
            assert (latest.status, latest.attempts) == ("in doubt", generation)
        lock.release()
        history.close()
    history = History(tmp_path / "history")
    assert len(recorded(history)) == 15
    started = [type(it).__name__ for it in history.events(RUN)]
    assert started[0] == "RunStarted"
    assert history.query("SELECT max(generation) FROM runs").rows == [(5,)]
    known = history.current_run("/nb.ipynb", {})
    assert known is not None
    assert known.generation == 5
    history.close()
    count("kernels whose clock had jumped back", 4)


class BackwardsClock(SystemClock):
    """Each generation's is an hour behind the one before, and runs backwards."""

    def __init__(self, generation: int) -> None:
        self._now = time.time_ns() - generation * 3_600 * 10**9

    def now(self) -> int:
        self._now -= 10**9
        return self._now
