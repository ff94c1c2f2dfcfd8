"""The headless runner's own part - outputs, metadata, signals, deaths - on a plain kernel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from evercell.errors import KernelNotFoundError, RunInUseError, UnknownParameterError
from evercell.jupyter.headless import CellEnded, CellScheduled, RunBegan, run_notebook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PLAIN = "python3"


def write_notebook(path: Path, *cells: str | tuple[str, str]) -> Path:
    """A notebook of code cells, each a source or (source, tag)."""
    made = []
    for index, cell in enumerate(cells):
        source, tags = (cell, []) if isinstance(cell, str) else (cell[0], [cell[1]])
        made.append(
            {
                "cell_type": "code",
                "id": f"id-{index}",
                "metadata": {"tags": tags},
                "source": textwrap.dedent(source).strip(),
                "outputs": [{"output_type": "stream", "name": "stdout", "text": "of an old run"}],
                "execution_count": 99,
            }
        )
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": made}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def cells_of(path: Path) -> list[dict[str, Any]]:
    cells: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return cells


def text_of(cell: dict[str, Any]) -> str:
    """What a cell printed."""
    streams = [output for output in cell["outputs"] if output["output_type"] == "stream"]
    return "".join("".join(stream["text"]) for stream in streams)


def wait_until(condition: Callable[[], object], *, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


# -- outputs ------------------------------------------------------------------------------------


def test_a_notebook_is_run_in_place_with_what_its_cells_publish(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "nb.ipynb",
        """
        import sys, time
        for i in range(3):
            print(i, flush=True); time.sleep(0.01)
        print("oops", file=sys.stderr, flush=True)
        print("again", flush=True)
        """,
        'for i in range(5):\n    print(f"{i}/4", end="\\r", flush=True)\nprint()\n6 * 7',
        """
        from IPython.display import clear_output, display
        handle = display("first", display_id="d")
        print("gone"); clear_output(wait=True); print("stays")
        """,
        'handle = display("old", display_id="e"); handle.update("new")',
        "for i in range(2500): display(i)",
        ("1 / 0", "raises-exception"),
        ("1 / 0", "skip-execution"),
    )
    seen: list[object] = []
    outcome = run_notebook(path, kernel_name=PLAIN, progress=seen.append)

    assert (outcome.status, outcome.exit_code, outcome.cells) == ("completed", 0, 6)
    assert outcome.output == path
    streams, bar, cleared, updated, flood, raised, skipped = cells_of(path)
    assert [(o["name"], "".join(o["text"])) for o in streams["outputs"]] == [
        ("stdout", "0\n1\n2\n"),
        ("stderr", "oops\n"),
        ("stdout", "again\n"),
    ]
    assert text_of(bar) == "4/4\r\n"
    assert bar["outputs"][1]["data"]["text/plain"] == ["42"]
    assert bar["execution_count"] == 2
    assert [output.get("text") for output in cleared["outputs"]] == [["stays\n"]]
    assert updated["outputs"][0]["data"]["text/plain"] == ["'new'"]
    assert len(flood["outputs"]) == 2500
    assert raised["outputs"][0]["ename"] == "ZeroDivisionError"
    assert (skipped["outputs"], skipped["execution_count"]) == ([], None)

    assert isinstance(seen[0], RunBegan)
    assert [e.index for e in seen if isinstance(e, CellScheduled)] == [0, 1, 2, 3, 4, 5]
    assert [e.ok for e in seen if isinstance(e, CellEnded)] == [True] * 6


WHO = """
import json, os
parent = get_ipython().kernel.get_parent()
names = ("EVERCELL_NOTEBOOK", "EVERCELL_PARAMETERS", "EVERCELL_FRESH", "EVERCELL_HOME")
print(json.dumps([parent["metadata"], [os.environ.get(name) for name in names], os.getcwd()]))
"""


def test_the_kernel_is_told_which_cell_which_run_and_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERCELL_FRESH", "1")  # as if run from inside another kernel
    monkeypatch.delenv("EVERCELL_HOME", raising=False)
    path = write_notebook(tmp_path / "nb.ipynb", ("n = 3", "parameters"), (WHO, "mine"))
    before = path.read_bytes()
    outcome = run_notebook(path, parameters=["n=5"], kernel_name=PLAIN)

    assert outcome.output == tmp_path / "nb.out.ipynb"
    assert path.read_bytes() == before
    cells = cells_of(outcome.output)
    assert [cell["id"] for cell in cells] == ["id-0", "injected-parameters", "id-1"]
    metadata, environment, folder = json.loads(text_of(cells[2]))
    assert metadata == {"cellId": "id-1", "tags": ["mine"], "evercell": {"cell_index": 2}}
    assert environment == [str(path), '{"n": 5}', None, str(tmp_path / ".evercell")]
    assert folder == str(tmp_path)


def test_outputs_are_in_the_file_while_the_cell_runs(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    path = write_notebook(
        tmp_path / "nb.ipynb",
        f"""
        import pathlib, time
        print("half-way", flush=True)
        while not pathlib.Path({str(gate)!r}).exists():
            time.sleep(0.01)
        print("done")
        """,
    )
    output = tmp_path / "out.ipynb"
    outcomes = []
    thread = threading.Thread(
        target=lambda: outcomes.append(run_notebook(path, output=output, kernel_name=PLAIN)),
        daemon=True,
    )
    thread.start()
    wait_until(lambda: output.exists() and text_of(cells_of(output)[0]) == "half-way\n")
    gate.touch()
    thread.join(timeout=30)
    assert outcomes[0].status == "completed"
    assert text_of(cells_of(output)[0]) == "half-way\ndone\n"


# -- the ways a run ends ------------------------------------------------------------------------


def test_a_failing_cell_ends_the_run_with_its_error_in_the_output(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "nb.ipynb", "print('fine')", "print('so far')\nraise KeyError('x')", "print(3)"
    )
    outcome = run_notebook(path, kernel_name=PLAIN)
    assert (outcome.status, outcome.exit_code) == ("failed", 1)
    failure = outcome.failure
    assert failure is not None
    assert (failure.index, failure.number, failure.name) == (1, 2, "KeyError")
    assert "KeyError" in failure.traceback
    fine, failed, pending = cells_of(path)
    assert text_of(fine) == "fine\n"
    assert [output["output_type"] for output in failed["outputs"]] == ["stream", "error"]
    assert (pending["outputs"], pending["execution_count"]) == ([], None)


def test_a_kernel_that_is_killed_leaves_what_it_printed(tmp_path: Path) -> None:
    path = write_notebook(
        tmp_path / "nb.ipynb",
        """
        import os, signal, time
        print("last words", flush=True); time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGKILL)
        """,
        "print('never')",
    )
    outcome = run_notebook(path, kernel_name=PLAIN)
    assert (outcome.status, outcome.exit_code) == ("kernel died", 1)
    assert outcome.failure is not None
    assert "was killed by SIGKILL" in outcome.failure.message
    killed, never = cells_of(path)
    assert text_of(killed) == "last words\n"
    assert never["outputs"] == []


@pytest.fixture
def kernelspec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The argv of a kernel named `odd` that the test writes."""
    folder = tmp_path / "jupyter" / "kernels" / "odd"
    folder.mkdir(parents=True)
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    return folder / "kernel.json"


def test_a_kernel_that_cannot_start_says_why(tmp_path: Path, kernelspec: Path) -> None:
    code = "import sys; sys.exit('no such module')"
    spec = {"argv": [sys.executable, "-c", code], "display_name": "Odd", "language": "python"}
    kernelspec.write_text(json.dumps(spec))
    path = write_notebook(tmp_path / "nb.ipynb", "1")
    before = path.read_bytes()
    outcome = run_notebook(path, kernel_name="odd")
    assert (outcome.status, outcome.exit_code) == ("kernel died", 1)
    assert outcome.failure is not None
    assert outcome.failure.message == "exited with code 1"
    assert outcome.failure.traceback == "no such module"
    assert path.read_bytes() == before


def test_a_kernel_whose_python_is_gone_is_not_installed(tmp_path: Path, kernelspec: Path) -> None:
    spec = {"argv": ["/gone/python"], "display_name": "Odd", "language": "python"}
    kernelspec.write_text(json.dumps(spec))
    path = write_notebook(tmp_path / "nb.ipynb", "1")
    with pytest.raises(KernelNotFoundError, match="can't be started"):
        run_notebook(path, kernel_name="odd")


def test_a_kernel_that_is_not_installed(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "nb.ipynb", "1")
    before = path.read_bytes()
    with pytest.raises(KernelNotFoundError, match="evercell install-kernel"):
        run_notebook(path, kernel_name="no-such-kernel")
    assert path.read_bytes() == before


def test_parameters_are_checked_before_a_kernel_starts(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "nb.ipynb", ("n = 3", "parameters"))
    with pytest.raises(UnknownParameterError):
        run_notebook(path, parameters={"m": 4}, kernel_name="no-such-kernel")


REFUSED = """
class RunInUseError(Exception): pass
raise RunInUseError("[EC206] process 7 on here holds this run. Stop it.")
"""


def test_a_kernel_that_is_refused_the_run_ends_it_and_leaves_the_file(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "nb.ipynb", REFUSED)
    before = path.read_bytes()
    with pytest.raises(RunInUseError, match=r"^\[EC206\] process 7 on here"):
        run_notebook(path, kernel_name=PLAIN)
    assert path.read_bytes() == before


def test_the_same_error_of_a_cell_after_others_is_that_cells(tmp_path: Path) -> None:
    path = write_notebook(tmp_path / "nb.ipynb", "1", REFUSED)
    outcome = run_notebook(path, kernel_name=PLAIN)
    assert outcome.status == "failed"


# -- signals ------------------------------------------------------------------------------------

PROGRAM = """
import sys
import evercell.cli.run  # as the command does: it saves an import of a second
from evercell.jupyter.headless import run_notebook
sys.exit(run_notebook(sys.argv[1], kernel_name="python3").exit_code)
"""
LOOP = """
import pathlib, time
marks = pathlib.Path("marks")
while True:
    try:
        marks.open("a").write("began\\n")
        time.sleep(60)
    except KeyboardInterrupt:
        marks.open("a").write("interrupted\\n")
        {then}
"""


@pytest.mark.parametrize(
    ("then", "signals", "code", "lines"),
    [
        ("raise", [signal.SIGINT], 130, ["began", "interrupted"]),
        ("raise", [signal.SIGTERM], 143, ["began", "interrupted"]),
        ("break", [signal.SIGINT], 130, ["began", "interrupted"]),
        ("pass", [signal.SIGINT, signal.SIGINT], 130, ["began", "interrupted", "began"]),
    ],
)
def test_the_first_signal_interrupts_the_cell_once_and_the_second_kills(
    tmp_path: Path, then: str, signals: list[int], code: int, lines: list[str]
) -> None:
    write_notebook(tmp_path / "nb.ipynb", LOOP.format(then=then), "print('never')")
    marks = tmp_path / "marks"
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "nb.ipynb"], cwd=tmp_path, env=dict(os.environ)
    )
    for began, number in enumerate(signals, 1):
        wait_until(lambda: marks.exists() and marks.read_text().count("began") >= began)  # noqa: B023
        process.send_signal(number)
    assert process.wait(timeout=30) == code
    assert marks.read_text().split() == lines
    interrupted, never = cells_of(tmp_path / "nb.ipynb")
    assert never["outputs"] == []
    shown = [output.get("ename") for output in interrupted["outputs"]]
    assert shown == (["KeyboardInterrupt"] if then == "raise" else [])
