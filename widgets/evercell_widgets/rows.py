"""One row of the live view as JSON-ready data. `static/types.js` repeats these types in JSDoc.

Times are nanoseconds; those that end in `_at` are since the epoch. A row says nothing about now:
what ticks is the page's business, so that a row which did not change need not be sent again.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypedDict

from evercell_widgets.counts import Counts, counts_of
from evercell_widgets.texts import call_text, one_line

if TYPE_CHECKING:
    from evercell_widgets.state import (
        Execution,
        StepGroup,
        StepStatus,
        StepView,
        Wait,
        WorkflowGroup,
    )

__all__ = [
    "Kind",
    "RowData",
    "cell_id",
    "cell_row",
    "group_id",
    "group_row",
    "run_counts",
    "step_id",
    "step_row",
    "step_status",
    "wait_id",
    "wait_row",
    "workflow_id",
    "workflow_row",
    "workflows_id",
    "workflows_row",
]

_REMEMBERED = 1024  # rows of steps: those in sight are asked for several times a second

Kind = Literal["cell", "group", "step", "workflow", "workflows", "wait"]


class RowData(TypedDict):
    """A row of any kind."""

    id: str
    kind: Kind
    depth: int  # 0 for cells
    among: bool  # it stands below the row of its kind, which says its label
    open: bool | None  # None: there is nothing below it
    index: str  # "[3]", for cells
    label: str  # code, or the step's name
    text: str  # arguments, or why a cell ran
    result: str
    status: str
    decision: str
    counts: Counts | None  # of the steps below
    attempts: int
    restored: int
    error: str | None
    started_at: int
    ended_at: int | None  # None while it goes on
    duration: int
    retry_at: int | None
    saved: int
    tokens: int


def cell_id(execution: Execution) -> str:
    """A cell's row keeps its id when the cell runs again, and so stays open or closed."""
    return f"c:{execution.slot}"


def group_id(execution: Execution, group: StepGroup) -> str:
    """As a cell's, with the step's name."""
    return f"g:{execution.slot}:{group.name}"


def step_id(execution: Execution, step: StepView) -> str:
    """A step's row is that of its activity in a cell: an edited notebook may show it in two."""
    return f"s:{execution.slot}:{step.activity_id}"


def workflow_id(run: Execution) -> str:
    """A workflow's row is that of its run."""
    return f"w:{run.run_id}"


def workflows_id(group: WorkflowGroup) -> str:
    """All runs of one workflow function."""
    return f"f:{group.name}"


def wait_id(wait: Wait) -> str:
    """A wait's row is that of its activity."""
    return f"t:{wait.activity_id}"


def step_status(execution: Execution, step: StepView) -> StepStatus:
    """What the step is in this execution: one that came back with its cell is restored."""
    came_with_its_cell = execution.decision == "restored" and step.status == "completed"
    return "restored" if came_with_its_cell else step.status


def _row(id_: str, kind: Kind, depth: int, status: str, **told: Any) -> RowData:
    """A row of which only `told` is to be said."""
    row: RowData = {
        "id": id_,
        "kind": kind,
        "depth": depth,
        "among": False,
        "open": None,
        "index": "",
        "label": "",
        "text": "",
        "result": "",
        "status": status,
        "decision": "",
        "counts": None,
        "attempts": 1,
        "restored": 0,
        "error": None,
        "started_at": 0,
        "ended_at": None,
        "duration": 0,
        "retry_at": None,
        "saved": 0,
        "tokens": 0,
    }
    row.update(told)  # type: ignore[typeddict-item] # the makers below name its fields
    return row


def cell_row(execution: Execution, *, is_open: bool | None) -> RowData:
    """The row of a cell."""
    running = execution.status == "running"
    return _row(
        cell_id(execution),
        "cell",
        0,
        execution.status,
        open=is_open,
        index=f"[{execution.execution_count}]",
        label=execution.preview,
        text=execution.reason,
        decision=execution.decision,
        counts=counts_of(execution.groups.values()) if execution.groups else None,
        error=execution.error,
        started_at=execution.started_at,
        ended_at=None if running else execution.started_at + execution.duration,
        duration=execution.duration,
        saved=execution.saved,
        tokens=execution.tokens,
    )


def group_row(execution: Execution, group: StepGroup, *, is_open: bool, depth: int = 1) -> RowData:
    """The row of all calls of one step in a cell."""
    counts = counts_of([group])
    running = counts["running"] > 0
    if execution.decision == "restored":
        counts["restored"] += counts["completed"]
        counts["completed"] = 0
    ended_at = max(group.last_at, group.first_at)
    return _row(
        group_id(execution, group),
        "group",
        depth,
        _status_of(counts),
        open=is_open,
        label=group.name,
        decision=execution.decision,
        counts=counts,
        restored=counts["restored"],
        error=group.error if counts["failed"] else None,
        started_at=group.first_at,
        ended_at=None if running else ended_at,
        duration=0 if running else ended_at - group.first_at,
    )


def _status_of(counts: Counts) -> str:
    """What many together are: what needs a look comes first."""
    if counts["running"]:
        return "running"
    if counts["failed"]:
        return "failed"
    if counts["in_doubt"]:
        return "in doubt"
    if counts["completed"]:
        return "completed"
    return "restored" if counts["restored"] else "canceled"


def step_row(execution: Execution, step: StepView, *, depth: int, among: bool = False) -> RowData:
    """The row of one step call. Not to be changed: it is given again while nothing changes."""
    told = _Told(
        step_id(execution, step), depth, step_status(execution, step), among, step.name,
        step.arguments, step.result, execution.decision, step.attempts, step.restored, step.error,
        step.started_at, step.duration, step.retry_at, step.tokens,
    )  # fmt: skip
    return _step_row(told)


class _Told(NamedTuple):
    """All that a step's row is made of."""

    id: str
    depth: int
    status: StepStatus
    among: bool
    name: str
    arguments: str
    result: str
    decision: str
    attempts: int
    restored: int
    error: str | None
    started_at: int
    duration: int
    retry_at: int | None
    tokens: int


@lru_cache(_REMEMBERED)
def _step_row(told: _Told) -> RowData:
    going_on = told.status in {"running", "retrying"}
    return _row(
        told.id,
        "step",
        told.depth,
        told.status,
        among=told.among,
        label=told.name,
        text=call_text(told.arguments),
        result=one_line(told.result),
        decision=told.decision,
        attempts=told.attempts,
        restored=told.restored,
        error=told.error,
        started_at=told.started_at,
        ended_at=None if going_on else told.started_at + told.duration,
        duration=told.duration,
        retry_at=told.retry_at,
        tokens=told.tokens,
    )


def workflow_row(
    run: Execution, *, is_open: bool | None, depth: int, among: bool = False
) -> RowData:
    """The row of a workflow's run. One that only waits says so, and until when."""
    going_on = run.status in {"running", "stopped", "blocked"}
    waits = [wait for wait in run.waits.values() if wait.status == "waiting"]
    only_waits = run.status == "running" and waits and not run.running
    times = [wait.due for wait in waits if wait.due is not None]
    return _row(
        workflow_id(run),
        "workflow",
        depth,
        "waiting" if only_waits else run.status,
        among=among,
        open=is_open,
        label=run.workflow or "",
        text=call_text(run.source) or run.preview,
        result=one_line(run.result),
        counts=counts_of(run.groups.values()) if run.groups else None,
        error=run.error,
        started_at=run.started_at,
        ended_at=None if going_on else run.started_at + run.duration,
        duration=run.duration,
        retry_at=min(times, default=None) if only_waits else None,
        tokens=run.tokens,
    )


def workflows_row(group: WorkflowGroup, *, is_open: bool) -> RowData:
    """The row of all runs of one workflow function."""
    counts = run_counts(group)
    first = group.runs[0].started_at if group.runs else 0
    last = max(group.last_at, group.runs[-1].started_at if group.runs else 0)
    return _row(
        workflows_id(group),
        "workflows",
        0,
        _status_of(counts),
        open=is_open,
        label=group.name,
        text="workflow runs",
        counts=counts,
        started_at=first,
        ended_at=None if counts["running"] else last,
    )


def run_counts(group: WorkflowGroup) -> Counts:
    """What became of the runs, as steps are counted."""
    by = group.counts.get
    counts = counts_of(())
    counts["total"] = len(group.runs)
    counts["completed"] = by("completed", 0) + by("continued as new", 0)
    counts["failed"] = by("failed", 0) + by("timed out", 0)
    counts["canceled"] = by("canceled", 0) + by("terminated", 0)
    counts["in_doubt"] = by("stopped", 0) + by("blocked", 0)
    counts["running"] = by("running", 0)
    return counts


def wait_row(wait: Wait, *, depth: int) -> RowData:
    """The row of something that is waited for."""
    return _row(
        wait_id(wait),
        "wait",
        depth,
        wait.status,
        label=wait.kind,
        text=wait.name,
        result=one_line(wait.answer),
        started_at=wait.started_at,
        ended_at=wait.ended_at,
        duration=0 if wait.ended_at is None else wait.ended_at - wait.started_at,
        retry_at=wait.due if wait.status == "waiting" else None,
    )
