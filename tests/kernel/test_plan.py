"""Before anything runs: status, explain, accept and forget in a kernel, and the dry run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from notebooks import Notebook, cells, run_all

from evercell.jupyter.headless.preview import preview_notebook

if TYPE_CHECKING:
    import pytest

BASE = [
    "from evercell import step, record_usage",
    "@step\ndef ask(n):\n    record_usage(model='m', input_tokens=7, cost=0.5)\n    return n",
    "answers = [ask(n) for n in range(2)]",
    "%time total = sum(answers)",
    "print(total)",
]
EDITED = [BASE[0], BASE[1].replace("return n", "return -n"), *BASE[2:]]


def write(notebook: Notebook, sources: list[str]) -> Path:
    path = notebook.folder / "notebook.ipynb"
    document = {
        "nbformat": 4,
        "nbformat_minor": 5,
        "metadata": {},
        "cells": [
            {"cell_type": "code", "id": f"cell-{n}", "metadata": {}, "source": source,
             "outputs": [], "execution_count": None}
            for n, source in enumerate(sources)
        ],
    }  # fmt: skip
    path.write_text(json.dumps(document))
    return path


def test_a_user_sees_what_an_edit_costs_and_keeps_the_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Notebook(tmp_path)
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    path = write(notebook, BASE)
    assert {p.action for p in preview_notebook(path).previews} == {"execute"}
    assert not notebook.home.exists()  # looking leaves nothing behind

    with notebook.kernel() as k:
        run_all(k, cells(*BASE))
        assert "restart  5 restored" in k.run("%evercell status").text()
        write(notebook, EDITED)
        status = k.run("%evercell status").text()
    assert "stale    cell 2  @step" in status
    assert "its source was edited" in status
    plan = preview_notebook(path)
    assert [p.action for p in plan.previews] == [
        "restore", "execute", "depends", "depends", "depends",
    ]  # fmt: skip
    assert plan.previews[2].cost.money == 1.0
    assert plan.previews[2].cost.steps == 2

    with notebook.kernel() as k:
        explained = k.run("%evercell explain cell-1").text()
        assert "+    return -n" in explained
        assert "accepted cell 2: its source was edited" in k.run("%evercell accept").text()
        assert k.run("%evercell explain 99").reply["ename"] == "UsageError"
        answers = run_all(k, cells(*EDITED))
        assert answers[-1].text() == "1\n"
    assert [d.decision for d in notebook.decisions()] == ["restored"] * 5

    with notebook.kernel() as k:
        assert "forgot 1 record of cell 3" in k.run("%evercell forget 3").text()
        run_all(k, cells(*EDITED))
    assert [d.decision for d in notebook.decisions()][:3] == ["restored", "restored", "executed"]


def test_the_dry_run_on_the_command_line(tmp_path: Path) -> None:
    path = write(Notebook(tmp_path), ["x = 1", "%evercell status", "print(x)"])
    packages = [Path(__file__).parents[2] / name for name in ("kernel", "widgets")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, packages))}

    def plan(*words: str) -> str:
        command = [sys.executable, "-m", "evercell", "run", str(path), "--plan", *words]
        return subprocess.run(
            command, check=True, env=env, capture_output=True, text=True, timeout=60
        ).stdout

    text = plan()
    assert "another run begins: 2 run. Nothing was run." in text
    document = json.loads(plan("--json", "--fresh"))
    assert [(c["index"], c["action"]) for c in document["cells"]] == [
        (0, "execute"),
        (2, "execute"),
    ]
    assert document["run_id"] is None
