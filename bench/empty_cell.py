"""Subject 4: what an empty and a small cell cost on top of plain ipykernel."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median
from typing import TYPE_CHECKING

from bench.kernels import Kernel, started
from bench.lanes import Lane, Settings, Subject, race
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject(
    "empty_cell",
    "Empty and small cell, from the request to reply and idle",
    "ms",
    baseline="ipykernel",
    compare="difference",
)

# A namespace as it grows in an afternoon; an empty cell must not pay for it.
FILL = """
import json, math, pathlib
from dataclasses import dataclass
numbers = [float(n) for n in range(100_000)]
records = [{"id": n, "text": "word " * 20, "tags": ["a", "b"]} for n in range(5_000)]
for _n in range(200):
    globals()[f"name_{_n}"] = [_n, {"n": _n}]
def helper(x): return math.sqrt(x)
@dataclass
class Row:
    n: int
"""
SMALL = "import json\ndef f(x): return x + 1\nxs = [1, 2, 3]"

LANES = (
    Lane("ipykernel", "ipykernel", {"first": "pass", "cell": "pass"}),
    Lane(
        "Evercell",
        "evercell",
        {"first": "pass", "cell": "pass"},
        target=Target(3, "difference", "ms"),
    ),
    Lane("ipykernel, small cell", "ipykernel", {"first": SMALL, "cell": "y = f(xs[0])"}),
    Lane(
        "Evercell, small cell",
        "evercell",
        {"first": SMALL, "cell": "y = f(xs[0])"},
        target=Target(3, "difference", "ms"),
        note="a function of the notebook, a variable read, a variable made",
        baseline="ipykernel, small cell",
    ),
    Lane("ipykernel, full namespace", "ipykernel", {"first": FILL, "cell": "pass"}),
    Lane(
        "Evercell, full namespace",
        "evercell",
        {"first": FILL, "cell": "pass"},
        target=Target(3, "difference", "ms"),
        note="200 names, 105,000 objects; against ipykernel with the same",
        baseline="ipykernel, full namespace",
    ),
)


def measure(settings: Settings) -> Section:
    """Milliseconds: the median of a round's cells."""
    cells = settings.choose(quick=10, full=20)
    kernels: dict[str, Kernel] = {}
    with ExitStack() as stack:

        def one(lane: Lane, number: int) -> float:
            if lane.label not in kernels:
                folder = settings.folder / "cells" / lane.label.replace(" ", "-")
                kernel = stack.enter_context(started(lane.contender, folder))
                kernel.wait_for_ready()
                kernel.execute(lane.arguments["first"], "first")
                kernels[lane.label] = kernel
            kernel = kernels[lane.label]
            return 1000 * median(
                kernel.execute(lane.arguments["cell"], f"cell-{number}-{each}")
                for each in range(cells)
            )

        return race(SUBJECT, LANES, settings.choose(quick=5, full=12), one, settings)
