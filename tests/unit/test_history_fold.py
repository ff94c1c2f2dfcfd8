"""The fold: each event once, whatever the order in which things happen or break."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from history_samples import Recorder

from evercell import events as e
from evercell.errors import JournalDamagedError
from evercell.history import History, reader
from evercell.history import segments as segment_module
from evercell.history.ahead import make_ahead
from evercell.history.segments import HEADER_SIZE, segments

if TYPE_CHECKING:
    from pathlib import Path

    from evercell.history.ahead import Ahead


def positions(history: History) -> list[tuple[str, int]]:
    rows = history.query("SELECT writer, position FROM events ORDER BY ALL").rows
    return [(writer, position) for writer, position in rows]


def test_folding_twice_changes_nothing(tmp_path: Path) -> None:
    history = History(tmp_path)
    Recorder(history).start().attach()
    history.fold()
    history._folded = None  # as another process would
    history.fold()

    assert positions(history) == [(history.writer, 1), (history.writer, 2)]
    history.close()


def test_a_dead_writers_files_go_after_the_fold(tmp_path: Path) -> None:
    dead = History(tmp_path)
    Recorder(dead).start()
    dead.close()
    assert len(segments(tmp_path / "journal")) == 1
    alive = History(tmp_path)
    Recorder(alive, "run0000002").start()
    alive.fold()

    assert list(segments(tmp_path / "journal")) == [alive.writer]
    assert {path.name for path in (tmp_path / "journal").iterdir()} == {
        f"{alive.writer}-000000.log",
        f"{alive.writer}.lock",
    }
    assert len(positions(alive)) == 2
    alive.close()


def test_a_kernel_that_opens_leaves_tidying_up_to_its_first_fold(tmp_path: Path) -> None:
    dead = History(tmp_path)
    Recorder(dead).start()
    dead.close()
    kept = segments(tmp_path / "journal")
    log = tmp_path / "history.duckdb.wal"
    alive = History(tmp_path)
    with alive.opening():
        assert [run.run_id for run in alive.runs()] == ["run0000001"]
    assert segments(tmp_path / "journal") == kept
    assert log.stat().st_size > 0
    alive._reader.fold()

    assert segments(tmp_path / "journal") == {}
    assert not log.exists()
    assert positions(alive) == [(dead.writer, 1)]
    alive.close()


def test_leftovers_of_a_killed_writer_go(tmp_path: Path) -> None:
    history = History(tmp_path)
    journal = tmp_path / "journal"
    journal.mkdir()
    (journal / "dead000001.lock").touch()
    (journal / ".dead000001-000000.log.new").write_bytes(b"half")
    Recorder(history).start()
    history.fold()

    assert {path.name.split(".")[0] for path in journal.iterdir()} == {
        history.writer,
        f"{history.writer}-000000",
    }
    history.close()


def test_a_living_writers_sealed_segments_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_module, "FIRST_SIZE", 3000)
    monkeypatch.setattr(segment_module, "LATER_SIZE", 3000)
    history = History(tmp_path)
    recorder = Recorder(history).start().attach()
    for ordinal in range(60):
        recorder.complete_step(recorder.step("cell", ordinal=ordinal))
        if ordinal % 7 == 0:
            history.fold()
    history.fold()

    assert len(segments(tmp_path / "journal")[history.writer]) == 1
    assert positions(history) == [(history.writer, n) for n in range(1, 123)]
    assert len(history.step_records("run0000001", "id:a")) == 60
    history.close()


def test_two_writers_fold_each_others_journals(tmp_path: Path) -> None:
    one, two = History(tmp_path), History(tmp_path)
    Recorder(one, "run0000001").start().attach()
    Recorder(two, "run0000002").start().attach()

    assert [run.run_id for run in one.runs()] == [run.run_id for run in two.runs()]
    assert {run.status for run in one.runs()} == {"running"}
    two.close()
    assert {run.run_id: run.status for run in one.runs()} == {
        "run0000001": "running",
        "run0000002": "stopped",
    }
    one.close()


def test_a_reader_sees_whole_prefixes_while_others_write(tmp_path: Path) -> None:
    history, reader = History(tmp_path), History(tmp_path)
    recorder = Recorder(history).start().attach()
    stop = threading.Event()

    def write() -> None:
        for ordinal in range(400):
            recorder.complete_step(recorder.step("cell", ordinal=ordinal))
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    while not stop.is_set():
        found = [position for _, position in positions(reader)]
        assert found == list(range(1, len(found) + 1))
        assert len(found) >= seen
        seen = len(found)
    thread.join()
    assert len(positions(reader)) == 802
    history.close()
    reader.close()


def damage(folder: Path) -> Path:
    """Flip a bit in the second of three frames."""
    ((_, path),) = next(iter(segments(folder / "journal").values()))
    data = bytearray(path.read_bytes())
    place = data.index(b"EVFR", HEADER_SIZE + 1) + 20
    data[place] ^= 0x10
    path.write_bytes(data)
    return path


def test_damage_is_refused_and_what_lies_before_is_kept(tmp_path: Path) -> None:
    history = History(tmp_path)
    Recorder(history).start().attach().cell()
    history.close()
    path = damage(tmp_path)
    reader = History(tmp_path)

    with pytest.raises(JournalDamagedError, match=rf"{path.name} is damaged at offset \d+"):
        reader.query("FROM runs")
    with pytest.raises(JournalDamagedError):  # again, until somebody deals with it
        reader.runs()
    path.rename(tmp_path / "kept-aside.log")

    assert [run.run_id for run in reader.runs()] == ["run0000001"]
    reader.close()


def test_other_journals_are_folded_beside_a_damaged_one(tmp_path: Path) -> None:
    broken = History(tmp_path)
    Recorder(broken).start().attach().cell()
    broken.close()
    path = damage(tmp_path)
    other = History(tmp_path)
    Recorder(other, "run0000002").start()
    with pytest.raises(JournalDamagedError):
        other.fold()
    path.unlink()

    assert {run.run_id for run in other.runs()} == {"run0000001", "run0000002"}
    other.close()


def test_a_missing_segment_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "FIRST_SIZE", 1000)
    monkeypatch.setattr(segment_module, "LATER_SIZE", 1000)
    history = History(tmp_path)
    recorder = Recorder(history).start()
    for ordinal in range(20):
        recorder.step("cell", ordinal=ordinal)
        history.commit()
    history.close()
    files = segments(tmp_path / "journal")[history.writer]
    files[1][1].unlink()

    with pytest.raises(JournalDamagedError, match="missing"):
        History(tmp_path).fold()


def test_a_torn_tail_is_cut_at_every_length(tmp_path: Path) -> None:
    history = History(tmp_path / "original")
    recorder = Recorder(history).start()
    recorder.attach()
    history.close()
    ((_, path),) = segments(tmp_path / "original" / "journal")[history.writer]
    data = path.read_bytes()
    end = len(data.rstrip(b"\0")) + 1
    first = data.index(b"EVFR", HEADER_SIZE + 1)  # where the second frame begins
    for cut in range(first, end, 9):
        folder = tmp_path / f"cut {cut}"
        shutil.copytree(tmp_path / "original" / "journal", folder / "journal")
        (folder / "journal" / path.name).write_bytes(data[:cut] + bytes(len(data) - cut))
        reader = History(folder)
        reader.fold()
        assert len(positions(reader)) == (1 if cut < end - 2 else 2)
        reader.close()


def test_the_folding_thread_keeps_outside_readers_current(tmp_path: Path) -> None:
    import duckdb

    history = History(tmp_path)
    history.start_folding(0.02)
    Recorder(history).start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            with duckdb.connect(tmp_path / "history.duckdb", read_only=True) as connection:
                if connection.execute("SELECT count(*) FROM runs").fetchone() == (1,):
                    break
        except duckdb.Error:
            pass  # not there yet, or being folded
    else:
        pytest.fail("the run never became visible")
    log = tmp_path / "history.duckdb.wal"
    assert log.exists(), "taking in what is so little holds the file for twice as long"
    history.close()
    assert not log.exists()


def test_closing_folds_the_rest_for_outside_readers(tmp_path: Path) -> None:
    import duckdb

    history = History(tmp_path)
    history.start_folding()
    Recorder(history).start()
    history.close()

    with duckdb.connect(tmp_path / "history.duckdb", read_only=True) as connection:
        assert connection.execute("SELECT status FROM runs").fetchall() == [("stopped",)]
    assert list((tmp_path / "journal").iterdir()) == []


def test_making_a_history_does_not_import_duckdb(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from evercell.history import History\n"
        "from evercell.events import RunFinished\n"
        "history = History(Path(sys.argv[1]))\n"
        "history.commit(RunFinished('run', 1, 'completed'))\n"
        "history.put(bytes(100_000), 'pickle')\n"
        "assert 'duckdb' not in sys.modules\n"
        "history.close()\n"
        "assert 'duckdb' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, timeout=60)


def test_lone_surrogates_do_not_lose_a_record(tmp_path: Path) -> None:
    history = History(tmp_path)
    recorder = Recorder(history).start()
    error = e.ErrorInfo("OSError", "no such file: caf\udce9")
    history.commit(e.AttemptFailed(recorder.run_id, recorder.tick(), "s", 1, error, 0))

    rows = history.query("SELECT detail->>'$.error.message' FROM events WHERE activity_id = 's'")
    assert rows.rows == [("no such file: caf\\udce9",)]
    history.close()


def test_rows_made_ahead_are_as_those_of_the_fold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Folded often by one process, or once by another: the same history."""
    made: list[Ahead | None] = []

    def noted(*known: Any) -> Ahead | None:
        made.append(make_ahead(*known))
        return made[-1]

    monkeypatch.setattr(reader, "make_ahead", noted)
    history = History(tmp_path)
    recorder = Recorder(history).start().attach()
    history.fold()
    for number in range(3):
        cell = recorder.cell(index=number)
        flow = recorder.workflow(f"flow00000{number}")
        flow.complete_step(flow.step("", slot="workflow"))
        recorder.complete_step(recorder.step(cell, ordinal=number))
        recorder.complete_cell(cell)
        history.fold()
    # What is folded together is proved together.
    rows = "SELECT * EXCLUDE (tag, block) FROM store.event ORDER BY ALL"
    outputs = "SELECT * FROM store.output ORDER BY ALL"
    often = history.query(rows).rows, history.query(outputs).rows
    assert [ahead is not None for ahead in made[:3]] == [True, True, True]
    assert history.upkeep.verify().holds
    history.close()
    (tmp_path / "history.duckdb").unlink()
    once = History(tmp_path)
    assert (once.query(rows).rows, once.query(outputs).rows) == often
    assert once.upkeep.verify().holds
    once.close()


def one_behind(folder: Path) -> tuple[History, Recorder]:
    """A history with one step that is not folded yet, and what recorded it."""
    history = History(folder)
    recorder = Recorder(history).start().attach()
    history.fold()
    recorder.complete_step(recorder.step("cell"))
    return history, recorder


def test_rows_made_ahead_are_left_where_another_process_was_faster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, recorder = one_behind(tmp_path)
    real = reader.make_ahead

    def late(*known: Any) -> Ahead | None:
        ahead = real(*known)
        recorder.complete_step(recorder.step("cell", ordinal=1))
        other = History(tmp_path)
        other.fold()
        other.close()
        return ahead

    monkeypatch.setattr(reader, "make_ahead", late)
    history.fold()
    monkeypatch.undo()
    assert len(history.step_records("run0000001", "id:a")) == 2
    assert history.query("SELECT count(*), count(DISTINCT position) FROM events").rows == [(6, 6)]
    history.close()


def test_what_is_written_while_rows_are_made_ahead_is_folded_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history, recorder = one_behind(tmp_path)
    real = reader.make_ahead

    def then_more(*known: Any) -> Ahead | None:
        ahead = real(*known)
        recorder.complete_step(recorder.step("cell", ordinal=1))
        return ahead

    monkeypatch.setattr(reader, "make_ahead", then_more)
    assert history.query("SELECT count(*), count(DISTINCT position) FROM events").rows == [(6, 6)]
    history.close()
