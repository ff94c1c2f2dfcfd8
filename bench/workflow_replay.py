"""Subject: how quickly a workflow's code goes over its recorded steps again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.lanes import Lane, Settings, Subject, race
from bench.processes import Workers
from bench.stats import Target

if TYPE_CHECKING:
    from bench.results import Section

SUBJECT = Subject("workflow_replay", "Replay of a workflow's steps", "steps/s")
RATE = Target(100_000, "value", "steps/s", at_least=True)


def _ours(steps: int, *, reading: bool, note: str) -> Lane:
    how = "read and replay" if reading else "replay"
    return Lane(
        f"Evercell, {how}, {steps:,}",
        "workflows",
        {"steps": steps, "reading": reading},
        target=None if reading else RATE,
        note=f"{2 * steps:,} events{note}",
    )


def _lanes(settings: Settings) -> tuple[Lane, ...]:
    theirs = settings.choose(quick=500, full=2000)
    return (
        _ours(10_000, reading=False, note=""),
        _ours(30_000, reading=False, note="; Temporal ends a run at 51,200"),
        _ours(100_000, reading=False, note=""),
        _ours(100_000, reading=True, note=", from DuckDB, each row's tag checked"),
        Lane(
            f"Temporal, Replayer, {theirs:,}",
            "temporal",
            {"steps": theirs, "reading": False},
            needs="temporalio",
            note="history in memory; a hard limit of 51,200 events",
        ),
    )


def measure(settings: Settings) -> Section:
    """Steps per second; the runs are recorded in the warm-up."""
    with Workers(settings.folder) as workers:

        def one(lane: Lane, number: int) -> float:
            return float(
                lane.arguments["steps"] / workers.ask(lane.contender, "replay", **lane.arguments)
            )

        rounds = settings.choose(quick=3, full=5)
        return race(SUBJECT, _lanes(settings), rounds, one, settings)
