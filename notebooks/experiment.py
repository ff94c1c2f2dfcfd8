"""Run the example notebook headless, kill its kernel at a chosen moment, and ask its history.

The demo and the tests drive the notebook through this, from outside: by the command line, by
signals, and by SQL.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Callable

    from endpoint.ledger import Entry
    from endpoint.process import EndpointProcess

__all__ = ["NOTEBOOK", "Experiment", "kernels_of", "prepare_folder"]

NOTEBOOK = Path(__file__).with_name("01_agent_experiment.ipynb")
_KERNEL_MODULE = "evercell.jupyter"


@dataclass(frozen=True, slots=True)
class Experiment:
    """The notebook in a folder of its own, asking `inputs` questions at an endpoint."""

    folder: Path
    inputs: int
    url: str

    @property
    def result(self) -> Path:
        """The notebook with its outputs."""
        return self.folder / "result.ipynb"

    def start(self, *options: str, output: int | None = None) -> subprocess.Popen[str]:
        """`evercell run`, as a person would type it; `output` is what `Popen` takes as stdout."""
        environment = {**os.environ, "OPENAI_BASE_URL": self.url}
        environment.pop("EVERCELL_HOME", None)  # the history belongs beside this notebook
        command = [
            *(sys.executable, "-m", "evercell.cli", "run", str(self.folder / NOTEBOOK.name)),
            *("-o", str(self.result), "-p", f"inputs={self.inputs}", *options),
        ]
        return subprocess.Popen(command, env=environment, stdout=output, text=True)

    def kill_when(
        self,
        runner: subprocess.Popen[str],
        endpoint: EndpointProcess,
        condition: Callable[[list[Entry]], bool],
        *,
        timeout: float = 120.0,
    ) -> bool:
        """Kill the runner's kernel with SIGKILL as soon as the ledger meets `condition`, and wait
        until the runner has ended; False if the run ended before."""
        try:
            if not endpoint.wait_for(
                condition, timeout=timeout, unless=lambda: runner.poll() is not None
            ):
                return False
            kernels = kernels_of(runner.pid)
            for pid in kernels:
                os.kill(pid, signal.SIGKILL)
            runner.wait(timeout=60)
        finally:
            if runner.poll() is None:  # it hangs, or the test is being interrupted
                runner.kill()
                runner.wait()
        return bool(kernels)

    def query(self, sql: str) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
        """Columns and rows that SQL finds in the history."""
        history = History(self.folder / ".evercell")
        try:
            table = history.query(sql)
        finally:
            history.close()
        return table.columns, table.rows

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows that SQL finds in the history."""
        return self.query(sql)[1]

    def outputs(self, tag: str) -> list[dict[str, Any]]:
        """The data of what the cells tagged `tag` show in the result."""
        notebook = json.loads(self.result.read_text(encoding="utf-8"))
        return [
            output["data"]
            for cell in notebook["cells"]
            if tag in cell["metadata"].get("tags", ())
            for output in cell["outputs"]
        ]


def prepare_folder(folder: Path) -> None:
    """Make the folder anew, with a copy of the notebook and no history."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(NOTEBOOK, folder)


def kernels_of(runner: int) -> list[int]:
    """Process ids of the kernels that the process `runner` started; none where it has ended."""
    try:
        children = psutil.Process(runner).children()
        return [child.pid for child in children if _KERNEL_MODULE in child.cmdline()]
    except psutil.NoSuchProcess:
        return []
