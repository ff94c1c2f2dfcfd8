"""A run shown in a notebook that no browser watches: nbclient's file holds the final table."""

from __future__ import annotations

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
SHOW = """from evercell_widgets import progress
from synthetic import SyntheticRun, earlier_kernel, later_kernel
run = SyntheticRun()
asked = earlier_kernel(run)
progress(run, live=False)"""
WORK = "later_kernel(run, asked, 0.0)"


def test_the_table_is_final_when_the_last_cell_has_ended(monkeypatch) -> None:
    paths = [ROOT / "kernel", ROOT / "widgets", ROOT / "tests" / "browser"]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, paths)))
    notebook = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(SHOW), nbformat.v4.new_code_cell(WORK)]
    )
    NotebookClient(notebook, kernel_name="python3", timeout=60).execute()
    (output,) = notebook.cells[0].outputs
    assert set(output.data) == {"text/plain", "text/html"}
    assert "67 steps: 22 restored, 44 ran, 1 failed" in output.data["text/plain"]
    assert "agents.ipynb</strong> idle" in output.data["text/html"]
    assert notebook.cells[1].outputs == []
    assert not notebook.metadata.get("widgets")
