"""Subject: what Evercell adds to the run time of real notebooks.

Public tutorials (tests/tutorials), each from its first cell to its last in a fresh kernel with a
fresh history. Starting a kernel is a subject of its own; opening the history, with the first cell,
counts here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.tutorials.catalogue import TUTORIALS, fetched

from bench.kernels import started
from bench.lanes import Lane, LaneError, Settings, Subject, race
from bench.stats import Target

if TYPE_CHECKING:
    from tests.tutorials.catalogue import Tutorial

    from bench.results import Section

SUBJECT = Subject("tutorials", "Real notebooks, all cells", "s", baseline="ipykernel", least=2)
QUICK = ("networkx: plot_subgraphs", "xarray: groupby")
# Those in which no cell fails, for a failed cell ends a measurement.
FULL = (
    "lmfit: example_Model_interface",
    "seaborn: aesthetics",
    "sympy: calculus",
    "xarray: quick-overview",
    "xarray: pandas",
    "xarray: time-series",
    *QUICK,
)


def _lanes(names: tuple[str, ...]) -> tuple[Lane, ...]:
    each = [
        Lane(f"{label}, {name}", kernel, {"names": (name,)}, baseline=f"ipykernel, {name}")
        for name in names
        for label, kernel in (("ipykernel", "ipykernel"), ("Evercell", "evercell"))
    ]
    target = Target(1.025, "ratio")
    together = {"names": names}
    return (
        Lane("ipykernel", "ipykernel", together),
        Lane("Evercell", "evercell", together, target=target, note=f"{len(names)} notebooks"),
        *each,
    )


def measure(settings: Settings) -> Section:
    """Seconds in cells. A round runs each notebook once in each kernel."""
    names = QUICK if settings.quick else FULL
    seconds: dict[tuple[int, str, str], float] = {}

    def run(tutorial: Tutorial, contender: str, number: int) -> float:
        place = f"{contender}-{number}-{tutorial.name}".replace(" ", "-").replace(":", "")
        with started(contender, settings.folder / place) as kernel:
            kernel.wait_for_ready()
            sources = enumerate(tutorial.cells())
            return sum(kernel.execute(source, f"cell-{n}") for n, source in sources)

    def one(lane: Lane, number: int) -> float:
        if not fetched():
            raise LaneError("the tutorials are not fetched: make tutorials")
        for tutorial in TUTORIALS:
            key = (number, lane.contender, tutorial.name)
            if tutorial.name in lane.arguments["names"] and key not in seconds:
                seconds[key] = run(tutorial, lane.contender, number)
        names = lane.arguments["names"]
        return sum(seconds[number, lane.contender, name] for name in names)

    return race(SUBJECT, _lanes(names), settings.choose(quick=3, full=7), one, settings)
