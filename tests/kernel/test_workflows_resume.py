"""Workflows in a real kernel that is killed: they go on in the next, and nothing is paid twice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nbformat
from test_headless_resume import Lab, jupyter_path

from evercell.history import History

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["jupyter_path"]

DEFINITIONS = """
import asyncio, os, pathlib, signal
from evercell import step, workflow

def note(text):
    with pathlib.Path("ledger").open("a") as ledger:
        ledger.write(text + "\\n")

@step
async def ask(number):
    note(f"ask {number}")
    return number * 2

@step
def fragile(numbers):
    if pathlib.Path("armed").exists():
        pathlib.Path("armed").unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    note("sum")
    return sum(numbers)

@workflow
async def flow(count):
    numbers = await asyncio.gather(*(ask(n) for n in range(count)))
    await asyncio.sleep(0.3)
    total = await fragile(numbers)
    return f"{total} at {await workflow.wait_signal('stamp', str)}"
"""


def write(lab: Lab, *cells: str) -> None:
    notebook = nbformat.v4.new_notebook()  # type: ignore[no-untyped-call]
    for number, source in enumerate(cells):
        cell = nbformat.v4.new_code_cell(source, id=f"c{number}")  # type: ignore[no-untyped-call]
        notebook.cells.append(cell)
    nbformat.write(notebook, lab.folder / "exp.ipynb")  # type: ignore[no-untyped-call]


def test_a_killed_kernels_workflow_goes_on(tmp_path: Path, jupyter_path: Path) -> None:
    lab = Lab(tmp_path, jupyter_path)
    write(
        lab,
        DEFINITIONS,
        "handle = flow.start(4, id='one')\nhandle.signal('stamp', 'noon')",
        "print(await handle)",
    )
    (tmp_path / "armed").touch()
    assert lab.run(code=1)["status"] == "kernel died"
    assert lab.run()["cells"]["restored"] == 2
    (shown,) = lab.outputs()[2]
    assert shown["text"] == ["12 at noon\n"]
    lines = (tmp_path / "ledger").read_text().splitlines()
    assert sorted(lines) == ["ask 0", "ask 1", "ask 2", "ask 3", "sum"]


def test_a_headless_run_waits_for_its_workflows(tmp_path: Path, jupyter_path: Path) -> None:
    lab = Lab(tmp_path, jupyter_path)
    write(
        lab,
        DEFINITIONS,
        "handle = flow.start(2)\nhandle.signal('stamp', 'night')\nprint('started')",
    )
    assert lab.run()["status"] == "completed"
    history = History(tmp_path / ".evercell")
    try:
        rows = history.query("select workflow, status from runs order by workflow").rows
    finally:
        history.close()
    assert rows == [("flow", "completed"), ("notebook", "completed")]
