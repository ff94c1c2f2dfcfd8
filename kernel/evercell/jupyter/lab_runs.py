"""What the history holds, as JupyterLab's extension shows it: the run to resume, and all runs."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from evercell.events import RunAttached
from evercell_widgets.view import RunView, apply, apply_all

from .paths import run_parameters
from .session import reading

if TYPE_CHECKING:
    from evercell.clock import Clock
    from evercell.history import History

    from .paths import Place

__all__ = ["list_runs", "recorded_run"]

LISTED = 1000
"""As many runs as the panel lists, the newest; a folder with more is for `evercell ls`."""

_SPENT = """
SELECT run_id, sum(input_tokens + output_tokens)::BIGINT, coalesce(sum(cost), 0.0)
FROM usage GROUP BY run_id
"""


def recorded_run(place: Place, clock: Clock) -> RunView | None:
    """The run that a kernel at `place` would resume, as it would find it: what finished is
    recorded, what was cut off is in doubt. None where there is none.

    Raises UsageError and what reading a history raises.
    """
    if not place.history.is_dir():
        return None
    with reading(None, place) as history, history.reading():
        parameters = run_parameters(os.environ)
        known = history.current_run(place.notebook, parameters, kernel_id=place.kernel_id)
        if known is None:
            return None
        record = history.run(known.run_id)
        view = RunView()
        apply_all(view, history.events(record.run_id))
    if record.status != "running":
        generation, notebook = record.generation + 1, record.notebook
        apply(
            view,
            RunAttached(record.run_id, clock.now(), generation, os.getpid(), "", None, notebook),
        )
    return view


def list_runs(history: History) -> list[dict[str, Any]]:
    """The newest runs, the newest first, each with what it spent.

    Raises what reading the history raises.
    """
    with history.reading():
        runs = history.runs()[-LISTED:]
        spent = {row[0]: row[1:] for row in history.query(_SPENT).rows}
    listed = []
    for run in reversed(runs):
        tokens, cost = spent.get(run.run_id, (0, 0.0))
        notebook = run.notebook or ""
        listed.append(
            {
                "run_id": run.run_id,
                "notebook": notebook,
                "name": PurePath(notebook).name or run.workflow,
                "parameters": run.parameters,
                "status": run.status,
                "started_at": run.started_at,
                "last_activity": run.last_activity,
                "cells": run.cells,
                "steps": run.steps,
                "tokens": tokens,
                "cost": cost,
            }
        )
    return listed
