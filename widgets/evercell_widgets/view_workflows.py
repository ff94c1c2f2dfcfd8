"""Workflows' events to view state: their runs, and what they and cells wait for; see `view.py`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from evercell import events as ev
from evercell_widgets.state import Execution, Wait, WorkflowGroup
from evercell_widgets.texts import cut, error_line
from evercell_widgets.view_steps import move, where

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell_widgets.state import RunView, WaitStatus, WorkflowStatus

__all__ = ["WORKFLOWS", "begin_workflow", "carry_workflow", "end_workflow", "leave_workflow"]

_TEXT = 1000  # characters kept of an answer or a result


def begin_workflow(view: RunView, event: ev.RunStarted) -> None:
    """A workflow's run exists."""
    start = event.start
    if start is None or event.run_id in view.workflows:
        return
    group = view.groups.get(event.workflow)
    if group is None:
        group = view.groups[event.workflow] = WorkflowGroup(event.workflow)
    parent = view.workflows.get(start.parent) if start.parent else None
    run = Execution(
        activity_id=event.run_id,
        slot=event.run_id,
        index=None,
        cell_id=None,
        source=json.dumps(event.parameters, ensure_ascii=False) if event.parameters else "",
        preview=start.workflow_id,
        decision="executed",
        reason="",
        status="running",
        started_at=event.at,
        position=len(group.runs),
        run_id=event.run_id,
        workflow=event.workflow,
        parent=start.parent,
        tally=group.steps,
    )
    view.workflows[event.run_id] = run
    if parent is None:
        group.runs.append(run)
        group.counts["running"] = group.counts.get("running", 0) + 1
    else:
        parent.children.append(run)


def carry_workflow(view: RunView, run: Execution) -> None:
    """A kernel took the workflow's run; what an earlier one left unfinished is in doubt."""
    for step in list(run.running.values()):
        move(view, run, step, "in doubt")
    if run.status in {"stopped", "blocked"}:
        _become(view, run, "running")


def leave_workflow(view: RunView, run: Execution) -> None:
    """No kernel carries the workflow's run now."""
    if run.status == "running":
        _become(view, run, "stopped")


def end_workflow(view: RunView, run: Execution, event: ev.RunFinished) -> None:
    """The workflow's run is closed."""
    run.duration = max(0, event.at - run.started_at)
    run.error = error_line(event.error)
    run.traceback = event.error.traceback if event.error else ""
    run.reason = event.reason or ""
    run.result = cut(event.view or "", _TEXT)
    for wait in list(run.waits.values()):
        _end_wait(view, wait.activity_id, "canceled", event.at)
    if (group := view.groups.get(run.workflow or "")) is not None:
        group.last_at = max(group.last_at, event.at)
    _become(view, run, event.status)


def _become(view: RunView, run: Execution, status: WorkflowStatus) -> None:
    group = view.groups.get(run.workflow or "")
    if group is not None and run.parent not in view.workflows:
        group.counts[run.status] -= 1
        group.counts[status] = group.counts.get(status, 0) + 1
    run.status = status


def _blocked(view: RunView, event: ev.RunBlocked) -> None:
    if (run := view.workflows.get(event.run_id)) is not None:
        run.error = error_line(event.error)
        _become(view, run, "blocked")


def _timer_started(view: RunView, event: ev.TimerStarted) -> None:
    if (execution := where(view, event)) is not None:
        _wait(
            view, Wait(event.activity_id, event.run_id, "timer", event.name, event.at,
                       event.fire_at, execution)
        )  # fmt: skip


def _signal_awaited(view: RunView, event: ev.SignalAwaited) -> None:
    if (execution := where(view, event)) is not None:
        _wait(
            view, Wait(event.activity_id, event.run_id, "signal", event.name, event.at,
                       event.expires_at, execution)
        )  # fmt: skip


def _condition_awaited(view: RunView, event: ev.ConditionAwaited) -> None:
    if (run := view.workflows.get(event.run_id)) is not None:
        _wait(
            view, Wait(event.activity_id, event.run_id, "condition", event.name, event.at,
                       event.expires_at, run)
        )  # fmt: skip


def _approval_requested(view: RunView, event: ev.ApprovalRequested) -> None:
    if (execution := where(view, event)) is not None:
        wait = Wait(
            event.activity_id, event.run_id, "approval", event.prompt, event.at, event.expires_at,
            execution, schema=event.schema,
        )  # fmt: skip
        _wait(view, wait)
        view.approvals[wait.activity_id] = wait


def _wait(view: RunView, wait: Wait) -> None:
    view.waits[wait.activity_id] = wait
    wait.execution.waits[wait.activity_id] = wait


def _end_wait(view: RunView, activity_id: str, status: WaitStatus, at: int) -> Wait | None:
    wait = view.waits.pop(activity_id, None)
    if wait is None:
        return None
    view.approvals.pop(activity_id, None)
    wait.status, wait.ended_at = status, at
    if wait.kind != "approval":  # who answered what stays; a loop's timers would fill the view
        wait.execution.waits.pop(activity_id, None)
    return wait


def _timer_fired(view: RunView, event: ev.TimerFired) -> None:
    wait = view.waits.get(event.activity_id)
    _end_wait(
        view, event.activity_id, "fired" if wait and wait.kind == "timer" else "timed out", event.at
    )


def _timer_canceled(view: RunView, event: ev.TimerCanceled) -> None:
    _end_wait(view, event.activity_id, "canceled", event.at)


def _signal_taken(view: RunView, event: ev.SignalTaken) -> None:
    _end_wait(view, event.activity_id, "received", event.at)


def _wait_ended(view: RunView, event: ev.WaitEnded) -> None:
    _end_wait(view, event.activity_id, "ended", event.at)


def _approval_answered(view: RunView, event: ev.ApprovalAnswered) -> None:
    status: WaitStatus = "approved" if event.approved else "rejected"
    wait = _end_wait(view, event.activity_id, status, event.at)
    if wait is not None:
        wait.answer, wait.by = cut(event.view or "", _TEXT), event.by


def _signal_received(view: RunView, event: ev.SignalReceived) -> None:
    if (run := view.workflows.get(event.run_id)) is not None:
        run.signals += 1


def _cancel_requested(view: RunView, event: ev.CancelRequested) -> None:
    run = view.workflows.get(event.run_id)
    if run is not None and event.activity_id is None:
        run.canceling = True


WORKFLOWS: dict[type[ev.Event], Callable[[RunView, Any], None]] = {
    ev.RunBlocked: _blocked,
    ev.TimerStarted: _timer_started,
    ev.TimerFired: _timer_fired,
    ev.TimerCanceled: _timer_canceled,
    ev.SignalReceived: _signal_received,
    ev.SignalAwaited: _signal_awaited,
    ev.ConditionAwaited: _condition_awaited,
    ev.SignalTaken: _signal_taken,
    ev.WaitEnded: _wait_ended,
    ev.ApprovalRequested: _approval_requested,
    ev.ApprovalAnswered: _approval_answered,
    ev.CancelRequested: _cancel_requested,
}
