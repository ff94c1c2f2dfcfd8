"""Subject 5: how long a kernel takes to start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.kernels import started
from bench.lanes import Lane, Settings, Subject, race
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

READY = Subject("kernel_start", "Kernel start, to its first answer", "s", baseline="ipykernel")
LANES = (
    Lane("ipykernel", "ipykernel", {"cell": False}),
    Lane("Evercell", "evercell", {"cell": False}, target=Target(1.2, "ratio")),
    Lane("ipykernel, first cell done", "ipykernel", {"cell": True}),
    Lane("Evercell, first cell done", "evercell", {"cell": True}, note="opens the history, too"),
)


def measure(settings: Settings) -> Section:
    """Seconds."""

    def one(lane: Lane, number: int) -> float:
        folder = settings.folder / "start" / f"{lane.label}-{number}".replace(" ", "-")
        with started(lane.contender, folder) as kernel:
            seconds = kernel.wait_for_ready()
            if lane.arguments["cell"]:
                import time

                kernel.execute("pass", "first")
                seconds = time.perf_counter() - kernel.begun
        return seconds

    return race(READY, LANES, settings.choose(quick=4, full=9), one, settings)
