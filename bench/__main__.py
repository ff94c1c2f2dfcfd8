"""`python -m bench`: measure, print, write."""

from __future__ import annotations

import json
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bench.lanes import Settings
from bench.processes import ROOT
from bench.results import Machine, Report
from bench.table import show

if TYPE_CHECKING:
    from bench.results import Section

# Each one's share of the time, in seconds of a full run: half an hour on a quiet machine with two
# cores. What is slow to begin with, and makes a subject longer, is measured in fewer rounds.
SUBJECTS = {
    "sequential": 20,
    "concurrent": 80,
    "resume": 400,
    "history": 150,
    "workflow_steps": 40,
    "workflows": 70,
    "workflow_replay": 110,
    "workflow_sleepers": 40,
    "empty_cell": 110,
    "kernel_start": 90,
    "large": 110,
    "large_memory": 60,
    "first_cell": 130,
    "cells": 110,
    "tutorials": 210,
    "widget": 70,
}
_QUICK = 0.25  # of that when quick


def main(
    *,
    quick: Annotated[
        bool, typer.Option(help="Less, and fewer rounds: 8 minutes instead of 30.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(SUBJECTS)}; may be repeated.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Where the figures go, as JSON.")] = (
        ROOT / "artifacts" / "bench.json"
    ),
) -> None:
    """Measure Evercell beside its peers, on the disk that holds OUTPUT."""
    chosen = tuple(only or SUBJECTS)
    if unknown := set(chosen) - set(SUBJECTS):
        raise typer.BadParameter(f"no such subject: {', '.join(sorted(unknown))}")
    output.parent.mkdir(parents=True, exist_ok=True)
    console = Console(width=None if sys.stdout.isatty() else 150)
    machine = Machine()
    sections: list[Section] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=output.parent.resolve()) as folder,
        console.status("") as status,
    ):
        for subject in chosen:
            place = Path(folder) / subject
            place.mkdir()
            seconds = SUBJECTS[subject] * (_QUICK if quick else 1)
            settings = Settings(quick, place, status.update, seconds)
            sections.append(import_module(f"bench.{subject}").measure(settings))
    report = Report("quick" if quick else "full", machine, tuple(sections))
    output.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    show(report, console)
    minutes = sum(section.seconds for section in sections) / 60
    console.print(f"It took {minutes:.1f} minutes.", style="dim")
    console.print(f"Written to {output}.", style="dim")


if __name__ == "__main__":
    typer.run(main)
