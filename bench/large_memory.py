"""Subject: the peak memory of a process that writes or reads a gigabyte."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Worker
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject("large_memory", "Large value, peak memory of the process", "x its size")
_LIMIT = Target(1.3, "value", "x its size")

LANES = (
    *(
        Lane(f"{call}, {kind}", "large", {"which": call, "kind": kind}, target=_LIMIT)
        for kind in ("noise", "compressible", "encrypted")
        for call in ("write", "read")
    ),
    Lane("result of a step", "large", {"which": "step", "kind": "noise"}, target=_LIMIT),
    Lane("the same, replayed", "large", {"which": "replay", "kind": "noise"}, target=_LIMIT),
)


def measure(settings: Settings) -> Section:
    """A fresh process for each figure: in the order of the lanes, what one wrote the next reads."""
    size = settings.choose(quick=512 << 20, full=1 << 30)
    count = 0

    def one(lane: Lane, number: int) -> float:
        nonlocal count
        count += 1
        place = settings.folder / str(lane.arguments["kind"])
        place.mkdir(exist_ok=True)
        worker = Worker(lane.contender, settings.folder / str(count))
        try:
            return worker.ask("peak", size=size, place=str(place), **lane.arguments)
        finally:
            worker.close()

    return race(SUBJECT, LANES, 1, one, settings, warm_up=False)
