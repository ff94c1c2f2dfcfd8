"""What DuckDB, disks and clocks do, and what the history makes of it. The measured hazards of
DuckDB each have their test here, or one in the unit tests of the module that meets it."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
import pytest
from records import RUN, begin, record, recorded

from evercell import settings
from evercell.errors import HistoryError, HistoryNewerError, JournalDamagedError
from evercell.history import History
from evercell.history.segments import HEADER_SIZE, segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Count = Callable[[str, int], None]


@pytest.fixture(autouse=True)
def _key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    yield
    settings.reset()


def run_python(script: str, *arguments: object, timeout: float = 120) -> str:
    done = subprocess.run(
        [sys.executable, "-c", script, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# -- damage ------------------------------------------------------------------------------------


def flip(tmp_path: Path, trials: int, seed: int) -> tuple[int, int]:
    """Flip a bit at many places of a journal: what comes back is a prefix of what was recorded, and
    anything but a torn tail is refused with file and offset, and can be salvaged. Returns how often
    it was refused, and how often cut."""
    history = History(tmp_path / "history")
    begin(history)
    record(history, range(12))
    shutil.copytree(history.folder, tmp_path / "copy")
    history.close()
    ((_, path),) = next(iter(segments(tmp_path / "copy" / "journal").values()))
    whole = path.read_bytes()
    last = whole.rindex(b"EVFR")
    chance = random.Random(seed)
    refused = 0
    for trial, place in enumerate(
        chance.sample(range(HEADER_SIZE, len(whole.rstrip(b"\0"))), trials)
    ):
        folder = tmp_path / f"trial {trial}"
        shutil.copytree(tmp_path / "copy", folder)
        damaged = bytearray(whole)
        damaged[place] ^= 1 << chance.randrange(8)
        (folder / "journal" / path.name).write_bytes(damaged)
        reader = History(folder)
        if place < last:
            with pytest.raises(JournalDamagedError, match=rf"{path.name} is damaged at offset \d+"):
                recorded(reader)
            [error] = [it for it in reader.upkeep.verify().findings if it.kind == "error"]
            assert "--salvage saves" in error.advice
            reader.upkeep.salvage()
            refused += 1
        steps = recorded(reader)
        assert steps == sorted(set(steps) & set(range(12)))
        assert len(steps) >= 11 - (place < whole.index(b"EVFR", HEADER_SIZE + 1))
        reader.close()
        shutil.rmtree(folder)
    return refused, trials - refused


def test_a_flipped_byte_anywhere_is_refused_or_cut_and_never_believed(
    tmp_path: Path, count: Count
) -> None:
    refused, cut = flip(tmp_path, 14, seed=7)
    count("flipped bytes refused by file and offset", refused)
    count("flipped bytes in the last frame, cut", cut)


@pytest.mark.soak
def test_300_flipped_bytes(tmp_path: Path, count: Count) -> None:
    refused, cut = flip(tmp_path, 300, seed=8)
    count("flipped bytes refused by file and offset", refused)
    count("flipped bytes in the last frame, cut", cut)


# -- DuckDB's own hazards ----------------------------------------------------------------------


def test_rows_that_duckdb_lost_are_missed(tmp_path: Path) -> None:
    """Bytes overwritten in the middle of DuckDB's log make it open with fewer rows, silently."""
    history = History(tmp_path / "history")
    begin(history)
    record(history, range(5))
    history.fold()
    record(history, range(5, 10))
    history.fold()
    with duckdb.connect(tmp_path / "history" / "history.duckdb") as connection:
        connection.execute("DELETE FROM store.event WHERE ordinal = 3")
    errors = [it.what for it in history.upkeep.verify().findings if it.kind == "error"]
    (changed, missing) = errors
    assert changed.startswith("4 rows")  # that were proved together with the lost one
    assert missing == "1 of 22 events are missing from history.duckdb"
    history.close()


def test_a_lost_log_of_duckdb_costs_nothing_that_is_still_in_a_journal(tmp_path: Path) -> None:
    """A process that dies before DuckDB's checkpoint leaves its rows in `history.duckdb.wal`."""
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from evercell.history import History, failpoints
from test_history_faults import begin, record
history = History(Path(sys.argv[1]))
begin(history)
record(history, range(5))
failpoints.arm("folded")
history.fold()
"""
    folder = tmp_path / "history"
    done = subprocess.run(
        [sys.executable, "-c", script, str(folder), str(Path(__file__).parent)], check=False
    )
    assert done.returncode == -signal.SIGKILL
    log = folder / "history.duckdb.wal"
    assert log.stat().st_size > 0
    log.unlink()
    history = History(folder)
    assert recorded(history) == [0, 1, 2, 3, 4]
    assert [it for it in history.upkeep.verify().findings if it.kind == "error"] == []
    history.close()


def test_an_older_database_file_is_noticed(tmp_path: Path) -> None:
    """Restored from a backup, or without its log: what the journals go on from is not in it."""
    history = History(tmp_path / "history")
    begin(history)
    history.fold()
    shutil.copy(tmp_path / "history" / "history.duckdb", tmp_path / "older")
    record(history, range(3))
    history.close()
    folded = History(tmp_path / "history")
    folded.fold()  # and the journal is gone
    folded.close()
    shutil.copy(tmp_path / "older", tmp_path / "history" / "history.duckdb")
    reader = History(tmp_path / "history")
    begin(reader, generation=2)
    assert recorded(reader) == []
    found = reader.query("SELECT status FROM runs").rows
    assert found == [("running",)]  # the next kernel's events are not taken for the lost ones
    reader.close()


def test_nobody_opens_the_database_file_beside_duckdb(tmp_path: Path) -> None:
    """Closing any other descriptor of the file would drop DuckDB's lock on it."""
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
opened = []
def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith("history.duckdb"):
        opened.append(arguments)
sys.addaudithook(watch)
from evercell.history import History
from evercell.history.collect import Retention
from test_history_faults import begin, record
history = History(Path(sys.argv[1]) / "history")
begin(history)
record(history, range(3))
history.fold()
history.relation("FROM steps")
history.write_parquet(Path(sys.argv[1]) / "x.parquet", "SELECT name FROM steps")
history.upkeep.size
history.upkeep.verify()
history.upkeep.export("run0000001", Path(sys.argv[1]) / "run.jsonl")
history.upkeep.collect(Retention())
history.upkeep.trust()
history.upkeep.import_(Path(sys.argv[1]) / "run.jsonl")
history.upkeep.salvage()
history.close()
print(opened)
"""
    assert run_python(script, tmp_path, Path(__file__).parent) == "[]\n"


def test_no_extension_has_to_be_installed(tmp_path: Path) -> None:
    """That would need the network: the views work with what the wheel holds."""
    history = History(tmp_path / "history")
    begin(history)
    record(history, range(2))
    views = history.query(
        "SELECT view_name FROM duckdb_views() WHERE NOT internal AND schema_name = 'main'"
    ).rows
    assert {"runs", "cells", "steps", "attempts", "events", "usage"} <= {name for (name,) in views}
    for (view,) in views:
        history.query(f"FROM {view}")
    history.write_parquet(tmp_path / "x.parquet", "FROM runs")
    loaded = history.query(
        "SELECT extension_name, install_mode FROM duckdb_extensions() WHERE loaded"
    ).rows
    assert {mode for _, mode in loaded} == {"STATICALLY_LINKED"}
    history.close()


def test_a_process_may_end_in_the_middle_of_a_fold(tmp_path: Path) -> None:
    script = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from records import begin, record
from evercell.history import History
history = History(Path(sys.argv[1]))
begin(history)
history.start_folding(0.001)
record(history, range(100))
print("ended")
"""
    for trial in range(3):  # without an end to the folding, five of six were aborted
        ended = run_python(script, tmp_path / str(trial), Path(__file__).parent)
        assert ended == "ended\n"
        history = History(tmp_path / str(trial))
        assert recorded(history) == list(range(100))
        history.close()


def test_threads_ask_at_once(tmp_path: Path) -> None:
    """A connection of DuckDB refuses concurrent calls; the history makes them wait in turn."""
    history = History(tmp_path / "history")
    begin(history)
    wrong: list[BaseException] = []

    def ask(number: int) -> None:
        try:
            for _ in range(4):
                record(history, range(number, number + 1))
                assert history.query("SELECT count(*) FROM steps").rows[0][0] > 0
                with history.reading():
                    assert number in recorded(history)
                    assert history.relation("SELECT 1 AS one").fetchall() == [(1,)]
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    history.close()


def test_ctrl_c_stops_a_long_query_each_time(tmp_path: Path, count: Count) -> None:
    script = """
import os, signal, sys, threading, time
from pathlib import Path
from evercell.history import History
history = History(Path(sys.argv[1]))
history.fold()
long = "SELECT sum(hash(a.range + b.range)) FROM range(3000000) a, range(3000000) b"
for ask in (history.query, history.relation, history.query, history.relation):
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    began = time.monotonic()
    try:
        ask(long)
    except KeyboardInterrupt:
        print("stopped", history.query("SELECT 42").rows)
history.close()
"""
    told = run_python(script, tmp_path / "history")
    assert told.splitlines() == ["stopped [(42,)]"] * 4
    count("long queries stopped by Ctrl-C", 4)


def test_ctrl_c_at_any_moment_of_a_query_is_one(tmp_path: Path, count: Count) -> None:
    """Inside of DuckDB it became a RuntimeError; behind the lock, it kept the history locked."""
    script = """
import os, signal, sys, threading
from pathlib import Path
from evercell.history import History
history = History(Path(sys.argv[1]))
long = "SELECT sum(hash(a.range + b.range)) FROM range(3000000) a, range(3000000) b"
stopped = 0
for after in range(0, 60, 2):
    for ask in (history.query, history.relation):
        try:
            threading.Timer(after / 1000, os.kill, (os.getpid(), signal.SIGINT)).start()
            ask(long)
        except KeyboardInterrupt:
            stopped += 1
print(stopped, history.query("SELECT 42").rows)
history.close()
"""
    assert run_python(script, tmp_path / "history") == "60 [(42,)]\n"
    count("queries stopped by Ctrl-C at another moment each", 60)


def test_a_file_of_a_newer_duckdb_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What DuckDB 2.0 says of a file of a storage version beyond its own; 1.x of ours likewise."""

    def connect(path: Path, **options: object) -> None:
        raise duckdb.IOException(
            f"IO Error: Trying to read a database file with version number 99, but we can only "
            f"read versions between 64 and 69.\nThe database file {path} was created with a newer "
            "version of DuckDB."
        )

    reader = History(tmp_path / "history")
    monkeypatch.setattr(duckdb, "connect", connect)
    with pytest.raises(HistoryNewerError, match="pip install -U duckdb"):
        reader.runs()
    reader.close()


def test_a_damaged_database_file_is_named_as_such(tmp_path: Path) -> None:
    history = History(tmp_path / "history")
    begin(history)
    history.fold()
    path = tmp_path / "history" / "history.duckdb"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    with pytest.raises(HistoryError, match=f"{path} is damaged") as raised:
        history.fold()
    assert type(raised.value) is HistoryError
    path.unlink()  # as advised, and as its journal still lives
    assert [it.run_id for it in history.runs()] == [RUN]
    history.close()
