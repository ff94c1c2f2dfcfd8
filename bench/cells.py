"""Subject: watching cells, against pickling what they make, and against the cell alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Workers
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject("cells", "Cells: capture of small objects, a large table read", "s")
KINDS = ("instances", "slots", "dicts", "lists")
READ = "n = float(table['a'].mean())"
LANES = (
    *(Lane(f"pickle, {kind}", "cells", {"call": "pickle", "kind": kind}) for kind in KINDS),
    *(
        Lane(
            f"capture, {kind}",
            "cells",
            {"call": "capture", "kind": kind},
            target=Target(2, "ratio"),
            baseline=f"pickle, {kind}",
        )
        for kind in KINDS
    ),
    Lane("table, cell alone", "cells", {"call": "plain", "cell": READ}),
    Lane(
        "table, watched",
        "cells",
        {"call": "watched", "cell": READ},
        target=Target(0.05, "difference", "s"),
        baseline="table, cell alone",
    ),
)


def measure(settings: Settings) -> Section:
    """Seconds for a million objects (100,000 when quick), and for 1 GB (256 MB when quick)."""
    count = settings.choose(quick=100_000, full=1_000_000)
    size = settings.choose(quick=256 << 20, full=1 << 30)
    with Workers(settings.folder) as workers:

        def one(lane: Lane, _number: int) -> float:
            arguments = {key: text for key, text in lane.arguments.items() if key != "call"}
            amount = {"count": count} if "kind" in arguments else {"size": size}
            return workers.ask(lane.contender, lane.arguments["call"], **amount, **arguments)

        return race(SUBJECT, LANES, settings.choose(quick=3, full=7), one, settings)
