"""Watching a run that another process records."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from view_events import MS

from evercell import events as ev
from evercell.cli.watch import Watch
from evercell.clock import SystemClock
from evercell.errors import RunNotFoundError
from evercell.history import History

if TYPE_CHECKING:
    from pathlib import Path

RUN = "4k2m9x0abc"
PAYLOAD = ev.Payload(b"i" * 16, "json", 1, b"1")


def now() -> int:
    return SystemClock().now()


def begun(generation: int = 1) -> list[ev.Event]:
    return [
        ev.RunStarted(RUN, now(), "notebook", "/n/a.ipynb", {}, "cpython-311", "0.1.0"),
        ev.RunAttached(RUN, now(), generation, 1, "here", None, None),
        ev.CellStarted(
            RUN, now(), "c1", "pos:0", 0, None, "ask()", b"d", 0, "executed", "new", 1
        ),
        ev.StepStarted(RUN, now(), "s1", "c1", "pos:0", "ask", b"k", 0, "{}"),
    ]  # fmt: skip


def completed() -> list[ev.Event]:
    return [
        ev.StepCompleted(RUN, now(), "s1", 1, PAYLOAD, None, 5 * MS),
        ev.CellCompleted(RUN, now(), "c1", b"k", 9 * MS, {}, (), (), (), None, None, True),
    ]


def test_it_shows_what_was_and_what_comes_once(tmp_path: Path) -> None:
    recorder, reader = History(tmp_path), History(tmp_path)
    recorder.commit(*begun())
    lock = recorder.attach(RUN)
    watch = Watch(reader, RUN)
    reader.close()
    assert watch.read()
    assert watch.snapshot()["header"]["steps"]["running"] == 1
    recorder.commit(*completed())
    recorder.commit(ev.RunAttached("other", now(), 1, 1, "here", None, None))
    assert watch.read()
    assert watch.read()
    shown = watch.snapshot()
    assert (shown["header"]["steps"]["completed"], shown["header"]["busy"]) == (1, 9 * MS)
    lock.release()
    assert not watch.read()
    assert watch.snapshot()["header"]["state"] == "stopped"
    watch.close()
    recorder.close()


def test_a_kernel_that_died_leaves_its_cell_in_doubt(tmp_path: Path) -> None:
    recorder = History(tmp_path)
    recorder.commit(*begun())
    watch = Watch(recorder, RUN)
    assert not watch.read()  # nobody holds the run
    (cell,) = watch.snapshot()["cells"]
    assert cell["status"] == "in doubt"
    watch.close()
    recorder.close()


def test_a_run_that_ended_well_stays_what_it_is(tmp_path: Path) -> None:
    recorder = History(tmp_path)
    recorder.commit(*begun(), *completed(), ev.RunFinished(RUN, now(), "completed"))
    watch = Watch(recorder, RUN)
    assert not watch.read()
    assert watch.snapshot()["header"]["state"] == "completed"
    assert watch.snapshot()["cells"][0]["status"] == "completed"
    watch.close()
    recorder.close()


def test_events_around_the_reading_of_the_past_come_once(tmp_path: Path) -> None:
    recorder, reader = History(tmp_path), History(tmp_path)
    recorder.commit(*begun())

    class Late(History):
        def events(self, run_id: str, *, hosted: bool = False) -> list[ev.Event]:
            recorder.commit(*completed())  # between the look at the journals and this one
            return super().events(run_id, hosted=hosted)

    late = Late(tmp_path)
    watch = Watch(late, RUN)
    watch.read()
    assert watch.snapshot()["header"]["busy"] == 9 * MS
    for each in (watch, late, reader, recorder):
        each.close()


def test_in_a_pipe_cells_are_lines(tmp_path: Path) -> None:
    recorder = History(tmp_path)
    recorder.commit(*begun(), *completed(), ev.RunFinished(RUN, now(), "completed"))
    recorder.close()
    command = [sys.executable, "-m", "evercell", "watch", RUN[:4], "--history", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "✓ ran" in done.stdout
    assert "1 / 1" in done.stdout
    assert done.stdout.endswith(f"run {RUN}: completed\n")
    assert "\x1b" not in done.stdout


def test_an_unknown_run_is_refused(tmp_path: Path) -> None:
    recorder = History(tmp_path)
    recorder.commit(*begun())
    with pytest.raises(RunNotFoundError):
        Watch(recorder, recorder.run("nope").run_id)
    recorder.close()
