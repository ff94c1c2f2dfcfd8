"""`evercell ls` and `evercell show`."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evercell.cli.console import (
    as_duration,
    as_size,
    as_text,
    open_history,
    print_json,
    print_table,
)
from evercell.cli.view import first_line
from evercell.engine.fate import refusal_of
from evercell.errors import RunNotFoundError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.history import History

__all__ = ["list_runs", "show_run"]

Row = dict[str, Any]

_RUNS = """
SELECT run_id, status, notebook, parameters, started_at, last_activity,
    generation AS attaches, cells, steps
FROM runs ORDER BY last_activity DESC
"""
_RUN = """
SELECT run_id, status, workflow, notebook, parameters, started_at, last_activity,
    generation AS attaches, pid, host, python, evercell
FROM runs WHERE run_id = $run
"""
_CELLS = """
SELECT cell_index, slot, source, status, decision, reason, started_at, duration, saved, error,
    generation AS attach
FROM cells WHERE run_id = $run
"""
_STEPS = """
SELECT slot, name, ordinal, status, attempts, restored, arguments, result, started_at, duration,
    error, reason
FROM steps WHERE run_id = $run
"""
_USAGE = """
SELECT model, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
    sum(cost) AS cost
FROM usage WHERE run_id = $run GROUP BY model ORDER BY model
"""


def list_runs(folder: Path | None, *, as_json: bool) -> None:
    """Print the runs, the one with the latest event first."""
    history = open_history(folder)
    try:
        runs = _rows(history, _RUNS)
        size = history.upkeep.size
    finally:
        history.close()
    for run in runs:
        run["parameters"] = _decoded(run["parameters"])
    if as_json:
        print_json(runs)
        return
    if not runs:
        typer.echo("No runs yet. Run a notebook: evercell run NOTEBOOK")
        return
    columns = ("run", "status", "notebook", "parameters", "started", "attaches", "cells", "steps")
    shown = [
        (
            run["run_id"],
            run["status"],
            _near(run["notebook"]),
            _assignments(run["parameters"]),
            run["started_at"],
            run["attaches"],
            run["cells"],
            run["steps"],
        )
        for run in runs
    ]
    print_table(columns, shown, right=frozenset({"attaches", "cells", "steps"}))
    typer.echo(f"{as_size(size)} in {_near(str(history.folder))}", err=True)


def show_run(prefix: str, folder: Path | None, *, as_json: bool) -> None:
    """Print a run: for each of its cells the latest execution, and the steps made there.

    `prefix`: of its id, or a workflow id. Raises RunNotFoundError for none or several; for a fork
    that was refused when its run's process came to it, why.
    """
    history = open_history(folder)
    try:
        of_run = {"run": _find(history, prefix)}
        run = _rows(history, _RUN, of_run)[0]
        cells = _latest(_rows(history, _CELLS, of_run))
        steps = _rows(history, _STEPS, of_run)
        usage = _rows(history, _USAGE, of_run)
    finally:
        history.close()
    run["parameters"] = _decoded(run["parameters"])
    for cell in cells:
        cell["steps"] = [step for step in steps if step["slot"] == cell["slot"]]
    if as_json:
        for step in steps:
            step["arguments"], step["result"] = map(_decoded, (step["arguments"], step["result"]))
        print_json({**run, "usage": usage, "cells": cells})
        return
    _print_run(run, usage)
    _print_cells(cells)
    _print_steps(cells)


def _find(history: History, prefix: str) -> str:
    try:
        return history.find(prefix)
    except RunNotFoundError:
        if prefix.isalnum() and (refusal := history.inbox.refusal(prefix)) is not None:
            raise refusal_of(refusal) from None
        raise


def _print_run(run: Row, usage: list[Row]) -> None:
    typer.echo(f"run {run['run_id']}: {run['status']}")
    attaches = f"{run['attaches']} kernel process{'' if run['attaches'] == 1 else 'es'}"
    facts = {
        "notebook": run["notebook"],
        "parameters": _assignments(run["parameters"]),
        "started": f"{as_text(run['started_at'])}, {attaches} so far",
    }
    for row in usage:
        cost = f", cost {row['cost']:.6g}" if row["cost"] is not None else ""
        facts[f"usage of {row['model'] or 'an unnamed model'}"] = (
            f"{row['input_tokens']} tokens in, {row['output_tokens']} out{cost}"
        )
    for name, value in facts.items():
        if value:
            typer.echo(f"  {name}: {value}")


def _print_cells(cells: list[Row]) -> None:
    columns = ("cell", "status", "how", "took", "saved", "steps", "source", "error")
    shown = [
        (
            _number(cell),
            cell["status"],
            cell["decision"],
            cell["duration"],
            cell["saved"],
            len(cell["steps"]) or None,
            first_line(cell["source"]),
            _short(cell["error"]),
        )
        for cell in cells
    ]
    print_table(columns, shown, right=frozenset({"cell", "took", "saved", "steps"}))


def _print_steps(cells: list[Row]) -> None:
    """One line for the steps of one name and status in a cell: there may be thousands."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for cell in cells:
        for step in cell["steps"]:
            key = (_number(cell), step["name"], step["status"])
            groups.setdefault(key, []).append(step)
    if not groups:
        return
    columns = ("cell", "step", "status", "calls", "attempts", "restored", "took", "error")
    shown = [
        (
            *key,
            len(steps),
            sum(step["attempts"] for step in steps),
            sum(step["restored"] for step in steps),
            as_duration(_seconds(step["duration"] for step in steps)),
            _short(next((step["error"] for step in steps if step["error"]), None)),
        )
        for key, steps in groups.items()
    ]
    print_table(columns, shown, right=frozenset({"cell", "calls", "attempts", "restored", "took"}))


def _rows(history: History, sql: str, parameters: Row | None = None) -> list[Row]:
    table = history.query(sql, parameters)
    return [dict(zip(table.columns, row, strict=True)) for row in table.rows]


def _latest(cells: list[Row]) -> list[Row]:
    """The latest execution in each slot, in the notebook's order where it is known."""
    by_slot: dict[str, Row] = {}
    for cell in cells:
        by_slot.pop(cell["slot"], None)
        by_slot[cell["slot"]] = cell
    last = len(cells)
    return sorted(
        by_slot.values(),
        key=lambda cell: last if cell["cell_index"] is None else cell["cell_index"],
    )


def _number(cell: Row) -> str:
    return cell["slot"] if cell["cell_index"] is None else str(cell["cell_index"] + 1)


def _decoded(text: object) -> object:
    """A JSON column's value; DuckDB gives it as text."""
    return json.loads(text) if isinstance(text, str) else text


def _assignments(parameters: Any) -> str:
    return " ".join(f"{name}={json.dumps(value)}" for name, value in (parameters or {}).items())


def _near(notebook: str | None) -> str:
    """The path as a person here would name it."""
    if notebook is None:
        return ""
    path = Path(notebook)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else notebook


def _short(error: str | None) -> str | None:
    return error and first_line(error, 80)


def _seconds(durations: Iterable[timedelta | None]) -> float:
    return sum((each for each in durations if each), start=timedelta()).total_seconds()
