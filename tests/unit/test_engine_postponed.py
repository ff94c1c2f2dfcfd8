"""A cell that made what can't be stored runs again when another one needs that, not before."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sessions import Watched

from evercell import settings
from evercell.errors import RestoreError
from evercell.events import CellFailed, CellStarted

if TYPE_CHECKING:
    from collections.abc import Iterator


LOCK = "import threading\nruns = []\nlock = threading.Lock()\nprint('made')"


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main
    settings.reset()


class Kernel(Watched):
    """A notebook that lists what was run again."""

    @property
    def recomputed(self) -> list[str]:
        """Sources of the cells that were run again, in order."""
        return [
            e.source
            for e in self.events
            if isinstance(e, CellStarted) and e.decision == "recomputed"
        ]


@contextlib.contextmanager
def restored(folder: Path, *sources: str) -> Iterator[Kernel]:
    """A second kernel after the cells were run in a first and given back in this one."""
    with Kernel(folder) as notebook:
        for source in sources:
            notebook.cell(source)
    with Kernel(folder) as notebook:
        for source in sources:
            assert not notebook.cell(source).ran, source
        yield notebook


def test_what_nobody_needs_is_not_made(tmp_path: Path) -> None:
    with restored(tmp_path, LOCK, "free = not lock.locked()", "print(free)") as notebook:
        assert "lock" not in notebook.live
        assert not notebook.cell("n = 1").ran or notebook.recomputed == []
        assert "lock" not in notebook.live
        shown = notebook.cell("print(lock.locked())")
        assert notebook.recomputed == [LOCK]
        assert "lock: its cell runs again for this one" in "".join(shown.notes)
        assert "cannot pickle '_thread.lock' object" in "".join(shown.notes)
        assert [m.content["text"] for m in shown.shown] == ["False\n"]  # and not what it printed
        notebook.cell("lock.acquire()")
        assert notebook.recomputed == [LOCK]  # once


def test_its_steps_are_answered_even_those_that_failed(tmp_path: Path) -> None:
    asked = tmp_path / "asked"
    asked.touch()
    steps = (
        "from evercell import step\nimport pathlib\n"
        "@step\ndef ask(q):\n"
        f"    with open({str(asked)!r}, 'a') as f: f.write(q)\n"
        "    if q == 'b': raise ValueError(q)\n    return q"
    )
    makes = (
        "import threading\nheard = []\nfor q in 'ab':\n"
        "    try: heard.append(ask(q))\n    except ValueError: heard.append('failed')\n"
        "del q\nlock = (threading.Lock(), heard)"
    )
    with restored(tmp_path, steps, makes) as notebook:
        notebook.cell("seen = lock[1]")
        assert notebook.live["seen"] == ["a", "failed"]
        assert notebook.live["heard"] is notebook.live["seen"]
    assert asked.read_text() == "ab"


@pytest.mark.parametrize(
    "change",
    ["xs.append(3)", "xs = [7]", "ys = xs\ndef f(): ys.clear()\nf()\ndel xs"],
)
@pytest.mark.parametrize("live", [True, False], ids=["run", "restored"])
def test_it_finds_what_it_had_found(tmp_path: Path, change: str, live: bool) -> None:
    makes = "import threading\nfound = (threading.Lock(), list(xs))"
    cells = ["xs = [1, 2]", makes]
    with restored(tmp_path, *cells, *([] if live else [change])) as notebook:
        if live:
            notebook.cell(change)
        before = dict(notebook.live)
        notebook.cell("seen = found[1]")
        assert notebook.live["seen"] == [1, 2]
        assert notebook.live.get("xs") == before.get("xs")


@pytest.mark.parametrize(
    ("change", "later"),
    [
        ("os.environ['EVERCELL_TEST'] = 'later'\nos.chdir('/')", "later"),
        ("os.environ.pop('EVERCELL_TEST')\nrandom.seed(7)", None),
    ],
)
@pytest.mark.parametrize("live", [True, False], ids=["run", "restored"])
def test_it_finds_the_process_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str, later: str | None, live: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("EVERCELL_TEST", "first")
    makes = (
        "import threading\nfound = (threading.Lock(), "
        "(os.environ.get('EVERCELL_TEST'), random.random(), os.getcwd()))"
    )
    cells = ["import os, random\nrandom.seed(1)", makes, "drawn = found[1]"]
    with Kernel(tmp_path / "h") as notebook:
        for source in [*cells, *([] if live else [change])]:
            notebook.cell(source)
        drawn = notebook.live["drawn"]
    monkeypatch.setenv("EVERCELL_TEST", "first")
    monkeypatch.chdir(tmp_path)
    with Kernel(tmp_path / "h") as notebook:
        for source in [*cells, *([] if live else [change])]:
            assert not notebook.cell(source).ran
        if live:
            notebook.cell(change)
        folder = Path.cwd()
        after = notebook.live["random"].getstate()
        notebook.cell("seen = found[1]")
        assert notebook.live["seen"] == drawn
        assert os.environ.get("EVERCELL_TEST") == later
        assert Path.cwd() == folder
        assert notebook.live["random"].getstate() == after


def test_those_before_it_run_first_and_each_once(tmp_path: Path) -> None:
    cells = [
        "import threading",
        "stream = (n for n in range(2, 9))",
        "holder = (threading.Lock(), next(stream))",
        "other = 1",
        "more = (threading.Lock(), next(stream))",
    ]
    with restored(tmp_path, *cells) as notebook:
        notebook.cell("seen = more[1]")
        assert notebook.live["seen"] == 3
        notebook.cell("seen = holder[1], next(stream)")
        assert notebook.live["seen"] == (2, 4)
        assert notebook.recomputed == [cells[1], cells[2], cells[4]]


def test_what_is_bound_anew_is_not_made(tmp_path: Path) -> None:
    with restored(tmp_path, LOCK) as notebook:
        notebook.cell("lock = 5")
        notebook.cell("seen = lock")
        assert notebook.live["seen"] == 5
        assert notebook.recomputed == []


def test_who_only_looks_makes_nothing_run(tmp_path: Path) -> None:
    with restored(tmp_path, LOCK) as notebook:
        notebook.session.provide("lock", run=False)
        assert "lock" not in notebook.live
        notebook.session.provide("lock")
        assert "lock" in notebook.live
        assert notebook.recomputed == [LOCK]


def test_another_run_begins_with_everything_there(tmp_path: Path) -> None:
    with restored(tmp_path, LOCK) as notebook:
        notebook.session.new_run()
        assert "lock" in notebook.live


def test_one_that_fails_this_time_says_so(tmp_path: Path) -> None:
    makes = "import threading\nassert not hasattr(threading, 'broken')\nlock = threading.Lock()"
    with restored(tmp_path, makes) as notebook:
        sys.modules["threading"].broken = True  # type: ignore[attr-defined]
        try:
            for _ in range(2):
                with pytest.raises(RestoreError, match="failed when it ran again: AssertionError"):
                    notebook.cell("lock.locked()")
        finally:
            del sys.modules["threading"].broken  # type: ignore[attr-defined]
        assert sum(isinstance(e, CellFailed) for e in notebook.events) == 1
        assert notebook.cell(makes).ran
        assert notebook.cell("lock.locked()").ran


# What must not wait: it reaches beyond its variables, or hangs together with what is not stored.
IN_TURN = {
    "opens a file": "f = open(path)",
    "writes a file": "open(path, 'w').write('x')\nl = threading.Lock()",
    "starts a process": "p = __import__ and subprocess.Popen(['true'])\np.wait()",
    "connects": "c = sqlite3.connect(':memory:')",
    "renames": "os.rename(path, path)\nl = threading.Lock()",
    "makes a folder": "t = tempfile.TemporaryDirectory()",
    "a port and its server": "port = uuid.uuid4().hex\nserver = (port, threading.Lock())",
    "its own class": "class P: pass\np = P()\np.lock = threading.Lock()",
    "marked": "# evercell: recompute\nl = threading.Lock()",
    "escapes": "l = eval('threading.Lock()')",
    "shows what hangs on it": "l = threading.Lock()\nk = id(l)",
    "a patch": "l = threading.Lock()\nthreading.mark = l",
    "awaits": "import asyncio\nl = threading.Lock()\nawait asyncio.sleep(0)",
}


@pytest.mark.parametrize("case", IN_TURN)
def test_what_reaches_further_runs_in_its_turn(tmp_path: Path, case: str) -> None:
    imports = "import os, sqlite3, subprocess, tempfile, threading, uuid"
    cells = [
        imports,
        f"path = {str(tmp_path / 'file')!r}\nwith open(path, 'w'): pass",
        IN_TURN[case],
    ]
    with Kernel(tmp_path / "h") as notebook:
        for source in cells:
            notebook.cell(source)
    with Kernel(tmp_path / "h") as notebook:
        ran = [notebook.cell(source).ran for source in cells]
        assert ran == [False, False, True]


# What may wait.
WAITS = {
    "a lock beside values": "xs = [1, 2]\nl = threading.Lock()\nn = 3",
    "a client": "key = 'k'\nc = httpx.Client(headers={'key': key})",
    "a client that functions use": "c = httpx.Client()\ndef get(u):\n    return c.get(u)",
    "process state beside it": "os.environ['EVERCELL_TEST'] = '1'\nl = threading.Lock()",
    "a generator over a variable": "g = (x for x in data)",
}


@pytest.mark.parametrize("case", WAITS)
def test_what_keeps_to_itself_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    monkeypatch.setenv("EVERCELL_TEST", "0")
    with restored(tmp_path, "import httpx, os, threading\ndata = [1]", WAITS[case]) as notebook:
        waiting = notebook.session.waiting()
        assert waiting
        notebook.cell(f"seen = {max(waiting)}")
        assert notebook.recomputed == [WAITS[case]]
        assert "seen" in notebook.live
