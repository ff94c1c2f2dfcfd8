"""Subject 1: one durable step after another, against the least that durability costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Workers
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject("sequential", "Sequential step, 200-byte result", "ms", baseline="append + sync")

LANES = (
    Lane("append + sync", "floor", {"growing": True}, note="300 bytes, one growing file"),
    Lane(
        "overwrite + sync", "floor", {"growing": False}, note="the same, its blocks written before"
    ),
    Lane("Evercell", "evercell", target=Target(1.5, "ratio"), note="durable before it returns"),
    Lane(
        "Evercell, async",
        "evercell",
        {"asynchronous": True},
        target=Target(1.5, "ratio"),
        note="durable before it returns",
    ),
    Lane("DBOS", "dbos", needs="dbos", note="durable before it returns"),
    Lane("LangGraph", "langgraph", needs="langgraph.checkpoint.sqlite", note="written behind"),
    Lane("joblib.Memory", "joblib", needs="joblib", note="never synced"),
    Lane("diskcache", "diskcache", needs="diskcache", note="never synced"),
)


def measure(settings: Settings) -> Section:
    """Milliseconds for a step: the mean over a round, for periodic costs belong to it.

    The rounds are short and many: a disk that others use slows down for a second at a time, and
    the floor and its contenders have to meet the same weather.
    """
    steps = 20
    with Workers(settings.folder) as workers:

        def one(lane: Lane, number: int) -> float:
            tag = f"{lane.label} {number}"
            seconds = workers.ask(
                lane.contender, "sequential", tag=tag, steps=steps, **lane.arguments
            )
            return seconds / steps * 1000

        return race(SUBJECT, LANES, settings.choose(quick=25, full=75), one, settings)
