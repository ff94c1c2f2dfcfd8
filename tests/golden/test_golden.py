"""A history of every released schema opens, holds, and is resumed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from evercell import events as e
from evercell.engine.run import RunRequest, open_run
from evercell.history import History
from evercell.history.schema import SCHEMA

HERE = Path(__file__).parent
GOLDEN = sorted(HERE.glob("schema-*"))
PARAMETERS = {"model": "small", "n": 3}


@pytest.fixture(params=GOLDEN, ids=lambda path: str(path.name))
def folder(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(request.param / "key"))
    shutil.copytree(request.param / "history", tmp_path / "history")
    return tmp_path / "history"


def test_every_schema_has_its_golden_history() -> None:
    assert [path.name for path in GOLDEN] == [f"schema-{n}" for n in range(1, SCHEMA + 1)]


@pytest.mark.parametrize("name", ["folded", "journal"])
def test_it_is_resumed(folder: Path, name: str) -> None:
    history = History(folder)
    run = open_run(history, RunRequest(f"/work/{name}.ipynb", PARAMETERS, None))
    try:
        assert run.run_id == {"folded": "run0000001", "journal": "run0000002"}[name]
        assert run.lock.generation == 2
        assert (run.state.status("id:a"), run.state.status("id:b")) == ("completed", "in doubt")
        steps = run.steps("id:a")
        first, second, failed = (steps.get((letter * 16, 0)) for letter in (b"a", b"b", b"c"))
        assert first is not None
        assert first.result is not None
        assert history.get(first.result) == b'{"answer":42}'
        assert second is not None
        assert second.result is not None
        assert history.get(second.result) == b'"%s"' % (b"x" * 70_000)
        assert failed is not None
        assert failed.error is not None
        assert (failed.status, failed.error.type) == ("failed", "builtins.ValueError")
        tried, once = (run.steps("id:b").get((letter * 16, 0)) for letter in (b"d", b"e"))
        assert tried is not None
        assert (tried.status, tried.attempts) == ("in doubt", 2)
        assert once is not None
        assert (once.status, once.at_most_once) == ("in doubt", True)
        assert history.take_notices() == []
    finally:
        run.detach()
        history.close()


def test_it_holds_and_is_queried(folder: Path) -> None:
    history = History(folder)
    assert history.upkeep.verify().findings == ()
    assert history.query(
        "SELECT workflow, status, result->>'answer', count(*) FROM runs GROUP BY ALL ORDER BY ALL"
    ).rows == [
        ("notebook", "stopped", None, 2),
        ("review", "completed", "42", 2),
        ("review", "stopped", None, 2),
    ]
    assert (
        history.query("SELECT name, arguments->>'$[0][0]' FROM signals").rows
        == [("go", "true")] * 2
    )
    assert history.query("SELECT status FROM timers").rows == [("waiting",)] * 2
    assert history.query(
        "SELECT name, status, count(*) FROM steps GROUP BY ALL ORDER BY ALL"
    ).rows == [("ask", "completed", 4), ("ask", "failed", 2), ("ask", "in doubt", 4)]
    assert all(isinstance(event, e.Event) for event in history.events("run0000001"))
