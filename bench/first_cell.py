"""Subject: a finished notebook with a gigabyte of state, killed and started again: how long after
Run All its first new cell has run."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.contenders import kishu
from bench.kernels import started
from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Workers
from bench.stats import Target

if TYPE_CHECKING:
    from pathlib import Path

    from bench.kernels import Kernel
    from bench.results import Section

SUBJECT = Subject("first_cell", "First new cell after Run All, 40 finished cells", "s")
ARRAYS, CELLS = 8, 40
ALL = ", ".join(f"big{number}" for number in range(ARRAYS))
READS_ALL = f"[float(b[0]) for b in ({ALL})]"
MEMORY = """
import joblib
@joblib.Memory({folder!r}, verbose=0).cache
def make(seed, length):
    return np.random.default_rng(seed).random(length)
"""
LANES = (
    Lane("reads none of the state", "evercell", {"cell": "1"}, target=Target(1, "value", "s")),
    Lane("reads an eighth of it", "evercell", {"cell": "float(big0[0])"}),
    Lane("reads all of it", "evercell", {"cell": READS_ALL}),
    Lane(
        "joblib.Memory, reads all of it",
        "joblib",
        {"cell": READS_ALL},
        needs="joblib",
        note="its cells are calls of a cached function, in plain ipykernel",
    ),
    Lane(
        "marimo's persistent cache, reads all of it",
        "marimo",
        needs="marimo",
        note="the same as a script, after its imports",
    ),
    Lane(
        "Kishu's checkout, reads all of it",
        "kishu",
        {"cell": READS_ALL},
        note="the variables of the last commit; no cell is run, no output shown",
    ),
)


def measure(settings: Settings) -> Section:
    """Seconds, over 1 GB of arrays (256 MB when quick) that the history or a cache holds."""
    length = settings.choose(quick=256 << 20, full=1 << 30) // ARRAYS // 8
    notebooks = {
        "evercell": _sources(length),
        "joblib": _sources(length, MEMORY.format(folder=str(settings.folder / "memory"))),
    }
    kernels = {"evercell": "evercell", "joblib": "ipykernel"}
    with started("evercell", settings.folder / "evercell") as kernel:
        kernel.wait_for_ready()
        _run(kernel, notebooks["evercell"])

    def one(lane: Lane, number: int) -> float:
        if lane.contender == "marimo":
            return _run_marimo(settings.folder, length, number)
        if lane.contender == "kishu":
            return _check_out(settings.folder / "kishu", notebooks["evercell"], lane)
        sources = notebooks[lane.contender]
        with started(kernels[lane.contender], settings.folder / lane.contender) as kernel:
            kernel.wait_for_ready()
            begun = time.perf_counter()
            _run(kernel, sources)
            # Another cell each time, so that none is restored.
            kernel.execute(f"{lane.arguments['cell']}\n{number}, {lane.label!r}", "new")
            return time.perf_counter() - begun

    return race(SUBJECT, LANES, settings.choose(quick=3, full=7), one, settings)


def _run_marimo(folder: Path, length: int, number: int) -> float:
    with Workers(folder / f"marimo-{number}") as workers:
        return workers.ask(
            "marimo",
            "run_all",
            cache=str(folder / "marimo-cache"),
            arrays=ARRAYS,
            cells=CELLS,
            length=length,
        )


def _check_out(folder: Path, sources: list[str], lane: Lane) -> float:
    """Its cells are run, and committed, in the first round."""
    kishu.check_installed()
    if not (folder / "commit").exists():
        with started("kishu", folder) as kernel:
            kernel.wait_for_ready()
            kishu.attach(kernel, folder)
            _run(kernel, sources)
            kishu.keep_commit(kernel, folder)
    with started("kishu", folder) as kernel:
        kernel.wait_for_ready()
        begun = time.perf_counter()
        kishu.attach(kernel, folder)
        kishu.check_out(kernel, folder)
        kernel.execute(lane.arguments["cell"], "new")
        return time.perf_counter() - begun


def _sources(length: int, cached: str | None = None) -> list[str]:
    """The cells; with the definition of a cached `make`, the arrays come from it."""
    make = (
        "np.random.default_rng({n}).random({length})" if cached is None else "make({n}, {length})"
    )
    arrays = [f"big{n} = {make.format(n=n, length=length)}" for n in range(ARRAYS)]
    small = [f"x{number} = {number}\nprint(x{number})" for number in range(CELLS - 1 - ARRAYS)]
    return [f"import numpy as np\n{cached or ''}", *arrays, *small]


def _run(kernel: Kernel, sources: list[str]) -> None:
    for index, source in enumerate(sources):
        kernel.execute(source, f"cell-{index}")
