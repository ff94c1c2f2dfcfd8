"""Subject: many workflows at once, each with a few steps one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Workers
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject("workflows", "Workflows of 10 steps, started at once", "steps/s", baseline="DBOS")
STEPS = 10
RATE = Target(5000, "value", "steps/s", at_least=True)
GRAPH = "langgraph.checkpoint.sqlite"


def _lane(label: str, contender: str, runs: int, **more: object) -> Lane:
    needs = None if contender == "workflows" else str(more["needs"])
    target = RATE if contender == "workflows" else None
    note = f"{runs:,} workflows; {more['note']}"
    return Lane(label, contender, {"runs": runs}, needs=needs, target=target, note=note)


LANES = (
    _lane("Evercell", "workflows", 1000, note="each step durable before it is seen"),
    # Its rate shows with fewer, and a thousand would take minutes.
    _lane("DBOS", "dbos", 20, needs="dbos", note="on its threads, durable"),
    _lane("LangGraph", "langgraph", 100, needs=GRAPH, note="asyncio.gather, written behind"),
    _lane("Temporal, test server", "temporal", 200, needs="temporalio", note="in memory"),
)


def measure(settings: Settings) -> Section:
    """Steps per second, from the first start to the last result."""
    with Workers(settings.folder) as workers:

        def one(lane: Lane, number: int) -> float:
            tag, runs = f"{lane.label} {number}", lane.arguments["runs"]
            seconds = workers.ask(lane.contender, "many", tag=tag, runs=runs, steps=STEPS)
            return float(runs * STEPS / seconds)

        return race(SUBJECT, LANES, settings.choose(quick=3, full=5), one, settings)
