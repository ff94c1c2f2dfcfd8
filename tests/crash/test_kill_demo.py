"""kill -9 of the kernel at random points of the example notebook, with an outside witness.

Each trial's points are drawn from its number: at the n-th line of the endpoint's ledger (a request
came in, or an answer went out) the kernel is killed; in every third trial a second time, while it
resumes.
"""

from __future__ import annotations

import random
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from endpoint.process import EndpointProcess
from experiment import Experiment, prepare_folder
from support import scripted_endpoint, witness

if TYPE_CHECKING:
    from pathlib import Path

TRIALS = 30
INPUTS = 5


class Setting:
    """One endpoint and the results of an undisturbed run, for all trials."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.undisturbed: list[dict[str, Any]] = []
        self.lines = 0  # of the ledger in an undisturbed run

    def endpoint(self, name: str) -> EndpointProcess:
        return EndpointProcess(
            [scripted_endpoint.__file__, "--delay", "0.005"], self.folder / f"{name}.jsonl"
        )

    def experiment(self, name: str, endpoint: EndpointProcess) -> Experiment:
        prepare_folder(self.folder / name)
        return Experiment(self.folder / name, INPUTS, endpoint.url)


@pytest.fixture(scope="module")
def setting(tmp_path_factory: pytest.TempPathFactory) -> Setting:
    setting = Setting(tmp_path_factory.mktemp("kills"))
    with setting.endpoint("undisturbed") as endpoint:
        experiment = setting.experiment("undisturbed", endpoint)
        witness.complete(experiment.start("--json", output=subprocess.PIPE))
        setting.lines = len(endpoint.entries)
    setting.undisturbed = experiment.outputs("results")
    assert setting.undisturbed
    return setting


@pytest.mark.parametrize("trial", range(TRIALS))
def test_kill(setting: Setting, trial: int) -> None:
    rng = random.Random(trial)
    points = [rng.randint(1, setting.lines - 2)]
    if trial % 3 == 0:
        points.append(points[0] + rng.randint(1, setting.lines - points[0]))
    with setting.endpoint(f"trial-{trial}") as endpoint:
        experiment = setting.experiment(f"trial-{trial}", endpoint)
        before = None
        for point in points:
            killed = experiment.kill_when(
                experiment.start("--json", output=subprocess.DEVNULL),
                endpoint,
                lambda entries, point=point: len(entries) >= point,  # type: ignore[misc]
            )
            if not killed:
                break  # the run was quicker than the signal
            earlier, before = before, witness.snapshot(experiment, endpoint)
            assert earlier is None or earlier.steps <= before.steps
        assert before is not None
        if killed:
            witness.complete(experiment.start("--json", output=subprocess.PIPE))
        witness.assert_nothing_lost_or_repeated(experiment, endpoint, before)
    assert experiment.outputs("results") == setting.undisturbed
