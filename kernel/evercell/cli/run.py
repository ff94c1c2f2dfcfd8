"""`evercell run`: the headless runner with a display, a summary and an exit code."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.cli.console import make_console, print_json
from evercell.cli.display import make_display
from evercell.cli.view import Line, resume_command, summary
from evercell.jupyter.headless import RunOutcome, run_notebook

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["as_document", "run_command"]

_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")

# The notebook schema's checker imports a grammar for international links where JupyterLab is
# installed, and compiles it: a second, twice the rest of the start. Nothing here checks links.
sys.modules.setdefault("rfc3987_syntax", None)  # type: ignore[arg-type]


def run_command(
    notebook: Path,
    *,
    output: Path | None,
    parameters: list[str],
    fresh: bool,
    run: str | None,
    as_json: bool,
    history: Path | None,
) -> int:
    """Run, and return the exit code. Raises EvercellError when the run can't begin."""
    console = make_console(stderr=as_json)
    resume = resume_command(notebook, output, parameters, history)
    if as_json and not console.is_terminal:
        outcome = run_notebook(
            notebook, output=output, parameters=parameters, fresh=fresh, run=run, history=history
        )
    else:
        with make_display(console, _where(notebook, history)) as display:
            outcome = run_notebook(
                notebook,
                output=output,
                parameters=parameters,
                fresh=fresh,
                run=run,
                history=history,
                progress=display,
            )
    if as_json:
        print_json(as_document(outcome, resume))
    else:
        _say(console, outcome, resume)
    return outcome.exit_code


def _where(notebook: Path, history: Path | None) -> str:
    """The option with which other commands, given here, find the history."""
    folder = history or notebook.parent / ".evercell"
    if folder.absolute() == Path.cwd() / ".evercell":
        return ""
    return shlex.join(["--history", str(folder)])


def _say(console: Console, outcome: RunOutcome, resume: str) -> None:
    from rich.text import Text

    failure = outcome.failure
    if failure is not None and failure.traceback:
        errors = make_console(stderr=True)
        errors.print(Text.from_ansi(failure.traceback))
    lines = summary(outcome, resume)
    if not outcome.output_written:
        lines.append(Line(f"The outputs are not in {outcome.output}; see the note.", "bold red"))
    for line in lines:
        console.print(Text(line.text, style=line.style), soft_wrap=True)


def as_document(outcome: RunOutcome, resume: str) -> dict[str, Any]:
    """The outcome as `--json` prints it."""
    tally, failure = outcome.tally, outcome.failure
    document: dict[str, Any] = {
        "run_id": outcome.run_id,
        "status": outcome.status,
        "exit_code": outcome.exit_code,
        "notebook": str(outcome.notebook),
        "output": str(outcome.output),
        "output_written": outcome.output_written,
        "seconds": round(outcome.seconds, 3),
        "attach": tally.generation,
        "cells": {"total": outcome.cells, **tally.cells},
        "steps": {
            "executed": tally.executed,
            "restored": tally.restored,
            "failed": tally.failed,
            "retried": tally.retried,
            "unfinished": tally.running,
        },
        "notes": list(outcome.notes),
    }
    if failure is not None:
        document["failure"] = {
            "cell": failure.index,
            "source": failure.source,
            "name": failure.name,
            "message": failure.message,
            "traceback": _ANSI.sub("", failure.traceback),
        }
    if outcome.status != "completed":
        document["resume"] = resume
    return document
