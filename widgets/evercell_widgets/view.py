"""Events to view state. Pure; each event costs O(1), and a long run is nearly all steps.

apply ─ the fold of the event's type ─┬─ of runs and cells: here
                                      ├─ of steps: view_steps.py
                                      └─ of workflows, timers, approvals: view_workflows.py

Aggregates are kept per step name and summed over the few groups only when somebody looks.
"""

from __future__ import annotations

from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from evercell import events as ev
from evercell_widgets.state import RECENT, CellStatus, Execution, RunView, StepGroup
from evercell_widgets.texts import error_line, preview
from evercell_widgets.view_steps import STEPS, move
from evercell_widgets.view_workflows import (
    WORKFLOWS,
    begin_workflow,
    carry_workflow,
    end_workflow,
    leave_workflow,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["FOLDS", "RunView", "apply", "apply_all", "stop"]


def apply_all(view: RunView, events: Iterable[ev.Event]) -> None:
    """Fold `events`, in order, into `view`."""
    folds = FOLDS
    for event in events:
        view.revision += 1
        fold = folds.get(type(event))
        if fold is not None:
            fold(view, event)


def apply(view: RunView, event: ev.Event) -> None:
    """Fold one event into `view`."""
    apply_all(view, (event,))


def stop(view: RunView) -> None:
    """The run's kernel is known to be gone. If it said nothing, what ran is in doubt."""
    if view.state not in {"idle", "running"}:
        return
    view.state = "stopped"
    view.revision += 1
    for execution in view.rows.values():
        _doubt(view, execution)
    for execution in view.workflows.values():
        leave_workflow(view, execution)


def _run_started(view: RunView, event: ev.RunStarted) -> None:
    if event.start is not None:
        begin_workflow(view, event)
        return
    view.run_id, view.notebook = event.run_id, event.notebook
    if event.forked_from is not None:
        _set_apart(view)


def _set_apart(view: RunView) -> None:
    """What came so far is other runs', which this one shares: they paid for it."""
    view.state, view.busy, view.began_at, view.last_at = "idle", 0, 0, 0
    view.input_tokens = view.output_tokens = 0
    view.cost = 0.0
    for execution in view.rows.values():
        _leave_behind(view, execution)
        # What it would take to do it once more, all of which is saved when it is given back.
        execution.tokens += execution.saved_tokens
        execution.cost += execution.saved_cost
        execution.saved = execution.saved_tokens = 0
        execution.saved_cost = 0.0


def _run_attached(view: RunView, event: ev.RunAttached) -> None:
    if (carried := view.workflows.get(event.run_id)) is not None:
        carry_workflow(view, carried)
        return
    view.run_id = event.run_id
    view.notebook = event.notebook or view.notebook
    view.generation, view.busy, view.state = event.generation, 0, "idle"
    view.began_at = 0
    for execution in view.rows.values():
        _leave_behind(view, execution)


def _run_detached(view: RunView, event: ev.RunDetached) -> None:
    if (carried := view.workflows.get(event.run_id)) is not None:
        leave_workflow(view, carried)
    else:
        view.state = "detached"


def _run_finished(view: RunView, event: ev.RunFinished) -> None:
    if (carried := view.workflows.get(event.run_id)) is not None:
        end_workflow(view, carried, event)
    else:
        view.state = event.status


def _cell_started(view: RunView, event: ev.CellStarted) -> None:
    view.state = "running"
    _show(view, _execution(view, event, event.decision, "running"))


def _cell_restored(view: RunView, event: ev.CellRestored) -> None:
    restored = _execution(view, event, "restored", "restored")
    restored.duration, restored.saved = event.duration, event.saved
    view.busy += event.duration
    view.last_at = event.at
    _inherit_steps(view, restored, view.executions.get(event.origin))
    _show(view, restored)


def _cell_completed(view: RunView, event: ev.CellCompleted) -> None:
    _end_cell(view, event, "completed")


def _cell_failed(view: RunView, event: ev.CellFailed) -> None:
    status: CellStatus = "interrupted" if event.interrupted else "failed"
    _end_cell(view, event, status, event.error)


def _execution(
    view: RunView,
    event: ev.CellStarted | ev.CellRestored,
    decision: ev.Decision,
    status: CellStatus,
) -> Execution:
    shown = view.rows.get(event.slot)
    return Execution(
        activity_id=event.activity_id,
        slot=event.slot,
        index=event.cell_index,
        cell_id=event.cell_id,
        source=event.source,
        preview=preview(event.source),
        decision=decision,
        reason=event.reason,
        status=status,
        started_at=event.at,
        position=shown.position if shown else len(view.rows),
        run_id=event.run_id,
        execution_count=event.execution_count,
    )


def _show(view: RunView, execution: Execution) -> None:
    view.began_at = view.began_at or execution.started_at
    view.executions[execution.activity_id] = execution
    view.rows[execution.slot] = execution


def _inherit_steps(view: RunView, restored: Execution, origin: Execution | None) -> None:
    """A restored cell shows the steps of the execution it came from, as they are now, restored."""
    if origin is None:
        return
    for name, group in origin.groups.items():
        counts = dict(group.counts)
        counts["restored"] += counts["completed"]
        counts["completed"] = 0
        restored.groups[name] = StepGroup(
            name, counts, list(group.steps), view.revision, group.first_at, group.last_at,
            error=group.error,
        )  # fmt: skip
    restored.failed = {name: replace(step) for name, step in origin.failed.items()}
    restored.recent = deque(map(replace, origin.recent), maxlen=RECENT)
    restored.saved_tokens = origin.tokens + origin.saved_tokens
    restored.saved_cost = origin.cost + origin.saved_cost


def _end_cell(
    view: RunView,
    event: ev.CellCompleted | ev.CellFailed,
    status: CellStatus,
    error: ev.ErrorInfo | None = None,
) -> None:
    execution = view.executions.get(event.activity_id)
    view.busy += event.duration
    view.last_at = event.at
    if execution is None:
        return
    execution.status, execution.duration = status, event.duration
    execution.error = error_line(error)
    for group in execution.groups.values():
        group.expected = 0  # a map that stopped early makes no more
    execution.traceback = error.traceback if error else ""
    if view.state == "running":
        view.state = "idle"


def _leave_behind(view: RunView, execution: Execution) -> None:
    """A new kernel attached: what the earlier one left is recorded, or in doubt."""
    if execution.status in {"completed", "restored"}:
        execution.status = "recorded"
    _doubt(view, execution)


def _doubt(view: RunView, execution: Execution) -> None:
    if execution.status == "running":
        execution.status = "in doubt"
    for step in list(execution.running.values()):
        move(view, execution, step, "in doubt")


FOLDS: dict[type[ev.Event], Callable[[RunView, Any], None]] = {
    ev.RunStarted: _run_started,
    ev.RunAttached: _run_attached,
    ev.RunDetached: _run_detached,
    ev.RunFinished: _run_finished,
    ev.CellStarted: _cell_started,
    ev.CellRestored: _cell_restored,
    ev.CellCompleted: _cell_completed,
    ev.CellFailed: _cell_failed,
    **STEPS,
    **WORKFLOWS,
}
"""What each event does to the view; a test compares the keys with the history's vocabulary."""
