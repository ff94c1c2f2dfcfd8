"""The first run of a folder: begun without DuckDB, and by one kernel alone."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from evercell.engine.run import RunRequest, begin_run, open_run
from evercell.errors import RunInUseError
from evercell.history import History

if TYPE_CHECKING:
    from pathlib import Path

REQUEST = RunRequest("/work/exp.ipynb", {}, "kernel-1")

PROGRAM = """
import os
import sys
from pathlib import Path
from evercell.engine.run import RunRequest, open_run
from evercell.history import History

history = History(Path(sys.argv[1]))
run = open_run(history, RunRequest("/work/exp.ipynb", {}, "kernel-1"))
assert "duckdb" not in sys.modules
print(run.run_id)
os._exit(0)  # as if it was killed: nothing is folded
"""


def test_the_first_run_of_a_folder_is_begun_without_duckdb(tmp_path: Path) -> None:
    folder = tmp_path / "history"
    command = [sys.executable, "-c", PROGRAM, str(folder)]
    done = subprocess.run(command, env=os.environ, check=True, capture_output=True, text=True)
    assert not (folder / "history.duckdb").exists()
    history = History(folder)
    try:
        run = open_run(history, REQUEST)
        assert run.run_id == done.stdout.strip()
        assert run.lock.generation == 2
        run.detach()
    finally:
        history.close()


def test_a_folder_with_a_journal_alone_was_recorded_in(tmp_path: Path) -> None:
    history = History(tmp_path)
    with history.unread() as unread:
        assert unread
        begin_run(history, REQUEST).detach()
    with history.unread() as unread:
        assert not unread
    history.close()


def test_two_kernels_that_begin_at_once_have_one_run(tmp_path: Path) -> None:
    first, second = History(tmp_path), History(tmp_path, wait=60)
    refused: list[str] = []

    def open_second() -> None:
        try:
            open_run(second, REQUEST)
        except RunInUseError as error:
            refused.append(error.message)

    beside = threading.Thread(target=open_second)
    with first.unread() as unread:
        assert unread
        beside.start()  # whenever it gets there, it waits for the run that is begun here
        run = begin_run(first, REQUEST)
    beside.join()
    assert len(refused) == 1
    run.detach()
    first.close()
    assert [it.run_id for it in second.runs()] == [run.run_id]
    second.close()
