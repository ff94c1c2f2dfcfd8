"""A folder that can't be written can be read: a backup that is mounted, a colleague's folder.

Root may write anywhere, so the reading is done by a process that gave up that privilege.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import duckdb
import pytest
from history_samples import Recorder

from evercell import events as e
from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

READ = """
import sys
from pathlib import Path
import evercell
from evercell.errors import EvercellError
from evercell.history import History
from evercell.history.collect import Retention
history = History(Path(sys.argv[1]))
def tell(*words): print(*words, flush=True)
"""


def give_up_privilege() -> None:
    """In a child of root, before it becomes another program: permissions bind it from there on."""
    drop_from_bounding_set, override, read_search = 24, 1, 2
    for capability in (override, read_search):
        ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "history"
    for path in (tmp_path, *tmp_path.rglob("*")):
        path.chmod(0o700)


def record(folder: Path, run_id: str = "run0000001") -> History:
    history = History(folder)
    recorder = Recorder(history, run_id).start().attach()
    recorder.complete_step(recorder.step(recorder.cell()))
    return history


def lock_up(folder: Path, *, journals: bool = True) -> None:
    """Let it be read and not written; the journals not even read, if told so."""
    for path in (folder, *folder.rglob("*")):
        private = path.parent.name == "journal" and not journals
        path.chmod(0o555 if path.is_dir() else 0 if private else 0o444)


def read(folder: Path, script: str) -> list[str]:
    """What `script` tells, run by somebody who may not write."""
    done = subprocess.run(
        [sys.executable, "-c", READ + script, str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=give_up_privilege if os.geteuid() == 0 else None,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def everything(folder: Path) -> dict[str, bytes]:
    return {str(it): it.read_bytes() for it in folder.rglob("*") if it.is_file()}


ASK = """
tell(history.query("SELECT status, count(*) FROM steps GROUP BY ALL").rows)
tell(len(history.runs()), [it.status for it in history.runs()])
tell(history.relation("SELECT name FROM steps").fetchall())
with history.reading():
    tell(history.step_records("run0000001", "id:a")[0].status, len(history.runs()))
tell(history.upkeep.verify().findings, history.upkeep.size > 0)
history.close()
"""
TOLD = ["[('completed', 1)]", "1 ['stopped']", "[('ask',)]", "completed 1", "() True"]


@pytest.mark.parametrize("folded", [True, False])
def test_it_is_read_whole(folder: Path, *, folded: bool) -> None:
    history = record(folder)
    if folded:
        history.close()
        again = History(folder)
        again.fold()  # notes that its writer is gone
        again.close()
    else:
        history.fold()
        Recorder(history, "run0000001").cell()
        history.close()
    lock_up(folder)
    before = everything(folder)
    assert read(folder, ASK) == TOLD
    assert everything(folder) == before


def test_it_is_read_where_nothing_was_ever_folded(folder: Path) -> None:
    record(folder).close()
    (folder / "history.duckdb").unlink(missing_ok=True)
    lock_up(folder)
    assert read(folder, ASK) == TOLD


def test_an_older_releases_views_are_this_ones(folder: Path) -> None:
    history = record(folder)
    history.fold()
    history.close()
    with duckdb.connect(folder / "history.duckdb") as connection:
        connection.execute("UPDATE store.views SET digest = 'older'")
        connection.execute("DROP VIEW outputs")
        connection.execute("CREATE OR REPLACE VIEW runs AS SELECT 1 AS old")
    lock_up(folder)
    assert read(folder, ASK) == TOLD


def test_journals_that_only_their_user_may_read_are_left_out(folder: Path) -> None:
    history = record(folder)
    history.fold()
    recorder = Recorder(history, "run0000002")
    recorder.start()
    history.close()
    lock_up(folder, journals=False)
    assert read(folder, "tell(len(history.runs()))") == ["1"]


def test_writing_says_that_it_cant(folder: Path) -> None:
    record(folder).close()
    lock_up(folder)
    told = read(
        folder,
        """
from evercell.events import RunDetached
for write in (
    lambda: history.commit(RunDetached("run0000001", 1, 1)),
    lambda: history.attach("run0000001"),
    lambda: history.upkeep.collect(Retention()),
    lambda: history.upkeep.trust(),
):
    try:
        write()
    except EvercellError as error:
        tell(error.code, "Permission denied" in error.message)
""",
    )
    assert told == ["EC201 True"] * 4


def test_damage_is_found_without_writing(folder: Path) -> None:
    history = record(folder)
    Recorder(history).cell()
    history.close()
    [journal] = (folder / "journal").glob("*.log")
    data = bytearray(journal.read_bytes())
    data[600] ^= 1
    journal.write_bytes(data)
    lock_up(folder)
    told = read(
        folder,
        """
try:
    history.runs()
except EvercellError as error:
    tell(error.code)
[found] = [it for it in history.upkeep.verify().findings if it.kind == "error"]
tell(found.where, "offset" in found.what)
""",
    )
    assert told == ["EC203", f"{journal} True"]


def test_the_command_line_reads_it(folder: Path) -> None:
    record(folder).close()
    lock_up(folder)
    script = """
from typer.testing import CliRunner
from evercell.cli.app import app
runner = CliRunner()
for command in (["ls"], ["show", "run0000001"], ["sql", "SELECT name FROM steps"], ["verify"]):
    result = runner.invoke(app, [*command, "--history", sys.argv[1]])
    tell(result.exit_code, result.exception)
"""
    assert read(folder, script) == ["0 None"] * 4


def test_views_are_made_anew_when_their_script_changed(folder: Path) -> None:
    history = record(folder)
    history.fold()
    history.close()
    with duckdb.connect(folder / "history.duckdb") as connection:
        connection.execute("UPDATE store.views SET digest = 'older'")
        connection.execute("CREATE OR REPLACE VIEW runs AS SELECT 1 AS old")
    again = History(folder)
    assert again.query("SELECT run_id FROM runs").rows == [("run0000001",)]
    assert isinstance(again.events("run0000001")[0], e.RunStarted)
    again.close()
