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

__all__ = ["replay_command", "replay_exports"]


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
    _conclude(found, as_json=as_json)


def replay_exports(
    exports: list[Path], run: str | None, source: Path | None, *, trust: bool, as_json: bool
) -> None:
    """Replay the runs in files that `evercell history export` wrote. Exit code 1: some don't fit.

    Raises UsageError for a file without a run that could be replayed, so that a check of nothing
    does not pass.
    """
    from evercell.engine.workflow.replaying import Replayer
    from evercell.engine.workflow.sources import definitions_in

    if run is not None or source is None:
        raise UsageError(
            "--export FILE goes with --source NOTEBOOK or MODULE.py, and without RUN: all runs of "
            "its workflows in the file are replayed."
        )
    live, definitions = definitions_in(source)
    replayer = Replayer(*definitions, live=live)
    found = []
    for path in exports:
        replayed = replayer.replay_export(path, trust=trust)
        if not replayed:
            names = ", ".join(sorted(it.name for it in definitions))
            raise UsageError(f"{path} holds no run of {names}, which {source} defines.")
        found += replayed
    _conclude(found, as_json=as_json)


def _conclude(found: list[Replayed], *, as_json: bool) -> None:
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
