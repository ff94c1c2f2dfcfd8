"""Subject: a workflow's steps, one after another, against the least that durability costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Workers
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject(
    "workflow_steps",
    "Workflow's step, 200-byte result, one after another",
    "ms",
    baseline="append + sync",
)
GRAPH = "langgraph.checkpoint.sqlite"

LANES = (
    Lane("append + sync", "floor", {"growing": True}, note="300 bytes, one growing file"),
    Lane("Evercell", "workflows", target=Target(1.5, "ratio"), note="durable before it is seen"),
    Lane("DBOS", "dbos", needs="dbos", note="durable before it returns"),
    Lane("LangGraph", "langgraph", needs=GRAPH, note="written behind"),
    Lane("Temporal, test server", "temporal", needs="temporalio", note="in memory, never synced"),
)


def measure(settings: Settings) -> Section:
    """Milliseconds for a step. The rounds are short and many, as those of `sequential` are."""
    steps = 20
    with Workers(settings.folder) as workers:

        def one(lane: Lane, number: int) -> float:
            tag = f"{lane.label} {number}"
            seconds = workers.ask(
                lane.contender, "sequential", tag=tag, steps=steps, **lane.arguments
            )
            return seconds / steps * 1000

        return race(SUBJECT, LANES, settings.choose(quick=25, full=75), one, settings)
