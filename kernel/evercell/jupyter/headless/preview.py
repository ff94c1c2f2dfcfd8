"""A dry run: what a headless run would do, from the history; nothing is executed or written."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.engine.preview import preview_cells
from evercell.engine.state import RunState
from evercell.history import History
from evercell.jupyter.headless.document import tags_of
from evercell.jupyter.headless.plan import make_plan
from evercell.jupyter.preview import WrittenCell, plain_transform, to_preview

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from evercell.engine.preview import CellPreview, NotebookCell
    from evercell.jupyter.headless.plan import Plan

__all__ = ["RunPreview", "preview_notebook"]


@dataclass(frozen=True, slots=True)
class RunPreview:
    """What the run would do to its cells, in order."""

    notebook: Path
    run_id: str | None  # that would be resumed; None: another one would begin
    cells: tuple[NotebookCell, ...]
    previews: tuple[CellPreview, ...]


def preview_notebook(
    path: str | os.PathLike[str],
    *,
    parameters: Mapping[str, Any] | Sequence[str] = (),
    fresh: bool = False,
    run: str | None = None,
    history: str | os.PathLike[str] | None = None,
) -> RunPreview:
    """What `run_notebook` with these arguments would do. Raises what it raises before it begins,
    and what reading the history raises."""
    plan = make_plan(
        Path(path),
        output=None,
        parameters=parameters,
        fresh=fresh,
        history=Path(history) if history is not None else None,
        kernel_name="evercell",
        run=run,
    )
    cells = to_preview((_written(plan, index) for index in plan.cells), plain_transform())
    # To open a history makes its folder.
    if "EVERCELL_FRESH" in plan.env or not plan.history.is_dir():
        return RunPreview(plan.path, None, cells, preview_cells(RunState(), cells))
    recorded = History(plan.history)
    try:
        with recorded.reading():
            identity = json.loads(plan.env["EVERCELL_PARAMETERS"])
            run_id = plan.env.get("EVERCELL_RUN")
            if run_id is None:
                known = recorded.current_run(str(plan.path), identity)
                run_id = None if known is None else known.run_id
            if run_id is None:
                return RunPreview(plan.path, None, cells, preview_cells(RunState(), cells))
            previews = preview_cells(
                RunState.fold(recorded.cell_events(run_id)),
                cells,
                costs=recorded.cell_costs(run_id),
                project=plan.path.parent,
            )
            return RunPreview(plan.path, run_id, cells, previews)
    finally:
        recorded.close()


def _written(plan: Plan, index: int) -> WrittenCell:
    cell = plan.notebook["cells"][index]
    return WrittenCell(cell["source"], index, cell.get("id"), tags_of(cell))
