"""What the history holds, as JupyterLab's extension shows it: the run to resume, and all runs."""

from __future__ import annotations

import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from evercell.engine.preview import preview_cells
from evercell.engine.state import RunState
from evercell.events import RunAttached
from evercell_widgets.view import RunView, apply, apply_all

from .paths import run_parameters
from .session import reading

if TYPE_CHECKING:
    from evercell.clock import Clock
    from evercell.engine.preview import CellPreview, NotebookCell
    from evercell.history import History, KnownRun

    from .paths import Place

__all__ = ["foretell", "list_runs", "recorded_run"]

LISTED = 1000
"""As many runs as the panel lists, the newest; a folder with more is for `evercell ls`."""

_SUMS = """
SELECT
    r.run_id,
    coalesce(c.cells, 0) AS cells,
    coalesce(u.tokens, 0) AS tokens,
    coalesce(u.cost, 0.0) AS cost,
    r.forked_from
FROM (SELECT DISTINCT run_id, forked_from FROM runs) r
LEFT JOIN (SELECT run_id, count(DISTINCT slot) AS cells FROM cells GROUP BY run_id) c
    USING (run_id)
LEFT JOIN (
    SELECT run_id, sum(input_tokens + output_tokens)::BIGINT AS tokens, sum(cost) AS cost
    FROM usage GROUP BY run_id
) u USING (run_id)
"""


def recorded_run(place: Place, clock: Clock) -> RunView | None:
    """The run that a kernel at `place` would resume, as it would find it: what finished is
    recorded, what was cut off is in doubt. None where there is none.

    Raises UsageError and what reading a history raises.
    """
    if not place.history.is_dir():
        return None
    with reading(None, place) as history, history.reading():
        known = _run_to_resume(place, history)
        if known is None:
            return None
        record = history.run(known.run_id)
        view = RunView()
        apply_all(view, history.forks.shared_events(record.run_id))
        apply_all(view, history.events(record.run_id))
    if record.status != "running":
        generation, notebook = record.generation + 1, record.notebook
        apply(
            view,
            RunAttached(record.run_id, clock.now(), generation, os.getpid(), "", None, notebook),
        )
    return view


def foretell(place: Place, cells: tuple[NotebookCell, ...]) -> tuple[CellPreview, ...]:
    """What a kernel at `place` that runs all `cells` would do to them.

    Raises UsageError and what reading a history raises.
    """
    if not place.history.is_dir():
        return preview_cells(RunState(), cells)
    with reading(None, place) as history, history.reading():
        known = _run_to_resume(place, history)
        if known is None:
            return preview_cells(RunState(), cells)
        return preview_cells(
            RunState.fold(history.cell_events(known.run_id)),
            cells,
            costs=history.cell_costs(known.run_id),
            project=place.file.parent if place.file is not None else None,
        )


def _run_to_resume(place: Place, history: History) -> KnownRun | None:
    parameters = run_parameters(os.environ)
    return history.current_run(place.notebook, parameters, kernel_id=place.kernel_id)


def list_runs(history: History) -> list[dict[str, Any]]:
    """The newest runs, the newest first, each with what it spent.

    Raises what reading the history raises.
    """
    with history.reading():
        runs = history.runs()[-LISTED:]
        sums = {row[0]: row[1:] for row in history.query(_SUMS).rows}
    listed = []
    for run in reversed(runs):
        cells, tokens, cost, forked_from = sums.get(run.run_id, (0, 0, 0.0, None))
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
                "cells": cells,
                "steps": run.steps,
                "tokens": tokens,
                "cost": cost,
                "forked_from": forked_from,
            }
        )
    return listed
