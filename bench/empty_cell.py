"""Subject 4: what an empty cell costs on top of plain ipykernel."""

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
    "Empty cell, from the request to reply and idle",
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

LANES = (
    Lane("ipykernel", "ipykernel", {"filled": False}),
    Lane("Evercell", "evercell", {"filled": False}, target=Target(3, "difference", "ms")),
    Lane("ipykernel, full namespace", "ipykernel", {"filled": True}),
    Lane(
        "Evercell, full namespace",
        "evercell",
        {"filled": True},
        target=Target(3, "difference", "ms"),
        note="200 names, 105,000 objects; against ipykernel with the same",
        baseline="ipykernel, full namespace",
    ),
)


def measure(settings: Settings) -> Section:
    """Milliseconds: the median of a round's cells."""
    cells = settings.choose(quick=15, full=30)
    kernels: dict[str, Kernel] = {}
    with ExitStack() as stack:

        def one(lane: Lane, number: int) -> float:
            if lane.label not in kernels:
                folder = settings.folder / "cells" / lane.label.replace(" ", "-")
                kernel = stack.enter_context(started(lane.contender, folder))
                kernel.wait_for_ready()
                kernel.execute(FILL if lane.arguments["filled"] else "pass", "first")
                kernels[lane.label] = kernel
            kernel = kernels[lane.label]
            return 1000 * median(
                kernel.execute("pass", f"cell-{number}-{each}") for each in range(cells)
            )

        return race(SUBJECT, LANES, settings.choose(quick=5, full=12), one, settings)
