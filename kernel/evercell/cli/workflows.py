"""`evercell replay`: does today's code fit recorded runs?"""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evercell.cli.console import open_history, print_json, print_table
from evercell.errors import UsageError

if TYPE_CHECKING:
    from evercell.engine.workflow.replaying import Replayed

__all__ = ["replay_command"]


def replay_command(
    run: str | None, source: Path | None, folder: Path | None, *, as_json: bool
) -> None:
    """Replay one run, or all of the workflows in `source`. Exit code 1: some don't fit."""
    from evercell.engine.workflow.replaying import Replayer
    from evercell.engine.workflow.sources import definitions_in

    history = open_history(folder)
    try:
        chosen = None if run is None else history.run(history.find(run))
    finally:
        history.close()
    if source is None:
        if chosen is None or chosen.notebook is None:
            raise UsageError("say where the workflows are defined: --source NOTEBOOK or MODULE.py")
        source = Path(chosen.notebook)
    live, definitions = definitions_in(source)
    replayer = Replayer(*definitions, live=live)
    found = replayer.replay_folder(history.folder, None if chosen is None else [chosen.run_id])
    _print(found, as_json=as_json)
    if any(replayed.error is not None for replayed in found):
        raise typer.Exit(1)


def _print(found: list[Replayed], *, as_json: bool) -> None:
    rows: list[dict[str, object]] = [
        {
            "run_id": replayed.run_id,
            "workflow": replayed.workflow,
            "workflow_id": replayed.workflow_id,
            "events": replayed.events,
            "fits": replayed.error is None,
            "error": None if replayed.error is None else str(replayed.error),
        }
        for replayed in found
    ]
    if as_json:
        print_json(rows)
        return
    columns = ("run_id", "workflow", "workflow_id", "events", "fits")
    print_table(columns, [[row[name] for name in columns] for row in rows])
    for row in rows:
        if row["error"]:
            typer.echo(f"{row['run_id']}: {row['error']}", err=True)
