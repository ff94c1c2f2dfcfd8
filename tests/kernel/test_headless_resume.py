"""`evercell run` on the Evercell kernel: killed, interrupted, refused, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from evercell.history import History
from evercell.jupyter import kernelspec

PACKAGES = [Path(__file__).parents[2] / name for name in ("kernel", "widgets")]
CELLS = [
    ("n = 3", "parameters"),
    (
        """
import pathlib, time
from evercell import step

@step
def ask(number):
    with pathlib.Path("ledger").open("a") as ledger:
        ledger.write(f"{number}\\n")
    return number * 2
""",
        None,
    ),
    (
        """
answers = []
for number in range(14):
    answers.append(ask(number))
    if number == 8 and pathlib.Path("armed").exists():
        pathlib.Path("armed").unlink()
        HOW
sum(answers)
""",
        None,
    ),
    ("print(n, answers)", None),
]
KILL = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
WAIT = "pathlib.Path('waiting').touch(); time.sleep(60)"


@pytest.fixture(scope="session")
def jupyter_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where Jupyter finds the kernel of this source tree."""
    prefix = tmp_path_factory.mktemp("prefix")
    kernelspec.install(prefix=str(prefix))
    return prefix / "share" / "jupyter"


class Lab:
    """A folder with a notebook, and the command line run in it."""

    def __init__(self, folder: Path, jupyter_path: Path) -> None:
        self.folder = folder
        self.env = {
            **{
                k: v
                for k, v in os.environ.items()
                if k not in {"EVERCELL_HOME", "JPY_SESSION_NAME"}
            },
            "JUPYTER_PATH": str(jupyter_path),
            "PYTHONPATH": os.pathsep.join(map(str, PACKAGES)),
            "EVERCELL_KEY_FILE": str(folder / "key"),
            "IPYTHONDIR": str(folder / "ipython"),
        }
        self.env.pop("PYTEST_CURRENT_TEST", None)

    def write(self, how: str = "pass") -> None:
        cells = [
            {
                "cell_type": "code",
                "id": f"id-{index}",
                "metadata": {"tags": [tag] if tag else []},
                "source": source.strip().replace("HOW", how),
                "outputs": [],
                "execution_count": None,
            }
            for index, (source, tag) in enumerate(CELLS)
        ]
        document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
        (self.folder / "exp.ipynb").write_text(json.dumps(document))

    def begin(self, *words: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "evercell", *words],
            cwd=self.folder,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def run(self, *words: str, code: int = 0) -> Any:
        """The JSON that `evercell run exp.ipynb ... --json` prints."""
        process = self.begin("run", "exp.ipynb", *words, "--json")
        out, err = process.communicate(timeout=120)
        assert process.returncode == code, out + err
        return json.loads(out)

    def ledger(self) -> list[int]:
        return [int(line) for line in (self.folder / "ledger").read_text().split()]

    def outputs(self, name: str = "exp.ipynb") -> list[Any]:
        cells = json.loads((self.folder / name).read_text())["cells"]
        return [cell["outputs"] for cell in cells]


@pytest.fixture
def lab(tmp_path: Path, jupyter_path: Path) -> Lab:
    return Lab(tmp_path, jupyter_path)


def test_a_killed_kernel_is_gone_on_with_and_nothing_is_called_twice(lab: Lab) -> None:
    lab.write(KILL)
    (lab.folder / "armed").touch()
    died = lab.run(code=1)
    assert (died["status"], died["failure"]["cell"]) == ("kernel died", 2)
    assert "SIGKILL" in died["failure"]["message"]
    assert died["resume"] == "evercell run exp.ipynb"
    assert died["steps"]["executed"] == 9

    resumed = lab.run()
    assert (resumed["status"], resumed["run_id"]) == ("completed", died["run_id"])
    assert resumed["attach"] == 2
    assert resumed["cells"] == {"total": 4, "restored": 2, "executed": 2}
    steps = resumed["steps"]
    assert (steps["executed"], steps["restored"], steps["unfinished"]) == (5, 9, 0)
    assert resumed["notes"] == []
    assert lab.ledger() == list(range(14))
    printed = lab.outputs()
    assert printed[3][0]["text"] == [f"3 {[2 * number for number in range(14)]}\n"]

    again = lab.run()
    assert again["cells"] == {"total": 4, "restored": 4}
    assert lab.ledger() == list(range(14))
    assert lab.outputs() == printed

    shown = lab.begin("show", died["run_id"][:6], "--json").communicate(timeout=60)[0]
    run = json.loads(shown)
    assert run["status"] == "completed"
    assert [cell["decision"] for cell in run["cells"]] == ["restored"] * 4
    assert len(run["cells"][2]["steps"]) == 14


def test_ctrl_c_ends_the_run_in_good_order_and_it_can_be_resumed(lab: Lab) -> None:
    lab.write(WAIT)
    (lab.folder / "armed").touch()
    process = lab.begin("run", "exp.ipynb")
    deadline = time.monotonic() + 60
    while not (lab.folder / "waiting").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    lines = out.splitlines()
    assert lines[-1] == "Go on with: evercell run exp.ipynb"
    assert "interrupted after" in lines[-4]
    assert "KeyboardInterrupt" in err

    resumed = lab.run()
    assert resumed["steps"]["restored"] == 9
    assert lab.ledger() == list(range(14))


def test_parameters_and_fresh_begin_runs_of_their_own(lab: Lab) -> None:
    lab.write()
    first = lab.run("-p", "n=4")
    assert first["output"].endswith("exp.out.ipynb")
    assert lab.outputs("exp.out.ipynb")[4][0]["text"][0].startswith("4 ")
    other = lab.run("-p", "n=5", "-o", "five.ipynb")
    fresh = lab.run("-p", "n=4", "--fresh")
    assert len({first["run_id"], other["run_id"], fresh["run_id"]}) == 3
    assert fresh["cells"]["executed"] == 5
    assert lab.outputs("five.ipynb")[4][0]["text"][0].startswith("5 ")
    # The first one goes on, and is the current one from then on.
    known = lab.run("-p", "n=4", "--run", first["run_id"][:6])
    assert (known["run_id"], known["cells"]["restored"]) == (first["run_id"], 5)
    assert lab.run("-p", "n=4", "--plan")["run_id"] == first["run_id"]
    refused = lab.run("-p", "n=5", "--run", first["run_id"], code=2)
    assert "with the parameters {'n': 4}" in refused["error"]["message"]


def test_a_run_that_another_kernel_holds_is_refused(lab: Lab) -> None:
    lab.write()
    run_id = lab.run()["run_id"]
    before = (lab.folder / "exp.ipynb").read_bytes()
    history = History(lab.folder / ".evercell")
    lock = history.attach(run_id)
    try:
        refused = lab.run(code=1)
    finally:
        lock.release()
        history.close()
    assert refused["error"]["code"] == "EC206"
    assert str(os.getpid()) in refused["error"]["message"]
    assert (lab.folder / "exp.ipynb").read_bytes() == before


def test_a_history_that_cannot_be_written_is_refused(lab: Lab) -> None:
    lab.write()
    before = (lab.folder / "exp.ipynb").read_bytes()
    (lab.folder / "file").touch()
    refused = lab.run("--history", "file/history", code=1)
    assert refused["error"]["code"] == "EC201"
    assert (lab.folder / "exp.ipynb").read_bytes() == before


def test_a_history_of_a_newer_release_is_refused(lab: Lab) -> None:
    lab.write()
    History(lab.folder / ".evercell").close()
    marker = lab.folder / ".evercell" / "history.json"
    newer = {**json.loads(marker.read_text()), "schema": 99, "evercell": "9.9"}
    marker.write_text(json.dumps(newer))
    refused = lab.run(code=1)
    assert refused["error"]["code"] == "EC202"


def test_a_kernel_that_is_not_installed_is_usage(lab: Lab) -> None:
    lab.write()
    lab.env |= {"JUPYTER_PATH": "/nowhere", "JUPYTER_DATA_DIR": "/nowhere"}
    code = (
        "import sys; sys.argv[0] = 'evercell'; sys.prefix = '/nowhere'\n"
        "import jupyter_client.kernelspec as spec\n"
        "spec.KernelSpecManager.ensure_native_kernel = False\n"
        "from evercell.cli import main; main()"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "run", "exp.ipynb", "--json"],
        cwd=lab.folder,
        env=lab.env,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    if result.returncode != 2:
        pytest.skip("the kernel is installed where every Jupyter of this machine looks")
    assert json.loads(result.stdout)["error"]["code"] == "EC103"
