"""kill -9 anywhere: nothing acknowledged is lost, nothing is applied twice, it always opens."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evercell.history import History

WORKER = Path(__file__).parent / "history_worker.py"
RUN = "run0000001"
POINTS = [
    "append",  # before a frame is written
    "sync",  # between writing and syncing it
    "acknowledge",  # synced, and nobody was told
    "create",  # a segment (or payload) is written under its draft's name
    "rename",  # it has its name, which is not synced
    "fold",  # rows appended, not committed
    "folded",  # committed, not checkpointed
    "checkpointed",  # checkpointed, nothing deleted
    "delete",  # one of the applied files deleted
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all trials: each recovers from what the one before left."""
    folder = tmp_path_factory.mktemp("kill")
    patch = pytest.MonkeyPatch()
    patch.setenv("EVERCELL_KEY_FILE", str(folder / "key"))
    yield folder  # type: ignore[misc]
    patch.undo()


def start(folder: Path, failpoint: str = "") -> subprocess.Popen[bytes]:
    acknowledged = ledger(folder)
    # Beyond what the last one may have recorded without being told so.
    first = acknowledged[-1] + 10 if acknowledged else 0
    return subprocess.Popen(
        [sys.executable, str(WORKER), str(folder / "history"), str(folder / "ledger"), str(first)],
        env={**os.environ, "EVERCELL_FAILPOINT": failpoint},
        stderr=subprocess.PIPE,
    )


def ledger(folder: Path) -> list[int]:
    path = folder / "ledger"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


def check(folder: Path) -> None:
    history = History(folder / "history", wait=60)
    try:
        records = history.step_records(RUN, "id:a")
        completed = [record.ordinal for record in records if record.status == "completed"]
        assert set(ledger(folder)) <= set(completed)
        assert len(records) == len({record.ordinal for record in records})
        for record in records[-60:]:
            if record.result is not None:
                assert int(history.get(record.result)) == record.ordinal
        gaps = history.query(
            """SELECT writer, count(*), count(DISTINCT position), max(position) FROM events
            GROUP BY writer HAVING count(*) <> max(position) OR count(DISTINCT position) <> count(*)
            """
        )
        assert gaps.rows == []
    finally:
        history.close()


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point(folder: Path, point: str) -> None:
    for count in (1, 3):
        process = start(folder, f"{point}:{count}")
        _, error = process.communicate(timeout=60)
        assert process.returncode == -signal.SIGKILL, error.decode()
        check(folder)


def test_killed_at_random_times(folder: Path) -> None:
    chance = random.Random(2)
    for _ in range(10):
        known = len(ledger(folder))
        process = start(folder)
        while len(ledger(folder)) <= known:  # it records
            assert process.poll() is None
            time.sleep(0.005)
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        process.communicate(timeout=60)
        check(folder)
    assert len(ledger(folder)) > 100


def test_two_writers_killed_together(folder: Path) -> None:
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(folder / "two"), str(folder / name), first],
            stderr=subprocess.PIPE,
        )
        for name, first in (("ledger a", "0"),)
    ]
    # The second can't attach to the same run, so it records beside it in a run of its own.
    script = WORKER.read_text().replace('"run0000001"', '"run0000002"')
    (folder / "other.py").write_text(script)
    processes.append(
        subprocess.Popen(
            [sys.executable, folder / "other.py", folder / "two", folder / "ledger b", "0"],
            stderr=subprocess.PIPE,
        )
    )
    ledgers = [folder / "ledger a", folder / "ledger b"]
    while not all(path.exists() and len(path.read_bytes()) > 300 for path in ledgers):
        assert all(process.poll() is None for process in processes)
        time.sleep(0.01)
    for process in processes:
        process.kill()
        process.communicate(timeout=60)

    history = History(folder / "two", wait=60)
    for run_id, path in zip(("run0000001", "run0000002"), ledgers, strict=True):
        records = history.step_records(run_id, "id:a")
        completed = {record.ordinal for record in records if record.status == "completed"}
        assert {int(line) for line in path.read_text().split()} <= completed
    history.close()
