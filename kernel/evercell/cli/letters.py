"""How a command of the command line reaches its run, and what its user is told.

command ─ letter (durable) ─┬─ a process has the run ─ it took the letter ─> recorded | refused, why
                            └─ none has ─> kept for the next one
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from evercell.cli.console import open_history, print_json
from evercell.clock import SystemClock
from evercell.engine import commands, telling
from evercell.engine.fate import fate_of
from evercell.engine.forks import record_fork
from evercell.errors import ForkEditedError, UsageError
from evercell.history.locks import is_held

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evercell.engine.fate import Fate
    from evercell.history import History

__all__ = ["fork_run", "tell_run"]

_PATIENCE = 30.0  # seconds; a kernel looks five times a second
_SILENCE = 2.0


def tell_run(
    run: str,
    folder: Path | None,
    make: Callable[[History, str], commands.Command],
    *,
    as_json: bool,
) -> None:
    """Give the run the command that `make` makes, and say what came of it.

    Raises UsageError for what does not fit the run, and what reading and writing the history raise.
    """
    history = open_history(folder)
    try:
        command = make(history, history.find(run))
        host = telling.carried(history, command.run_id).host
        if isinstance(command, commands.CancelRun) and host == command.run_id:
            _require_process(history, host)
        _say(command, _give(history, command, host), as_json=as_json)
    finally:
        history.close()


def fork_run(
    run: str,
    folder: Path | None,
    at: str | None,
    overrides: dict[str, Any],
    workflow_id: str | None,
    *,
    accept_edits: bool,
    as_json: bool,
) -> None:
    """Have a run forked; what changed since is shared on the user's word only."""
    history = open_history(folder)
    try:
        run_id, new_run = history.find(run), SystemClock().new_id()
        if telling.carried(history, run_id).workflow == "notebook":
            if at is not None or workflow_id is not None or accept_edits:
                raise UsageError(
                    f"Run {run_id} is a notebook's, whose fork knows all that it has finished: "
                    "--at, --id and --accept-edits are for a workflow's."
                )
            _fork_notebook(history, run_id, overrides, as_json=as_json)
            return
        while True:
            command = telling.fork_of(
                history, run_id, new_run, at, overrides, accept_edits, workflow_id
            )
            try:
                fate = _give(history, command, command.run_id, letter_id=new_run)
            except ForkEditedError as error:
                if accept_edits or as_json or not _agrees(error):
                    raise
                accept_edits = True
                continue
            _say(command, fate, as_json=as_json)
            return
    finally:
        history.close()


def _fork_notebook(
    history: History, origin: str, overrides: dict[str, Any], *, as_json: bool
) -> None:
    """Begin the fork here: no kernel is needed for it, and none is disturbed."""
    run_id = record_fork(history, SystemClock(), origin, overrides)
    if as_json:
        print_json({"run_id": run_id, "activity_id": None, "status": "recorded"})
        return
    typer.echo(f"Forked: run {run_id}")
    typer.echo(
        "It is the notebook's current run: restart its kernel and run all, or `evercell run`."
    )


def _agrees(error: ForkEditedError) -> bool:
    if not sys.stdin.isatty():
        return False
    typer.echo(f"evercell: {error}", err=True)
    return typer.confirm("Share the old results?", err=True)


def _require_process(history: History, host: str) -> None:
    if not is_held(_lock(history, host)):
        raise UsageError(f"No process has run {host} now, so no cell of it runs.")


def _give(
    history: History, command: commands.Command, host: str, letter_id: str | None = None
) -> Fate:
    """Leave the command, and see whether it is taken. Raises what the run refuses it with."""
    letter = commands.send(history, command, letter_id)
    said = False

    def waiting(waited: float) -> None:
        nonlocal said
        if waited > _SILENCE and not said:
            said = True
            typer.echo("evercell: sent, and waiting for the run's process to take it", err=True)

    return fate_of(
        history.inbox,
        letter,
        patience=_PATIENCE,
        lives=lambda: is_held(_lock(history, host)),
        waiting=waiting,
    )


def _lock(history: History, host: str) -> Path:
    return history.folder / "runs" / f"{host}.lock"


def _say(command: commands.Command, fate: Fate, *, as_json: bool) -> None:
    forked = command.new_run if isinstance(command, commands.Fork) else None
    run_id = forked or command.run_id
    activity_id = getattr(command, "activity_id", None)
    if as_json:
        print_json({"run_id": run_id, "activity_id": activity_id, "status": fate})
        return
    what = f"run {run_id}" + (f", {activity_id}" if activity_id else "")
    if fate == "recorded":
        typer.echo(f"Forked: {what}" if forked else f"Recorded: {what}")
    else:
        typer.echo(
            f"Kept for {what}: no process took it yet, and the next one that can carry it out does."
        )
        if forked:
            typer.echo(f"What came of it: evercell show {forked}")
