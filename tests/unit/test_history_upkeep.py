"""Verify, salvage, collect, export and import, over histories that are whole and that are not."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

import duckdb
import pytest
from history_samples import SECOND, T0, Recorder

from evercell import settings
from evercell.errors import HistoryError, HistoryNewerError, JournalDamagedError
from evercell.history import History
from evercell.history.collect import Retention, RunUse, plan
from evercell.history.segments import segments

if TYPE_CHECKING:
    from pathlib import Path

LARGE = 70_000


def record(history: History, run_id: str = "run0000001", *, large: bytes = b"x") -> None:
    recorder = Recorder(history, run_id).start(f"/work/{run_id}.ipynb").attach()
    cell = recorder.cell()
    recorder.complete_step(recorder.step(cell, key=b"a" * 16), data=b'"small"')
    recorder.complete_step(recorder.step(cell, key=b"b" * 16), data=large * LARGE)
    recorder.fail_step(recorder.step(cell, key=b"c" * 16))
    recorder.complete_cell(cell)


@pytest.fixture(autouse=True)
def _uncompressed() -> None:
    """So that large values are files, although they say little."""
    settings.change(compress=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "h"
    history = History(folder)
    record(history)
    history.close()
    History(folder).fold()
    return folder


def edit(folder: Path, sql: str) -> None:
    with duckdb.connect(folder / "history.duckdb") as connection:
        connection.execute(sql)


# -- verify ----------------------------------------------------------------------------------------


def test_a_whole_history_holds(folder: Path) -> None:
    found = History(folder).upkeep.verify()
    assert (found.holds, found.findings, found.events, found.payloads) == (True, (), 10, 1)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("DELETE FROM store.event WHERE type = 'CellStarted'", "1 of 10 events are missing"),
        ("UPDATE store.event SET key = 'x' WHERE position = 4", "3 rows .*were changed"),
        ("UPDATE store.event SET body = 'x' WHERE type = 'CellStarted'", "1 rows .*were changed"),
    ],
)
def test_a_changed_database_is_told(folder: Path, sql: str, said: str) -> None:
    import re

    edit(folder, sql)
    found = History(folder).upkeep.verify()
    assert not found.holds
    (finding,) = found.findings
    assert re.search(said, finding.what)


@pytest.mark.parametrize("wrong", ["missing", "cut", "changed"])
def test_a_payload_file_that_is_not_right_is_told(folder: Path, wrong: str) -> None:
    (path,) = (folder / "blobs").glob("*/*")
    if wrong == "missing":
        path.unlink()
    else:
        path.write_bytes(b"y" * (LARGE if wrong == "changed" else 5))
    (finding,) = History(folder).upkeep.verify().findings
    assert (finding.kind, finding.where) == ("error", str(path))
    assert wrong in finding.what


def test_another_users_records_are_a_note(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "another"))
    found = History(folder).upkeep.verify()
    assert found.holds
    (finding,) = found.findings
    assert "10 events were recorded under another key" in finding.what


def damaged(tmp_path: Path) -> tuple[Path, Path]:
    """A copy of a living journal with a byte flipped in its middle, and its file."""
    history = History(tmp_path / "original")
    record(history)
    copy = tmp_path / "copy"
    shutil.copytree(history.folder, copy)
    history.close()
    ((_, path),) = segments(copy / "journal")[history.writer]
    data = bytearray(path.read_bytes())
    data[data.index(b'"small"')] ^= 1
    path.write_bytes(data)
    return copy, path


def test_a_damaged_journal_is_salvaged(tmp_path: Path) -> None:
    folder, path = damaged(tmp_path)
    history = History(folder)
    with pytest.raises(JournalDamagedError):
        history.fold()

    found = history.upkeep.verify()
    assert not found.holds
    (finding,) = found.findings
    assert finding.where == str(path)
    assert "3 events before the damage" in finding.advice
    assert "saves 5 behind it" in finding.advice

    (done,) = history.upkeep.salvage()
    assert "5 events saved" in done.what
    assert not path.exists()
    assert (folder / "damaged" / path.name).exists()
    assert history.upkeep.verify().holds
    kinds = {chr(it.key[0]): it.status for it in history.step_records("run0000001", "id:a")}
    assert kinds == {"b": "completed", "c": "failed"}
    assert [it.at for it in history.cell_events("run0000001")] == [
        T0 + 3 * SECOND,
        T0 + 10 * SECOND,
    ]


def test_a_living_journal_is_not_salvaged(tmp_path: Path) -> None:
    history = History(tmp_path)
    record(history)
    ((_, path),) = segments(tmp_path / "journal")[history.writer]
    data = bytearray(path.read_bytes())
    data[data.index(b'"small"')] ^= 1
    with path.open("r+b") as file:
        file.write(data)
    (done,) = History(tmp_path).upkeep.salvage()
    assert done.kind == "error"
    assert "still records" in done.what
    assert path.exists()
    history.close()


# -- gc --------------------------------------------------------------------------------------------


def use(name: str, day: int, *, size: int = 100, is_open: bool = False, **files: int) -> RunUse:
    named = {key.encode(): value for key, value in files.items()}
    return RunUse(name, "/nb.ipynb", "{}", day * 86_400 * SECOND, is_open, size, named)


RUNS = [use("a", 1, x=50), use("b", 2, x=50, y=30), use("c", 3, y=30), use("d", 4, is_open=True)]


@pytest.mark.parametrize(
    ("retention", "gone"),
    [
        (Retention(), []),
        (Retention(older_than=2 * 86_400.0), ["a", "b"]),
        (Retention(older_than=0.0, keep=2), ["a", "b"]),
        (Retention(older_than=0.0, keep=0), ["a", "b", "c"]),
        (Retention(runs=("c", "d")), ["c"]),
        (Retention(max_size=10_000), []),
        (Retention(max_size=400), ["a"]),
        (Retention(max_size=310), ["a", "b"]),
        (Retention(max_size=0, keep=0), ["a", "b", "c"]),
        (Retention(max_size=0, keep=3), ["a"]),
    ],
)
def test_what_goes(retention: Retention, gone: list[str]) -> None:
    removed, kept = plan(RUNS, retention, now=5 * 86_400 * SECOND, size=480)
    assert [run for run, _ in removed] == gone
    assert kept == ([("d", "a kernel is attached to it")] if "d" in retention.runs else [])


def age(folder: Path) -> None:
    """Make the payload files old enough to be collected."""
    for path in (folder / "blobs").glob("*/*"):
        os.utime(path, (time.time() - 7200,) * 2)


def test_a_removed_run_takes_only_its_own_files(folder: Path) -> None:
    before = History(folder)
    record(before, "run0000002")  # shares the first run's large value
    record(before, "run0000003", large=b"z")
    before.close()
    history = History(folder)
    age(folder)
    assert len(list((folder / "blobs").glob("*/*"))) == 2

    kept = history.upkeep.collect(Retention(runs=("run0000001",)), dry_run=True)
    assert [run for run, _ in kept.runs] == ["run0000001"]
    assert len(history.runs()) == 3

    gone = history.upkeep.collect(Retention(runs=("run0000001", "run0000003")))
    assert gone.files == 1
    assert [run.run_id for run in history.runs()] == ["run0000002"]
    assert [it.status for it in history.step_records("run0000002", "id:a")] == [
        "completed",
        "completed",
        "failed",
    ]
    assert history.upkeep.verify().holds
    history.close()
    assert History(folder).upkeep.verify().holds


def test_young_files_stay_and_unreferenced_old_ones_go(folder: Path) -> None:
    history = History(folder)
    history.put(b"q" * LARGE, "pickle")  # its event may come yet
    assert history.upkeep.collect(Retention()).files == 0
    age(folder)
    assert history.upkeep.collect(Retention()).files == 1
    assert history.upkeep.verify().holds


def test_an_attached_run_is_never_touched(folder: Path) -> None:
    history = History(folder)
    lock = history.attach("run0000001")
    found = History(folder).upkeep.collect(Retention(runs=("run0000001",)))
    assert found.runs == ()
    assert found.kept == (("run0000001", "a kernel is attached to it"),)
    lock.release()


def test_collecting_gives_space_back(tmp_path: Path) -> None:
    before = History(tmp_path)
    for number in range(3):
        recorder = Recorder(before, f"run000000{number}").start().attach()
        cell = recorder.cell()
        for step in range(60):
            text = os.urandom(30_000).hex().encode()
            recorder.complete_step(recorder.step(cell, ordinal=step), data=b'"%s"' % text)
    before.close()
    history = History(tmp_path)
    history.fold()
    database = tmp_path / "history.duckdb"
    before_bytes = database.stat().st_size
    found = history.upkeep.collect(Retention(runs=("run0000000", "run0000001"), keep=0))
    assert found.size_after < found.size_before
    assert database.stat().st_size < before_bytes
    assert history.query("SELECT count(*) FROM steps").rows == [(60,)]


# -- export and import -----------------------------------------------------------------------------


def test_a_run_comes_back_byte_for_byte(folder: Path, tmp_path: Path) -> None:
    first, second, third = (tmp_path / f"{name}.jsonl" for name in "abc")
    History(folder).upkeep.export("run0000001", first)
    there = History(tmp_path / "there")
    found = there.upkeep.import_(first)
    assert (found.run_id, found.events, found.payloads) == ("run0000001", 10, 1)
    there.upkeep.export("run0000001", second)
    assert second.read_bytes() == first.read_bytes()
    assert there.upkeep.import_(second).events == 0
    there.upkeep.export("run0000001", third)
    assert third.read_bytes() == first.read_bytes()

    assert there.events("run0000001") == History(folder).events("run0000001")
    assert there.current_run("/work/a.ipynb", {}) is not None
    assert [it.status for it in there.step_records("run0000001", "id:a")] == [
        "completed",
        "completed",
        "failed",
    ]
    assert there.upkeep.verify().holds


def test_an_imported_run_of_somebody_else_is_text(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exported, again = tmp_path / "run.jsonl", tmp_path / "again.jsonl"
    History(folder).upkeep.export("run0000001", exported)
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "another"))
    there = History(tmp_path / "there")
    there.upkeep.import_(exported)
    assert there.step_records("run0000001", "id:a") == []
    assert there.query("SELECT count(*) FROM steps").rows == [(3,)]
    there.upkeep.export("run0000001", again)
    assert again.read_bytes() == exported.read_bytes()
    there.upkeep.trust()
    assert len(there.step_records("run0000001", "id:a")) == 3


def test_a_removed_run_can_be_taken_back(folder: Path, tmp_path: Path) -> None:
    exported = tmp_path / "run.jsonl"
    history = History(folder)
    history.upkeep.export("run0000001", exported)
    history.upkeep.collect(Retention(runs=("run0000001",)))
    assert history.runs() == []
    history.upkeep.import_(exported)
    assert len(history.step_records("run0000001", "id:a")) == 3
    assert history.upkeep.verify().holds


def test_what_is_no_export_is_refused(folder: Path, tmp_path: Path) -> None:
    exported, other = tmp_path / "run.jsonl", tmp_path / "other.jsonl"
    History(folder).upkeep.export("run0000001", exported)
    lines = exported.read_bytes().splitlines(keepends=True)
    there = History(tmp_path / "there")
    other.write_bytes(b"hello\n")
    with pytest.raises(HistoryError, match="no exported run"):
        there.upkeep.import_(other)
    other.write_bytes(lines[0] + lines[1] + lines[2][:40])
    with pytest.raises(HistoryError, match="Line 3"):
        there.upkeep.import_(other)
    other.write_bytes(lines[0].replace(b'"schema":1', b'"schema":99'))
    with pytest.raises(HistoryNewerError):
        there.upkeep.import_(other)
    assert there.runs() == []


def test_parquet_for_other_programs(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "run's.parquet"
    History(folder).upkeep.export("run0000001", path)
    assert duckdb.execute("SELECT count(*) FROM read_parquet($p)", {"p": str(path)}).fetchall() == [
        (10,)
    ]
