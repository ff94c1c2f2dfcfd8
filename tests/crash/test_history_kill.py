"""kill -9 anywhere: nothing acknowledged is lost, nothing is applied twice, it always opens."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Count = Callable[[str, int], None]

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
    "removed",  # a collected run's rows deleted, its payloads not
    "unused",  # one of its payload files deleted
    "compact",  # the smaller database written, not in its place
    "compacted",  # in its place, which is not synced
]
RENEWED = 50  # trials in one folder: each recovers from what the one before left


class Worker:
    """Starts recording processes, one at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, folder: Path, ledger: Path, failpoint: str = "", *, run: str = RUN) -> int:
        """The process id of a worker that records in `folder`."""
        known = acknowledged(ledger)
        order = {
            "folder": str(folder),
            "ledger": str(ledger),
            # Beyond what the last one may have recorded without being told so.
            "first": known[-1] + 10 if known else 0,
            "run": run,
            "failpoint": failpoint,
        }
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._line())

    def died(self) -> int:
        """Wait until the worker has died; its exit code, negative for a signal."""
        word, _, status = self._line().split()
        assert word == "died"
        return int(status)

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture(scope="module", autouse=True)
def _key(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(tmp_path_factory.mktemp("key") / "key"))
        yield


@pytest.fixture(scope="module")
def top(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kill")


def acknowledged(ledger: Path) -> list[int]:
    return [int(line) for line in ledger.read_text().split()] if ledger.exists() else []


def check(folder: Path, ledger: Path, *, run: str = RUN, whole: bool = True) -> None:
    """All steps that were acknowledged have to be there, and nothing twice; with `whole`, all else
    as well."""
    history = History(folder, wait=60)
    try:
        records = history.step_records(run, "id:a")
        completed = [record.ordinal for record in records if record.status == "completed"]
        assert set(acknowledged(ledger)) <= set(completed)
        assert len(records) == len({record.ordinal for record in records})
        for record in records[-60:]:
            if record.result is not None:
                assert int(history.get(record.result)) == record.ordinal
        twice = history.query(
            "SELECT writer, position FROM events GROUP BY ALL HAVING count(*) > 1 "
            "UNION ALL SELECT writer, position FROM store.output GROUP BY ALL HAVING count(*) > 1"
        )
        assert twice.rows == []
        if whole:
            found = history.upkeep.verify()
            assert [it for it in found.findings if it.kind == "error"] == []
    finally:
        history.close()


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_a_named_point(worker: Worker, top: Path, point: str, count: Count) -> None:
    for number in (1, 2):
        worker.start(top / "named", top / "named ledger", f"{point}:{number}")
        assert worker.died() == -signal.SIGKILL
        check(top / "named", top / "named ledger")
    count("kills at named points", 2)


def kill_at_random(worker: Worker, top: Path, trials: int, seed: int) -> int:
    """Kill a worker `trials` times; returns how many steps were acknowledged."""
    chance = random.Random(seed)
    steps = 0
    for trial in range(trials):
        folder = top / f"random {seed} {trial // RENEWED}"
        ledger = folder.with_suffix(".ledger")
        known = len(acknowledged(ledger))
        process = worker.start(folder, ledger)
        deadline = time.monotonic() + 60
        while len(acknowledged(ledger)) <= known:  # it records
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.15))
        os.kill(process, signal.SIGKILL)
        assert worker.died() == -signal.SIGKILL
        check(folder, ledger, whole=trial % 8 == 0)
        steps += len(acknowledged(ledger)) - known
    return steps


def test_killed_at_random_times(worker: Worker, top: Path, count: Count) -> None:
    steps = kill_at_random(worker, top, 40, seed=2)
    assert steps > 100
    count("kills at random times", 40)
    count("steps acknowledged before them", steps)


@pytest.mark.soak
def test_killed_at_300_random_times(worker: Worker, top: Path, count: Count) -> None:
    steps = kill_at_random(worker, top, 300, seed=3)
    count("kills at random times", 300)
    count("steps acknowledged before them", steps)


def test_two_writers_killed_together(worker: Worker, top: Path, count: Count) -> None:
    """Each with a run of its own in the same folder."""
    other, folder = Worker(), top / "two"
    ledgers = [top / "ledger a", top / "ledger b"]
    try:
        processes = [
            one.start(folder, ledger, run=run)
            for one, ledger, run in (
                (worker, ledgers[0], RUN),
                (other, ledgers[1], "run0000002"),
            )
        ]
        deadline = time.monotonic() + 60
        while not all(len(acknowledged(ledger)) > 100 for ledger in ledgers):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        for process in processes:
            os.kill(process, signal.SIGKILL)
        assert [one.died() for one in (worker, other)] == [-signal.SIGKILL] * 2
    finally:
        other.close()
    for run, ledger in ((RUN, ledgers[0]), ("run0000002", ledgers[1])):
        check(folder, ledger, run=run)
    count("two writers killed together", 1)
