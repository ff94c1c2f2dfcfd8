"""`evercell run --plan`: what a run would do, cell by cell, without running anything."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.cli.console import print_json, print_table

if TYPE_CHECKING:
    from pathlib import Path

    from evercell.engine.preview import CellPreview
    from evercell.jupyter.headless.preview import RunPreview

__all__ = ["plan_command"]

_VERBS = {"restore": "restore", "recompute": "recompute", "execute": "run", "depends": "depends"}
_COLUMNS = ("cell", "plan", "first line", "why", "recorded cost")


def plan_command(
    notebook: Path,
    *,
    parameters: list[str],
    fresh: bool,
    run: str | None,
    as_json: bool,
    history: Path | None,
) -> int:
    """Print the plan; the exit code. Raises EvercellError when the run could not begin."""
    from evercell.jupyter.headless.preview import preview_notebook
    from evercell.jupyter.outlook import cost_text, first_line, total_text

    plan = preview_notebook(notebook, parameters=parameters, fresh=fresh, run=run, history=history)
    if as_json:
        print_json(_as_document(plan))
        return 0
    rows = [
        (
            each.index + 1,
            _VERBS[each.action] + (", stale" if each.stale else ""),
            first_line(cell.source),
            each.reason,
            cost_text(each.cost).removeprefix("at most ") if each.cost.seconds else "",
        )
        for cell, each in zip(plan.cells, plan.previews, strict=True)
    ]
    print_table(_COLUMNS, rows, right=frozenset({"cell"}))
    which = f"run {plan.run_id} goes on" if plan.run_id else "another run begins"
    print(f"{which}: {total_text(plan.previews)}. Nothing was run.")  # noqa: T201
    return 0


def _as_document(plan: RunPreview) -> dict[str, Any]:
    return {
        "notebook": str(plan.notebook),
        "run_id": plan.run_id,
        "cells": [
            _cell(each) | {"source": cell.source}
            for cell, each in zip(plan.cells, plan.previews, strict=True)
        ],
    }


def _cell(preview: CellPreview) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(preview)
