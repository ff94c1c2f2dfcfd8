"""`python -m bench`: measure, print, write."""

from __future__ import annotations

import json
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

SUBJECTS = (
    "sequential",
    "concurrent",
    "resume",
    "history",
    "workflow_steps",
    "workflows",
    "workflow_replay",
    "workflow_sleepers",
    "empty_cell",
    "kernel_start",
    "large",
    "large_memory",
    "first_cell",
    "cells",
    "tutorials",
    "widget",
)


def main(
    *,
    quick: Annotated[bool, typer.Option(help="Fewer rounds: below two minutes.")] = False,
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
    console = Console()
    machine = Machine()
    sections: list[Section] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-", dir=output.parent.resolve()) as folder,
        console.status("") as status,
    ):
        for subject in chosen:
            place = Path(folder) / subject
            place.mkdir()
            settings = Settings(quick, place, status.update)
            sections.append(import_module(f"bench.{subject}").measure(settings))
    report = Report("quick" if quick else "full", machine, tuple(sections))
    output.write_text(json.dumps(report.as_json(), indent=2) + "\n", encoding="utf-8")
    show(report, console)
    console.print(f"Written to {output}.", style="dim")


if __name__ == "__main__":
    typer.run(main)
