"""Workflows while their history can't be written, in a real process: who waits is told, nothing is
lost or done twice, and all goes on once there is room."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

WORKER = Path(__file__).parent / "outage_worker.py"

RESULTS = {
    "signals": (["ADD 1", "ADD 2", "ADD 3"], ["add 1", "add 2", "add 3"]),
    "a step ends": ([4, "AFTER"], ["held", "after"]),
    "a step with a large result ends": ([800_000, "AFTER"], ["held", "after"]),
    "an attempt fails": (["done", "AFTER"], ["try", "try", "after"]),
    "a timer is due": (["AFTER"], ["after"]),
    "a run gives much": ([200_000, 200_000], ["x"]),
    "two steps end": (["FIRST", "SECOND"], ["first", "first", "second"]),
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("outage")
    log = folder / "log"  # as in `evercell run ... 2> log`: there is no room for it, either
    with log.open("w") as stderr:
        done = subprocess.run(
            [sys.executable, str(WORKER), str(folder / "history")],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            timeout=600,
            env={**os.environ, "EVERCELL_KEY_FILE": str(folder / "key")},
            check=False,
        )
    assert done.returncode == 0, log.read_text()
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("scenario", RESULTS)
def test_who_waits_is_told_and_the_run_goes_on_once_there_is_room(
    told: dict[str, Any], scenario: str
) -> None:
    result, calls = RESULTS[scenario]
    assert (told[scenario]["result"], told[scenario]["calls"]) == (result, calls)
    assert told[scenario]["refused"]
    for message in told[scenario]["refused"]:
        assert "could not be written" in message
        assert "Raise the file size limit" in message


def test_what_was_recorded_replays(told: dict[str, Any]) -> None:
    runs, wrong = told["replays"]
    assert runs >= len(RESULTS)
    assert wrong == []
