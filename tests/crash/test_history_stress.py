"""Many processes on one folder: the fold holds each step exactly once, and readers never see less
than they saw."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest

from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Callable

WORKER = Path(__file__).parent / "stress_worker.py"


def stress(folder: Path, processes: int, steps: int) -> int:
    """Let the processes record side by side; returns how often a reader looked meanwhile."""
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(folder), f"run{number:07}", str(steps)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(processes)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    reader = History(folder, wait=120)
    seen: dict[str, int] = {}
    looks = 0
    while any(worker.poll() is None for worker in workers):
        rows = reader.query(
            """SELECT run_id, count(*), count(DISTINCT ordinal), max(ordinal)
            FROM store.event WHERE type = 'StepCompleted' OR type = 'StepStarted'
            GROUP BY run_id"""
        ).rows
        for run_id, found, ordinals, last in rows:
            assert found >= seen.get(run_id, 0)
            assert last is None or ordinals == last + 1  # a prefix without gaps
            seen[run_id] = found
        looks += 1
    assert [worker.wait(60) for worker in workers] == [0] * processes
    held = reader.query(
        """SELECT run_id, count(*), count(DISTINCT ordinal), count(DISTINCT activity_id),
            count(*) FILTER (status = 'completed' AND result = CAST(ordinal AS VARCHAR))
        FROM steps GROUP BY run_id ORDER BY run_id"""
    ).rows
    assert held == [(f"run{number:07}", *([steps] * 4)) for number in range(processes)]
    total = reader.query("SELECT count(*), count(DISTINCT (writer, position)) FROM events").rows
    assert total == [(processes * (2 * steps + 2),) * 2]
    assert reader.upkeep.verify().findings == ()
    assert list((folder / "journal").iterdir()) == []  # all is folded, and all have gone
    reader.close()
    return looks


@pytest.fixture(autouse=True)
def _key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))


def test_eight_processes_record_2000_steps_each(
    tmp_path: Path, count: Callable[[str, int], None]
) -> None:
    looks = stress(tmp_path / "history", 8, 2000)
    count("steps of 8 processes side by side", 8 * 2000)
    count("looks of a reader meanwhile", looks)


RECORDS = """
import sys
from itertools import count
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from records import begin, record
from evercell.history import History

history = History(Path(sys.argv[1]), wait=120)
begin(history)
history.start_folding(0.1)
for number in count():
    record(history, range(number, number + 1))
    print(number, flush=True)  # acknowledged
    if sys.stdin.readline() == "":
        break
history.close()
"""


def look(database: Path) -> tuple[int, int, int] | None:
    """The completed steps, how many they are and the last, for DuckDB's own client; None where it
    is not let in."""
    sql = """SELECT count(*), count(DISTINCT ordinal), coalesce(max(ordinal), -1)
        FROM steps WHERE status = 'completed'"""
    try:
        with duckdb.connect(database, read_only=True) as connection:
            found: tuple[int, int, int] | None = connection.execute(sql).fetchone()
            return found
    except (duckdb.IOException, duckdb.CatalogException):
        return None  # it is being folded, or nothing is there yet


def test_a_client_of_duckdb_sees_each_step_while_others_are_recorded(tmp_path: Path) -> None:
    """Nobody helps it: it opens the file, whose writer goes on and folds beside that."""
    folder, ask = tmp_path / "history", ["-c", RECORDS, tmp_path / "history", WORKER.parent]
    with subprocess.Popen(
        [sys.executable, *map(str, ask)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        seen, told, deadline = -1, -1, time.monotonic() + 240
        for wanted in (10, 25, 40):  # each was acknowledged when it is looked for
            while seen < wanted:
                assert time.monotonic() < deadline
                told = int(writer.stdout.readline())
                writer.stdin.write("go on\n")
                writer.stdin.flush()
                found = look(folder / "history.duckdb") if told >= wanted else None
                if found is not None:
                    steps, ordinals, last = found
                    assert steps == ordinals == last + 1  # a prefix, each once
                    assert seen <= last <= told + 1
                    seen = last
        writer.stdin.close()
        rest = [int(line) for line in writer.stdout]
        assert writer.wait(60) == 0
    assert look(folder / "history.duckdb") == (rest[-1] + 1, rest[-1] + 1, rest[-1])
