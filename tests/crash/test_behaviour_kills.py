"""kill -9 at every append of each behaviour, then Restart and Run All: the same result, no finished
step again, and a history that replays.

`sync:k` dies when the k-th append is in the file and nobody was told; `append:k` when all that
followed from the one before was done, and the k-th is not written.
"""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from behaviours import AT_ONCE, BEHAVIOURS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Count = Callable[[str, int], None]

WORKER = Path(__file__).parent / "behaviour_worker.py"
KILLED = -signal.SIGKILL
POINTS = ("sync", "append")


class Worker:
    """Runs notebooks, one at a time, in processes that are forked from one that is warm."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(WORKER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, behaviour: str, folder: Path, process: int, failpoint: str = "") -> int:
        """The exit code of the notebook's process number `process` in the folder."""
        folder.mkdir(parents=True, exist_ok=True)
        order = {
            "behaviour": behaviour,
            "folder": str(folder),
            "process": process,
            "failpoint": failpoint,
        }
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        word, status = self._process.stdout.readline().split()
        assert word == "died"
        return int(status)

    def close(self) -> None:
        self._process.communicate(timeout=60)


@dataclass(frozen=True, slots=True)
class Effect:
    """A line of the ledger."""

    process: int
    activity: str
    attempt: int
    label: str


def effects(folder: Path) -> list[Effect]:
    path = folder / "ledger"
    lines = path.read_text().splitlines() if path.exists() else []
    split = (line.split(" ", 3) for line in lines)
    return [
        Effect(int(process), activity, int(attempt), label)
        for process, activity, attempt, label in split
    ]


def outcome(folder: Path, process: int) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / f"{process}.json").read_text())
    return data


def standstill(folder: Path, process: int) -> str:
    """Where the process stood when its time was over, if that was its end."""
    report = folder / f"{process}.standstill"
    return f"\n{report.read_text()}" if report.exists() else ""


@pytest.fixture(scope="module")
def worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(tmp_path_factory.mktemp("key") / "key"))
        worker = Worker()
        yield worker
        worker.close()


@pytest.fixture(scope="module")
def undisturbed(
    worker: Worker, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], dict[str, Any]]:
    """What comes of a behaviour that nobody kills."""
    known: dict[str, dict[str, Any]] = {}

    def get(behaviour: str) -> dict[str, Any]:
        if behaviour not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            assert worker.run(behaviour, folder, 1) == 0
            known[behaviour] = outcome(folder, 1)
            assert known[behaviour]["error"] is None
            assert known[behaviour]["replays"] == []
        return known[behaviour]

    return get


def kill_and_resume(
    worker: Worker, behaviour: str, folder: Path, failpoint: str, expected: str
) -> bool:
    """One trial; whether the kill came before the end."""
    killed = worker.run(behaviour, folder, 1, failpoint)
    assert killed in (KILLED, 0), f"{failpoint}: ended with {killed}{standstill(folder, 1)}"
    resumed = worker.run(behaviour, folder, 2)
    assert resumed == 0, f"{failpoint}: ended with {resumed}{standstill(folder, 2)}"
    after = outcome(folder, 2)
    assert (after["error"], after["result"], after["replays"]) == (None, expected, []), failpoint
    check_effects(effects(folder), after, AT_ONCE.get(behaviour, 1), failpoint)
    return killed == KILLED


def check_effects(done: list[Effect], after: dict[str, Any], at_once: int, failpoint: str) -> None:
    """Nothing that was recorded as finished when the process died was done once more."""
    finished = set(after["finished"])
    failed = {(activity, attempt) for activity, attempt in after["failed"]}
    before = [it for it in done if it.process == 1]
    again = [it for it in done if it.process == 2]
    paid = {it.label for it in before if it.activity in finished}
    repeated = [
        it
        for it in again
        if it.activity in finished or it.label in paid or (it.activity, it.attempt) in failed
    ]
    assert repeated == [], f"{failpoint}: a finished step ran again"
    in_flight = {it.label.split(" part ")[0] for it in again} & {it.label for it in before}
    activities = {it.activity for it in before if it.label in in_flight}
    assert len(activities) <= at_once, f"{failpoint}: more was repeated than was in flight"


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_killed_at_an_append(
    worker: Worker,
    undisturbed: Callable[[str], dict[str, Any]],
    behaviour: str,
    tmp_path: Path,
    count: Count,
) -> None:
    expected = undisturbed(behaviour)
    chance = random.Random(behaviour)
    number = chance.randint(2, expected["counts"]["append"] - 1)
    failpoint = f"{chance.choice(POINTS)}:{number}"
    kill_and_resume(worker, behaviour, tmp_path, failpoint, expected["result"])
    count("kills at an append of a behaviour", 1)


@pytest.mark.soak
@pytest.mark.parametrize("point", POINTS)
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_killed_at_every_append(
    worker: Worker,
    undisturbed: Callable[[str], dict[str, Any]],
    *,
    behaviour: str,
    point: str,
    tmp_path: Path,
    count: Count,
) -> None:
    expected = undisturbed(behaviour)
    wrong = []
    for number in range(1, expected["counts"]["append"] + 1):
        folder = tmp_path / str(number)
        try:
            killed = kill_and_resume(
                worker, behaviour, folder, f"{point}:{number}", expected["result"]
            )
        except AssertionError as error:
            wrong.append(str(error))
        else:
            count(f"{behaviour}: kills at {point}", int(killed))
    assert wrong == []
