"""Subject: a finished notebook with a gigabyte of state, killed and started again: how long after
Run All its first new cell has run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.kernels import started
from bench.lanes import Lane, Settings, Subject, race
from bench.stats import Target

if TYPE_CHECKING:
    from bench.kernels import Kernel
    from bench.results import Section

SUBJECT = Subject("first_cell", "First new cell after Run All, 40 finished cells", "s")
ARRAYS, CELLS = 8, 40
ALL = ", ".join(f"big{number}" for number in range(ARRAYS))
LANES = (
    Lane("reads none of the state", "evercell", {"cell": "1"}, target=Target(1, "value", "s")),
    Lane("reads an eighth of it", "evercell", {"cell": "float(big0[0])"}),
    Lane("reads all of it", "evercell", {"cell": f"[float(b[0]) for b in ({ALL})]"}),
)


def measure(settings: Settings) -> Section:
    """Seconds, over 1 GB of arrays (256 MB when quick) that the history holds."""
    size = settings.choose(quick=256 << 20, full=1 << 30)
    folder = settings.folder / "finished"
    sources = _sources(size // ARRAYS // 8)
    with started("evercell", folder) as kernel:
        kernel.wait_for_ready()
        _run(kernel, sources)

    def one(lane: Lane, number: int) -> float:
        with started(lane.contender, folder) as kernel:
            kernel.wait_for_ready()
            begun = time.perf_counter()
            _run(kernel, sources)
            # Another cell each time, so that none is restored.
            kernel.execute(f"{lane.arguments['cell']}\n{number}, {lane.label!r}", "new")
            return time.perf_counter() - begun

    return race(SUBJECT, LANES, settings.choose(quick=3, full=7), one, settings)


def _sources(length: int) -> list[str]:
    arrays = [
        f"big{number} = np.random.default_rng({number}).random({length})"
        for number in range(ARRAYS)
    ]
    small = [f"x{number} = {number}\nprint(x{number})" for number in range(CELLS - 1 - ARRAYS)]
    return ["import numpy as np", *arrays, *small]


def _run(kernel: Kernel, sources: list[str]) -> None:
    for index, source in enumerate(sources):
        kernel.execute(source, f"cell-{index}")
