"""The DuckDB file: shared politely, refused clearly."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import duckdb
import pytest
from history_samples import Recorder

from evercell.errors import HistoryError, HistoryLockedError, HistoryNewerError, HistoryWriteError
from evercell.history import History, seals, steps
from evercell.history.locks import FileLock

if TYPE_CHECKING:
    from pathlib import Path

HOLD = """
import duckdb, sys
connection = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.readline()
connection.close()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """Another program that has the file open until it reads a line."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_recording_goes_on_while_another_program_holds_the_file(tmp_path: Path) -> None:
    history = History(tmp_path, wait=0.2)
    history.fold()
    process = hold(history.folder / "history.duckdb")
    Recorder(history).start().attach()
    with pytest.raises(HistoryLockedError, match=rf"process {process.pid}\)"):
        history.runs()
    process.communicate("go\n")

    assert len(history.runs()) == 1
    history.close()


def test_a_query_waits_for_another_program(tmp_path: Path) -> None:
    history = History(tmp_path, wait=30)
    Recorder(history).start()
    history.fold()
    process = hold(history.folder / "history.duckdb")
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()

    assert len(history.query("FROM runs").rows) == 1
    process.communicate()
    history.close()


def recorded_steps(folder: Path, monkeypatch: pytest.MonkeyPatch) -> History:
    """A history with five steps, which are read in three stretches."""
    monkeypatch.setattr(seals, "SIZE", 2)
    monkeypatch.setattr(steps, "_ROWS", 2)
    history = History(folder, wait=0.05)
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    for number in range(5):
        step = recorder.step(cell, key=bytes([number]) * 16)
        recorder.complete_step(step, data=f'"{number}"'.encode())
    history.fold()
    return history


def test_a_cell_waits_for_another_program_as_long_as_it_takes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = recorded_steps(tmp_path, monkeypatch)
    told: list[str] = []
    holding = [hold(tmp_path / "history.duckdb")]

    def tell(line: str) -> None:
        told.append(line)
        holding[-1].communicate("go\n")

    replay = history.folded_steps("run0000001", "id:a", tell).replay()
    answers = [replay.take(bytes([number]) * 16) for number in range(2)]
    holding.append(hold(tmp_path / "history.duckdb"))
    answers += [replay.take(bytes([number]) * 16) for number in range(2, 5)]
    assert [answer and answer[1] for answer in answers] == [f'"{n}"'.encode() for n in range(5)]
    for line, process in zip(told, holding, strict=True):
        assert f"(process {process.pid})" in line
    history.close()


def test_a_cell_does_not_wait_for_a_connection_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = recorded_steps(tmp_path, monkeypatch)
    replay = history.folded_steps("run0000001", "id:a", pytest.fail).replay()
    with (
        duckdb.connect(tmp_path / "history.duckdb"),
        pytest.raises(HistoryLockedError, match="a connection in this process"),
    ):
        replay.take(bytes([2]) * 16)
    _, answer, _ = replay.find(bytes([4]) * 16)
    assert answer is not None
    assert answer[1] == b'"4"'
    history.close()


def test_a_reading_connection_in_this_process_is_named(tmp_path: Path) -> None:
    history = History(tmp_path, wait=0.1)
    history.fold()
    own = duckdb.connect(tmp_path / "history.duckdb", read_only=True)
    Recorder(history).start()
    with pytest.raises(HistoryLockedError, match="a connection in this process"):
        history.runs()
    own.close()
    assert len(history.runs()) == 1
    history.close()


def test_a_fold_in_the_background_leaves_a_connection_in_this_process_alone(
    tmp_path: Path,
) -> None:
    history = History(tmp_path, wait=0.05)
    history.fold()
    Recorder(history).start()
    with duckdb.connect(tmp_path / "history.duckdb") as own:
        with pytest.raises(HistoryLockedError, match="a connection in this process"):
            history._reader.fold()
        assert own.execute("SELECT count(*) FROM runs").fetchone() == (0,)
    history._reader.fold()
    with duckdb.connect(tmp_path / "history.duckdb") as own:
        assert own.execute("SELECT count(*) FROM runs").fetchone() == (1,)
    history.close()


def test_another_evercell_process_at_work_is_named(tmp_path: Path) -> None:
    history = History(tmp_path, wait=0.1)
    lock = FileLock(tmp_path / "fold.lock")
    assert lock.take(since=0)
    with pytest.raises(HistoryLockedError, match=f"process {os.getpid()} on"):
        history.fold()
    lock.release()
    history.fold()
    history.close()


def test_a_newer_schema_in_the_database_is_refused(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.fold()
    with duckdb.connect(tmp_path / "history.duckdb") as connection:
        connection.execute("INSERT INTO store.migration VALUES (99, '9.1.0', now())")
    Recorder(history).start()

    with pytest.raises(HistoryNewerError, match=r"evercell>=9\.1\.0"):
        history.runs()
    history.close()


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "history.duckdb").write_bytes(b"not a database" * 1000)
    history = History(tmp_path)

    with pytest.raises(HistoryError, match="is not a DuckDB file"):
        history.runs()
    history.close()


def test_migrations_apply_once(tmp_path: Path) -> None:
    for _ in range(2):
        history = History(tmp_path)
        history.fold()
        history.close()
    with duckdb.connect(tmp_path / "history.duckdb") as connection:
        assert connection.execute("SELECT version FROM store.migration").fetchall() == [(1,)]


def test_a_disk_that_is_full_for_the_fold_loses_nothing(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
sys.dont_write_bytecode = True  # cut off at the limit, it would be there for all that follow
sys.path.insert(0, sys.argv[2])
from evercell.errors import HistoryError, HistoryWriteError
from evercell.history import History, seals, steps
from history_samples import Recorder
history = History(Path(sys.argv[1]))
history.fold()
recorder = Recorder(history).start().attach()
for ordinal in range(300):
    recorder.step("cell", ordinal=ordinal)
history.commit()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
try:
    history.fold()
except HistoryWriteError as error:
    print(error)
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
print(history.query("SELECT count(*) FROM events").rows[0][0])
history.close()
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path), os.path.dirname(__file__)],  # noqa: PTH120
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "could not be" in done.stdout, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == "302", done.stderr


def test_an_unwritable_folder_is_a_write_error(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(HistoryWriteError, match="Permission denied"):
            History(tmp_path)
    finally:
        tmp_path.chmod(0o700)


_AT_A_PROMPT = """
import sys
from pathlib import Path
import duckdb
from evercell.history import History

history = History(Path(sys.argv[1]))
asked = "SELECT current_setting('enable_progress_bar') AS bar"
own = duckdb.connect().sql(asked).fetchall()
print(own, history.query(asked).rows, history.relation(asked).fetchall())
history.close()
"""


def test_no_progress_bar_becomes_an_output_of_the_cell_that_runs(tmp_path: Path) -> None:
    """A program without a file is a prompt or a kernel: there DuckDB shows one after 2 seconds."""
    answer = subprocess.run(
        [sys.executable, "-c", _AT_A_PROMPT, tmp_path], capture_output=True, text=True, check=True
    )
    assert answer.stdout.split() == ["[(True,)]", "[(False,)]", "[(False,)]"]
