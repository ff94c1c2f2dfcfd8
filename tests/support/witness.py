"""What the history and the endpoint's ledger must say together about a run that was killed.

Two witnesses: the kernel's history, and the ledger of another process. A call is known to both by
its prompt, which is the end of the conversation that the endpoint was asked to continue.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from endpoint.ledger import requests

if TYPE_CHECKING:
    import subprocess

    from endpoint.process import EndpointProcess
    from experiment import Experiment

CONCURRENCY = 2  # calls under way at once, as the notebook has it

_CALLS = """
SELECT activity_id, name, arguments, attempts, result
FROM steps
WHERE status = 'completed' AND name IN ('guess', 'decide')
"""
_STEPS = "SELECT activity_id, name, attempts, result FROM steps WHERE status = 'completed'"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What was finished when a kernel was gone, and how many requests had come in by then."""

    steps: frozenset[tuple[Any, ...]]  # (activity_id, name, attempts, result)
    prompts: Counter[str]  # of finished model calls
    requests: int
    cells: frozenset[str]  # ids of finished cells


def snapshot(experiment: Experiment, endpoint: EndpointProcess) -> Snapshot:
    """Take down how things stand; nothing may be running."""
    return Snapshot(
        frozenset(experiment.rows(_STEPS)),
        finished_prompts(experiment),
        len(requests(endpoint.entries)),
        frozenset(
            cell_id
            for (cell_id,) in experiment.rows(
                "SELECT DISTINCT cell_id FROM cells WHERE status = 'completed'"
            )
        ),
    )


def finished_prompts(experiment: Experiment) -> Counter[str]:
    """How many finished model calls of the history ended with which prompt."""
    return Counter(
        _prompt(name, json.loads(arguments)) for _, name, arguments, _, _ in experiment.rows(_CALLS)
    )


def _prompt(name: str, arguments: dict[str, Any]) -> str:
    prompt = arguments["question"] if name == "guess" else arguments["conversation"][-1]
    assert isinstance(prompt, str)
    return prompt


def complete(runner: subprocess.Popen[str]) -> dict[str, Any]:
    """The document that `evercell run --json` prints; the run must have completed."""
    text, _ = runner.communicate(timeout=120)
    assert runner.returncode == 0, text
    document = json.loads(text)
    assert isinstance(document, dict)
    return document


def assert_nothing_lost_or_repeated(
    experiment: Experiment, endpoint: EndpointProcess, kills: list[Snapshot]
) -> None:
    """The claims, after the run was resumed and completed; `kills` are taken after each kill.

    No requests may have been made to fail on purpose.
    """
    calls = finished_prompts(experiment)
    prompts = [entry.prompt for entry in requests(endpoint.entries)]
    steps = frozenset(experiment.rows(_STEPS))
    nothing = Snapshot(frozenset(), Counter(), 0, frozenset())
    everything = Snapshot(steps, calls, len(prompts), frozenset())
    for before, after in pairwise([nothing, *kills, everything]):
        assert before.steps <= after.steps, "a finished step was lost, ran again, or changed"
        asked = Counter(prompts[before.requests : after.requests])
        assert not asked - (calls - before.prompts), "a finished call was asked again"
        lost = asked.total() - (after.prompts - before.prompts).total()
        assert 0 <= lost <= (0 if after is everything else CONCURRENCY), "more than was under way"
    again = experiment.rows(
        "SELECT cell_id, decision, reason FROM cells "
        "WHERE generation = (SELECT max(generation) FROM cells) AND decision = 'executed'"
    )
    assert not kills[-1].cells & {cell_id for cell_id, _, _ in again}, again
    assert not experiment.rows("SELECT name, status FROM steps WHERE status <> 'completed'")
