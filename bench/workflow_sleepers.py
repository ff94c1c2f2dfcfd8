"""Subject: what workflows cost that only wait."""

from __future__ import annotations

from dataclasses import replace
from statistics import median
from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Worker
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject("workflow_sleepers", "10,000 workflows that sleep, memory", "MB")
COUNT = 10_000
IDLE = 2.0  # seconds that they are watched

LANES = (Lane("Evercell", "workflows", target=Target(200, "value", "MB")),)


def measure(settings: Settings) -> Section:
    """Growth of a fresh process's peak; the note tells the CPU that it takes while they sleep."""
    idle: list[float] = []
    count = 0

    def one(lane: Lane, number: int) -> float:
        nonlocal count
        count += 1
        worker = Worker(lane.contender, settings.folder / str(count))
        try:
            grown = worker.ask("sleepers", count=COUNT)
            idle.append(worker.ask("idle", seconds=IDLE))
            return grown
        finally:
            worker.close()

    section = race(SUBJECT, LANES, settings.choose(quick=1, full=3), one, settings, warm_up=False)
    note = f"{median(idle):.1f} % of a core while they sleep" if idle else ""
    return replace(section, lines=tuple(replace(line, note=note) for line in section.lines))
