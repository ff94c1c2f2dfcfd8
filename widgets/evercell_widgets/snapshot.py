"""What a table or a terminal prints of a view: bounded data, however long the run is."""

from __future__ import annotations

from itertools import islice
from pathlib import PurePath
from typing import TYPE_CHECKING, TypedDict

from evercell_widgets.counts import Counts, counted, counts_of, remaining
from evercell_widgets.rows import run_counts, step_status, workflow_row
from evercell_widgets.texts import call_text

if TYPE_CHECKING:
    from evercell_widgets.state import Execution, RunView, StepView, WorkflowGroup

__all__ = ["CellData", "GroupData", "Header", "Snapshot", "StepData", "header_of", "snapshot"]

_LATEST = 200  # runs of a workflow among which those worth a line are looked for


class Header(TypedDict):
    """The run as a whole. Times are nanoseconds; `*_at` and `now` since the epoch."""

    run_id: str
    name: str  # the notebook's, or of the workflow that this is about
    notebook: str | None
    state: str
    generation: int
    now: int
    began_at: int  # since the kernel attached; 0 before the first cell
    last_at: int  # when a cell last ended
    busy: int  # time spent in finished cells since the kernel attached
    running_since: int | None
    eta: int | None  # until the planned steps of the running cells will have ended
    steps: Counts
    cells: int
    cells_restored: int
    runs: Counts  # of workflows
    waiting: int  # pending timers, signals and approvals
    approvals: int  # of those, the ones for a person
    input_tokens: int
    output_tokens: int
    cost: float
    saved: int
    saved_tokens: int
    saved_cost: float


class StepData(TypedDict):
    """One step worth a line."""

    id: str
    name: str
    ordinal: int
    status: str
    attempts: int
    restored: int
    started_at: int
    duration: int
    retry_at: int | None
    error: str | None
    arguments: str


class GroupData(TypedDict):
    """All calls of one step function in a cell."""

    name: str
    counts: Counts


class CellData(TypedDict):
    """One cell of the run."""

    activity_id: str
    slot: str
    index: int | None
    position: int
    execution_count: int
    preview: str
    status: str
    decision: str
    reason: str
    started_at: int
    duration: int
    saved: int
    tokens: int
    error: str | None
    steps: Counts
    groups: list[GroupData]
    shown: list[StepData]


class RunData(TypedDict):
    """One run of a workflow worth a line."""

    run_id: str
    workflow_id: str
    status: str  # "waiting" where it does nothing else
    waits: list[str]  # for what: "timer", "approval: prompt"
    due: int | None
    started_at: int
    duration: int
    error: str | None


class WorkflowData(TypedDict):
    """All runs of one workflow function."""

    name: str
    counts: Counts
    steps: Counts
    shown: list[RunData]


class Snapshot(TypedDict):
    """A picture of the run at `revision`."""

    revision: int
    header: Header
    cells: list[CellData]
    workflows: list[WorkflowData]
    approvals: list[str]  # what people are asked, the first of them


def snapshot(view: RunView, *, now: int, limit: int = 12) -> Snapshot:
    """The whole picture, with at most `limit` steps per cell. `now`: wall clock in ns."""
    return {
        "revision": view.revision,
        "header": header_of(view, now),
        "cells": [_cell(row, limit) for row in sorted(view.rows.values(), key=_place)],
        "workflows": [_workflow(group, limit) for group in view.groups.values()],
        "approvals": [wait.name for wait in islice(view.approvals.values(), limit)],
    }


def _place(row: Execution) -> tuple[int, int]:
    """Cells stand in the notebook's order where it is known, else in the order they ran."""
    return (row.position if row.index is None else row.index, row.position)


def header_of(view: RunView, now: int) -> Header:
    """The run as a whole, at `now`."""
    header = _header_of_notebook(view, now)
    if (run := view.workflows.get(view.subject)) is not None:
        is_open = run.status == "running"
        header["name"], header["state"] = run.workflow or "", run.status
        header["began_at"] = run.started_at
        header["last_at"] = run.started_at + run.duration
        header["busy"] = run.duration
        header["running_since"] = run.started_at if is_open else None
    return header


def _header_of_notebook(view: RunView, now: int) -> Header:
    rows = view.rows.values()
    started = [row.started_at for row in rows if row.status == "running"]
    return {
        "run_id": view.run_id,
        "name": PurePath(view.notebook).name if view.notebook else f"run {view.run_id}",
        "notebook": view.notebook,
        "state": view.state,
        "generation": view.generation,
        "now": now,
        "began_at": view.began_at,
        "last_at": view.last_at,
        "busy": view.busy,
        "running_since": min(started, default=None),
        "eta": remaining(rows, now),
        "steps": counted(
            [
                *((group.counts, group.to_come) for row in rows for group in row.groups.values()),
                *((group.steps, 0) for group in view.groups.values()),
            ]
        ),
        "cells": len(rows),
        "cells_restored": sum(row.status == "restored" for row in rows),
        "runs": _runs(view),
        "waiting": len(view.waits),
        "approvals": len(view.approvals),
        "input_tokens": view.input_tokens,
        "output_tokens": view.output_tokens,
        "cost": view.cost,
        "saved": sum(row.saved for row in rows),
        "saved_tokens": sum(row.saved_tokens for row in rows),
        "saved_cost": sum(row.saved_cost for row in rows),
    }


def _runs(view: RunView) -> Counts:
    total = counts_of(())
    for group in view.groups.values():
        for kind, count in run_counts(group).items():
            total[kind] += count  # type: ignore[literal-required] # a count each
    return total


def _workflow(group: WorkflowGroup, limit: int) -> WorkflowData:
    worth = [run for run in reversed(group.runs[-_LATEST:]) if run.status != "completed"]
    return {
        "name": group.name,
        "counts": run_counts(group),
        "steps": counted([(group.steps, 0)]),
        "shown": [_run(run) for run in sorted(worth[:limit], key=lambda run: run.position)],
    }


def _run(run: Execution) -> RunData:
    row = workflow_row(run, is_open=None, depth=0)
    waits = [wait for wait in run.waits.values() if wait.status == "waiting"]
    return {
        "run_id": run.run_id,
        "workflow_id": run.preview,
        "status": row["status"],
        "waits": [f"{it.kind}: {it.name}" for it in waits[:3]],
        "due": row["retry_at"],
        "started_at": run.started_at,
        "duration": run.duration,
        "error": run.error,
    }


def _cell(row: Execution, limit: int) -> CellData:
    groups = row.groups.values()
    return {
        "activity_id": row.activity_id,
        "slot": row.slot,
        "index": row.index,
        "position": row.position,
        "execution_count": row.execution_count,
        "preview": row.preview,
        "status": row.status,
        "decision": row.decision,
        "reason": row.reason,
        "started_at": row.started_at,
        "duration": row.duration,
        "saved": row.saved,
        "tokens": row.tokens,
        "error": row.error,
        "steps": counts_of(groups),
        "groups": [{"name": group.name, "counts": counts_of([group])} for group in groups],
        "shown": [_step(row, step) for step in _worth_showing(row, limit)],
    }


def _worth_showing(row: Execution, limit: int) -> list[StepView]:
    """What runs, then what failed, then what ended last; in the order in which they began."""
    chosen: dict[str, StepView] = {}
    for steps in (row.running.values(), reversed(row.failed.values()), reversed(row.recent)):
        for step in islice(steps, limit - len(chosen)):
            chosen[step.activity_id] = step
    return sorted(chosen.values(), key=lambda step: step.position)


def _step(row: Execution, step: StepView) -> StepData:
    return {
        "id": step.activity_id,
        "name": step.name,
        "ordinal": step.ordinal,
        "status": step_status(row, step),
        "attempts": step.attempts,
        "restored": step.restored,
        "started_at": step.started_at,
        "duration": step.duration,
        "retry_at": step.retry_at,
        "error": step.error,
        "arguments": call_text(step.arguments),
    }
