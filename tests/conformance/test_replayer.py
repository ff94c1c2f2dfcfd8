"""Replayer and `evercell replay`: today's code against recorded runs."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import nbformat
import pytest
from typer.testing import CliRunner, Result

from evercell import step, workflow
from evercell.cli.app import app
from evercell.errors import NondeterminismError, RunNotFoundError, UsageError
from evercell.testing import Replayer

if TYPE_CHECKING:
    from pathlib import Path

    from evercell.testing import WorkflowEnvironment

DEFINITION = """
from evercell import RetryPolicy, step, workflow

POLICY = RetryPolicy(maximum_attempts=3)


@step(retry=POLICY)
async def ask(x):
    raise AssertionError("nothing is carried out")


@workflow
async def agent(x):
    return await ask(x + {bonus})
"""


def record(env: WorkflowEnvironment) -> str:
    @step(name="ask")
    async def ask(x: int) -> int:
        return x * 2

    @workflow(name="agent")
    async def agent(x: int) -> int:
        return await ask(x + 1)

    handle = agent.start(20, id="agent-20")
    assert handle.result(30) == 42
    env.history.commit()
    return handle.run_id


def notebook(path: Path, bonus: int) -> Path:
    cells = [
        nbformat.v4.new_code_cell("%pip list\nopen('was-run', 'w')"),  # type: ignore[no-untyped-call]
        nbformat.v4.new_code_cell(DEFINITION.format(bonus=bonus)),  # type: ignore[no-untyped-call]
        nbformat.v4.new_code_cell("raise SystemExit"),  # type: ignore[no-untyped-call]
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), path)  # type: ignore[no-untyped-call]
    return path


def test_the_command_says_what_fits(env: WorkflowEnvironment, tmp_path: Path) -> None:
    run_id = record(env)
    history = ["--history", str(tmp_path / "history")]
    good = notebook(tmp_path / "good.ipynb", 1)
    done = CliRunner().invoke(app, ["replay", "--source", str(good), "--json", *history])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(done.stdout)
    assert (row["run_id"], row["fits"], row["workflow_id"]) == (run_id, True, "agent-20")
    assert not (tmp_path / "was-run").exists()
    module = tmp_path / "edited.py"
    module.write_text(DEFINITION.format(bonus=2))
    done = CliRunner().invoke(app, ["replay", "agent-20", "--source", str(module), *history])
    assert done.exit_code == 1
    assert "the history holds step ask" in done.output
    done = CliRunner().invoke(app, ["replay", "nothing", "--source", str(module), *history])
    assert done.exit_code == 2


def test_the_class_does_too_also_from_an_export(env: WorkflowEnvironment, tmp_path: Path) -> None:
    @workflow(name="agent")
    async def changed(x: int) -> int:
        return x

    run_id = record(env)
    folder = tmp_path / "history"
    (replayed,) = Replayer(changed).replay_folder(folder)
    assert isinstance(replayed.error, NondeterminismError)
    with pytest.raises(RunNotFoundError):
        Replayer(changed).replay_folder(folder, ["nothing"])
    with pytest.raises(UsageError):
        Replayer()
    export = tmp_path / "run.jsonl"
    done = CliRunner().invoke(
        app, ["history", "export", run_id, "-o", str(export), "--history", str(folder)]
    )
    assert done.exit_code == 0, done.output
    (again,) = Replayer(changed).replay_export(export)
    assert isinstance(again.error, NondeterminismError)


def test_the_command_checks_exports_also_of_another_user(
    env: WorkflowEnvironment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id, export = record(env), tmp_path / "run.jsonl"
    history = ["--history", str(tmp_path / "history")]

    def evercell(*words: str) -> Result:
        return CliRunner().invoke(app, list(words))

    done = evercell("history", "export", run_id, "-o", str(export), *history)
    assert done.exit_code == 0, done.output
    sources = {}
    for bonus in (1, 2):
        sources[bonus] = tmp_path / f"agent{bonus}.py"
        sources[bonus].write_text(DEFINITION.format(bonus=bonus))
    words = ["replay", "--export", str(export), "--source"]
    done = evercell(*words, str(sources[1]), "--json")
    assert [(row["run_id"], row["fits"]) for row in json.loads(done.stdout)] == [(run_id, True)]
    assert evercell(*words, str(sources[2])).exit_code == 1
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "other key"))
    done = evercell(*words, str(sources[1]))
    assert done.exit_code == 2  # a check of nothing does not pass
    assert "--trust" in done.output
    assert evercell(*words, str(sources[1]), "--trust").exit_code == 0
    assert evercell(*words, str(sources[2]), "--trust").exit_code == 1
    other = tmp_path / "other.py"
    other.write_text(DEFINITION.format(bonus=1).replace("agent", "other"))
    assert evercell(*words, str(other), "--trust").exit_code == 2
    assert evercell("replay", "--export", str(export)).exit_code == 2
