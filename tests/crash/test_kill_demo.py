"""kill -9 of the kernel at random points of the example notebook, with an outside witness.

Each run is killed again and again, at points drawn from its number: when so many different calls
have come in at the endpoint, or were answered, the next kernel dies. Each kernel resumes what the
earlier ones left, until the last one completes the run.
"""

from __future__ import annotations

import random
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from endpoint.process import EndpointProcess
from experiment import Experiment, prepare_folder
from support import scripted_endpoint, witness

if TYPE_CHECKING:
    from pathlib import Path

    from endpoint.ledger import Entry

RUNS = [0, 1, *(pytest.param(number, marks=pytest.mark.soak) for number in range(2, 10))]
KILLS = 10  # in each run
INPUTS = 8


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What every run must come to."""

    outputs: list[dict[str, Any]]
    calls: int  # of the model


def start_endpoint(folder: Path) -> EndpointProcess:
    return EndpointProcess(
        [scripted_endpoint.__file__, "--delay", "0.005"], folder / "ledger.jsonl"
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare_folder(folder / "run")
    with start_endpoint(folder) as endpoint:
        experiment = Experiment(folder / "run", INPUTS, endpoint.url)
        witness.complete(experiment.start("--json", output=subprocess.PIPE))
        calls = len({entry.body for entry in endpoint.entries})
    return Undisturbed(experiment.outputs("results"), calls)


@dataclass(frozen=True, slots=True)
class KillPoint:
    """Kill when `calls` different calls have come to `event`, and something has happened since the
    ledger had `seen` entries."""

    event: str
    calls: int
    seen: int

    def __call__(self, entries: list[Entry]) -> bool:
        reached = {entry.body for entry in entries if entry.event == self.event}
        return len(entries) > self.seen and len(reached) >= self.calls


@pytest.mark.timeout(600)  # eleven kernels; a minute alone, five where others have the cores
@pytest.mark.parametrize("number", RUNS)
def test_run_survives_kills(tmp_path: Path, undisturbed: Undisturbed, number: int) -> None:
    rng = random.Random(number)
    # At most two calls are under way at a kill: with three left, the next kernel has work to do.
    points = sorted(rng.sample(range(1, undisturbed.calls - 2), KILLS))
    prepare_folder(tmp_path / "run")
    kills: list[witness.Snapshot] = []
    with start_endpoint(tmp_path) as endpoint:
        experiment = Experiment(tmp_path / "run", INPUTS, endpoint.url)
        for calls in points:
            runner = experiment.start("--json", output=subprocess.DEVNULL)
            point = KillPoint(rng.choice(["received", "answered"]), calls, len(endpoint.entries))
            assert experiment.kill_when(runner, endpoint, point)
            kills.append(witness.snapshot(experiment, endpoint))
        witness.complete(experiment.start("--json", output=subprocess.PIPE))
        witness.assert_nothing_lost_or_repeated(experiment, endpoint, kills)
    assert experiment.outputs("results") == undisturbed.outputs
    [(generations,)] = experiment.rows("SELECT generation FROM runs")
    assert generations == KILLS + 1
