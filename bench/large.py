"""Subject: a value of a gigabyte, written durably and read, against copying a file durably."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Workers
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject("large", "Large value, written and read", "s", baseline="copy + sync")

LANES = (
    Lane("copy + sync", "large", {"call": "copy"}, note="a file of the same size"),
    Lane("Evercell, write", "large", {"call": "write"}, target=Target(2, "ratio"), note="noise"),
    Lane("Evercell, read", "large", {"call": "read"}, target=Target(2, "ratio"), note="noise"),
    Lane("write, compressible", "large", {"call": "write", "kind": "compressible"}, note="zstd"),
    Lane("read, compressible", "large", {"call": "read", "kind": "compressible"}, note="zstd"),
    Lane("write, encrypted", "large", {"call": "write", "kind": "encrypted"}, note="AES-GCM"),
    Lane("read, encrypted", "large", {"call": "read", "kind": "encrypted"}, note="AES-GCM"),
)


def measure(settings: Settings) -> Section:
    """Seconds for 1 GB (256 MB when quick)."""
    size = settings.choose(quick=256 << 20, full=1 << 30)
    with Workers(settings.folder) as workers:
        for kind in ("noise", "compressible", "encrypted"):  # so that each can be read first
            workers.ask("large", "write", size=size, number=0, kind=kind)

        def one(lane: Lane, number: int) -> float:
            arguments = {key: text for key, text in lane.arguments.items() if key != "call"}
            return workers.ask(
                lane.contender, lane.arguments["call"], size=size, number=number + 2, **arguments
            )

        return race(SUBJECT, LANES, settings.choose(quick=3, full=7), one, settings)
