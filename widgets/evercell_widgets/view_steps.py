"""Steps' events to view state; see `view.py`. A thousand of them may come in a second."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from evercell import events as ev
from evercell_widgets.state import UNNAMED, StepGroup, StepView, Try
from evercell_widgets.texts import cut, error_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell_widgets.state import Execution, RunView, StepStatus

__all__ = ["STEPS", "move", "where"]

_TEXT = 1000  # characters kept of arguments and of a result
_TRIES = 20  # failed attempts kept of a step: the latest
_ENDED = frozenset({"completed", "restored", "failed"})
_RUNNING = frozenset({"running", "retrying"})
_WRONG = frozenset({"failed", "in doubt"})
_OVER = frozenset({"completed", "failed", "canceled"})


class _InCell(Protocol):
    """An event that names the cell execution in which it happened, or is a workflow's."""

    @property
    def cell(self) -> str: ...

    @property
    def run_id(self) -> str: ...


def _step_started(view: RunView, event: ev.StepStarted) -> None:
    step = view.steps.get(event.activity_id)
    if step is None:
        step = view.steps[event.activity_id] = StepView(
            event.activity_id, event.name, event.ordinal, len(view.steps)
        )
        text = event.arguments
        step.arguments = text if len(text) <= _TEXT else cut(text, _TEXT)
    step.started_at = event.at
    _count(view, where(view, event), step, "running")


def _attempt_started(view: RunView, event: ev.AttemptStarted) -> None:
    if (step := view.steps.get(event.activity_id)) is not None:
        step.attempts, step.started_at, step.retry_at = event.attempt, event.at, None
        _count(view, where(view, event), step, "running")


def _attempt_failed(view: RunView, event: ev.AttemptFailed) -> None:
    if (step := view.steps.get(event.activity_id)) is not None:
        _note_try(step, event)
        step.retry_at = event.at + event.retry_delay
        _end(view, step, "retrying", 0, event.at)


def _step_completed(view: RunView, event: ev.StepCompleted) -> None:
    if (step := view.steps.get(event.activity_id)) is not None:
        step.error = step.retry_at = None
        step.result = _readable(event)
        step.reason = event.reason or ""
        _end(view, step, "completed", event.duration, event.at)


def _step_failed(view: RunView, event: ev.StepFailed) -> None:
    if (step := view.steps.get(event.activity_id)) is not None:
        _note_try(step, event)
        step.retry_at = None
        _end(view, step, "failed", event.duration, event.at)


def _step_canceled(view: RunView, event: ev.StepCanceled) -> None:
    if (step := view.steps.get(event.activity_id)) is not None:
        step.error = step.retry_at = None
        _end(view, step, "canceled", 0, event.at)


def _map_started(view: RunView, event: ev.MapStarted) -> None:
    if (execution := where(view, event)) is not None:
        group = _group(execution, event.name)
        group.expected = max(group.expected, group.began) + event.calls


def _steps_answered(view: RunView, event: ev.StepsAnswered) -> None:
    execution = where(view, event)
    for activity_id in event.activity_ids:
        _answer(view, execution, activity_id)


def _usage_recorded(view: RunView, event: ev.UsageRecorded) -> None:
    tokens, cost = event.input_tokens + event.output_tokens, event.cost or 0.0
    view.input_tokens += event.input_tokens
    view.output_tokens += event.output_tokens
    view.cost += cost
    step = view.steps.get(event.activity_id)
    execution = step.execution if step else view.executions.get(event.activity_id)
    if step is not None:
        step.tokens += tokens
        step.cost += cost
    if execution is not None:
        execution.tokens += tokens
        execution.cost += cost


def _readable(event: ev.StepCompleted) -> str:
    """The result as JSON for people; empty where the history holds no such form."""
    if event.view is not None:
        return cut(event.view, _TEXT)
    payload = event.result
    if payload.codec != "json" or (data := payload.data) is None:
        return ""
    text = (data if len(data) <= 4 * _TEXT else data[: 4 * _TEXT]).decode("utf-8", "ignore")
    return text if len(text) <= _TEXT else cut(text, _TEXT)


def _note_try(step: StepView, event: ev.AttemptFailed | ev.StepFailed) -> None:
    step.error = error_line(event.error)
    failed = Try(event.attempt, event.at, step.error or "")
    step.tries = (*step.tries, failed)[-_TRIES:]


def where(view: RunView, event: _InCell) -> Execution | None:
    """The execution that `event` belongs to: a cell's, or else its workflow's."""
    return view.executions.get(event.cell) if event.cell else view.workflows.get(event.run_id)


def _end(view: RunView, step: StepView, status: StepStatus, duration: int, at: int) -> None:
    step.duration = duration
    execution = step.execution
    if execution is None:  # a cell that this view was not shown
        step.status = status
        return
    before = step.status
    group = move(view, execution, step, status)
    if at > group.last_at:  # noqa: PLR1730 - a call less for each step
        group.last_at = at
    if status in _OVER and before not in _OVER:
        group.ended += 1
    if status == "failed":
        group.error = step.error


def _count(view: RunView, execution: Execution | None, step: StepView, status: StepStatus) -> None:
    """`step` takes part in `execution`, with `status`; counted once, however often it is seen."""
    execution = execution or step.execution  # in a cell that this view was not shown
    if execution is None:
        step.status = status
        return
    if step.execution is execution:
        move(view, execution, step, status)
        return
    step.execution, step.status = execution, status
    group = execution.groups.get(step.name) or _group(execution, step.name)
    if not group.steps:
        group.first_at = step.started_at
    group.steps.append(step)
    group.counts[status] += 1
    if execution.tally is not None:
        execution.tally[status] += 1
    group.revision = view.revision
    if status == "running":
        group.began_at = group.began_at or step.started_at
        group.began += 1
        execution.running[step.activity_id] = step
    else:
        _file(execution, step)


def move(view: RunView, execution: Execution, step: StepView, status: StepStatus) -> StepGroup:
    """`step`, which `execution` counts, is in `status` now. Returns its group."""
    group = execution.groups.get(step.name) or _group(execution, step.name)
    counts, before = group.counts, step.status
    counts[before] -= 1
    counts[status] += 1
    if execution.tally is not None:
        execution.tally[before] -= 1
        execution.tally[status] += 1
    group.revision = view.revision
    if before in _RUNNING:
        execution.running.pop(step.activity_id, None)
    elif before in _WRONG:
        execution.failed.pop(step.activity_id, None)
    step.status = status
    if status == "completed":  # a call less: nearly all of them end so
        execution.recent.append(step)
    else:
        _file(execution, step)
    return group


def _group(execution: Execution, name: str) -> StepGroup:
    group = execution.groups.get(name)
    if group is None:
        group = execution.groups[name] = StepGroup(name)
    return group


def _file(execution: Execution, step: StepView) -> None:
    """Put `step` into the one list that its status belongs to."""
    status = step.status
    if status in _RUNNING:
        execution.running[step.activity_id] = step
    elif status in _WRONG:
        execution.failed[step.activity_id] = step
    else:
        execution.recent.append(step)


def _answer(view: RunView, execution: Execution | None, activity_id: str) -> None:
    step = view.steps.get(activity_id)
    if step is None:
        step = StepView(activity_id, UNNAMED, 0, len(view.steps), status="completed")
        view.steps[activity_id] = step
    step.restored += 1
    if execution is None or (step.execution is execution and step.status in _ENDED):
        return  # not shown, or it ended in this very execution and is counted
    _count(view, execution, step, "failed" if step.status == "failed" else "restored")
    execution.saved += step.duration
    execution.saved_tokens += step.tokens
    execution.saved_cost += step.cost


STEPS: dict[type[ev.Event], Callable[[RunView, Any], None]] = {
    ev.StepStarted: _step_started,
    ev.AttemptStarted: _attempt_started,
    ev.AttemptFailed: _attempt_failed,
    ev.StepCompleted: _step_completed,
    ev.StepFailed: _step_failed,
    ev.StepCanceled: _step_canceled,
    ev.StepsAnswered: _steps_answered,
    ev.MapStarted: _map_started,
    ev.UsageRecorded: _usage_recorded,
}
