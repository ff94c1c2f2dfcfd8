"""Subject: the history alone: fold, query, its size, and others that read while it records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Workers
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject("history", "The history: fold, query, size, readers beside it", "")
RATE = 1_000  # steps a second

LANES = (
    Lane(
        "fold, events/s",
        "history",
        {"call": "fold", "cpu": False},
        target=Target(150_000, "value", "events/s", at_least=True),
    ),
    Lane(
        "fold, events per CPU second",
        "history",
        {"call": "fold", "cpu": True},
        target=Target(150_000, "value", "events/s", at_least=True),
        note="of all threads; what the wall would show on one core",
    ),
    Lane(
        "aggregate over all events, ms",
        "history",
        {"call": "query", "of": "event"},
        target=Target(150, "value", "ms"),
        note="open connection",
    ),
    Lane("aggregate over the view steps, ms", "history", {"call": "query", "of": "steps"}),
    Lane("bytes per event on disk", "history", {"call": "size"}, note="200 bytes of result a step"),
    Lane(
        "database held, % of the time",
        "history",
        {"call": "held", "rate": RATE},
        target=Target(5, "value", "%"),
        note="1,000 steps/s recorded, another process reading",
    ),
    Lane(
        "age of what others read, s",
        "history",
        {"call": "age", "rate": RATE},
        target=Target(2, "value", "s"),
        note="the oldest seen",
    ),
)


def measure(settings: Settings) -> Section:
    """A million events (400,000 when quick). What one run tells of several lanes is done once a
    round."""
    events = settings.choose(quick=400_000, full=1_000_000)
    seconds = settings.choose(quick=5, full=10)
    with Workers(settings.folder) as workers:
        workers.ask("history", "prepare", events=events)
        workers.ask("history", "fold", events=events, cpu=False, number=-1)  # for who only reads

        def one(lane: Lane, number: int) -> float:
            arguments = dict(lane.arguments)
            call = arguments.pop("call")
            if call == "fold":
                arguments |= {"events": events, "number": number}
            elif call == "size":
                arguments["events"] = events
            elif call != "query":
                arguments |= {"seconds": seconds, "number": number}
            return workers.ask(lane.contender, call, **arguments)

        return race(SUBJECT, LANES, settings.choose(quick=3, full=5), one, settings, warm_up=False)
