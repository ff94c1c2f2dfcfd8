"""Subject 2: a thousand steps at once, and 64 at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Workers
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject("concurrent", "1,000 steps, many at a time", "steps/s", baseline="DBOS, 64")
STEPS = 1000
RATE = Target(10_000, "value", "steps/s", at_least=True)
GRAPH = "langgraph.checkpoint.sqlite"


def _lane(label: str, contender: str, limit: int, **options: object) -> Lane:
    how = {"how": options["how"]} if "how" in options else {}
    target = RATE if contender == "evercell" and options["how"] != "map" else None
    return Lane(
        f"{label}, {limit:,}",
        contender,
        {"limit": limit, **how},
        needs=str(options["needs"]) if "needs" in options else None,
        target=target,
        note=str(options["note"]),
    )


LANES = (
    _lane("Evercell gather", "evercell", 1000, how="gather", note="asyncio.gather"),
    _lane("Evercell map", "evercell", 64, how="map_async", note="step.map, async"),
    _lane("Evercell map on threads", "evercell", 64, how="map", note="step.map, sync"),
    _lane("DBOS", "dbos", 64, needs="dbos", note="asyncio.gather and a semaphore"),
    _lane("DBOS", "dbos", 1000, needs="dbos", note="asyncio.gather"),
    _lane("LangGraph", "langgraph", 64, needs=GRAPH, note="asyncio.gather, max_concurrency"),
    _lane("LangGraph", "langgraph", 1000, needs=GRAPH, note="asyncio.gather"),
    _lane("joblib.Memory", "joblib", 64, needs="joblib", note="threads, never synced"),
    _lane("diskcache", "diskcache", 64, needs="diskcache", note="threads, never synced"),
)


def measure(settings: Settings) -> Section:
    """Steps per second."""
    with Workers(settings.folder) as workers:

        def one(lane: Lane, number: int) -> float:
            # DBOS needs many seconds for a thousand; its rate shows with fewer.
            steps = STEPS // settings.choose(quick=5, full=2) if lane.contender == "dbos" else STEPS
            tag = f"{lane.label} {number}"
            seconds = workers.ask(
                lane.contender, "concurrent", tag=tag, steps=steps, **lane.arguments
            )
            return steps / seconds

        return race(SUBJECT, LANES, settings.choose(quick=3, full=5), one, settings)
