"""The journal's writer in processes of its own: forks, exits, limits of the system."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

from support.journals import recorded

if TYPE_CHECKING:
    from pathlib import Path


def run_script(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(folder)],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, **environment},
        check=False,
    )


PRELUDE = """
import os, sys
from pathlib import Path
sys.dont_write_bytecode = True  # a test limits the size of files: it would be cut off for all
from evercell.clock import SystemClock
from evercell.errors import HistoryError, HistoryWriteError
from evercell.history.journal import Journal
from evercell.history.locks import is_held
folder = Path(sys.argv[1])
journal = Journal(folder, "writer0001", SystemClock())
"""


def test_a_forked_child_is_refused_and_holds_no_lock(tmp_path: Path) -> None:
    script = PRELUDE + textwrap.dedent("""
        journal.commit([b"parent"])
        child = os.fork()
        if child == 0:
            try:
                journal.commit([b"child"])
            except HistoryError as error:
                print(error, flush=True)
            sys.stdin.read()
            os._exit(0)
        journal.commit([b"parent again"])
        journal.close()
        print("held" if is_held(folder / "writer0001.lock") else "free", flush=True)
        os.close(0)
    """)
    done = run_script(script, tmp_path)
    assert "forked child process can't record" in done.stdout, done.stderr
    assert "free" in done.stdout
    assert recorded(tmp_path) == [b"parent", b"parent again"]


def test_what_is_queued_at_exit_is_written(tmp_path: Path) -> None:
    done = run_script(PRELUDE + "journal.append([b'last words'])", tmp_path)
    assert done.returncode == 0, done.stderr
    assert recorded(tmp_path) == [b"last words"]


def test_a_file_size_limit_is_a_write_error_and_recording_goes_on(tmp_path: Path) -> None:
    script = PRELUDE + textwrap.dedent("""
        import resource
        journal.commit([b"before"])
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        accepted = 0
        try:
            while True:
                journal.commit([b"x" * 50_000])
                accepted += 1
        except HistoryWriteError as error:
            print(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        journal.commit([b"after"])
        journal.close()
        print(accepted)
    """)
    done = run_script(script, tmp_path)
    assert "File too large. Raise the file size limit" in done.stdout, done.stderr
    accepted = int(done.stdout.split()[-1])
    events = recorded(tmp_path)
    assert events[0] == b"before"
    assert events[-1] == b"after"
    # The one that was refused was kept, and written once writing worked again.
    assert len(events) == accepted + 3
