"""A run's view state: what people see, folded from events. Pure; each event costs O(1).

    RunView ── rows: slot -> Execution (the latest of that cell)
                              ├─ groups: step name -> counts by status
                              └─ running, failed, recent: the few steps worth a line each
            └─ steps: activity id -> StepView

A row is a place in the notebook. Running its cell again replaces the row's execution; a step that
the history answers is counted in the execution that asked for it. Aggregates are kept per step
name and summed over the few groups only when somebody looks (`snapshot.py`).
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from evercell import events as ev

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "CellStatus",
    "Execution",
    "RunView",
    "StepGroup",
    "StepStatus",
    "StepView",
    "apply",
    "apply_all",
]

StepStatus = Literal[
    "running", "retrying", "completed", "restored", "failed", "canceled", "in doubt"
]
# "recorded": finished in an earlier kernel, and this one has not come to it yet
CellStatus = Literal[
    "running", "completed", "restored", "failed", "interrupted", "in doubt", "recorded"
]
RunState = Literal["idle", "running", "detached"] | ev.RunEnd

UNNAMED = "earlier steps"  # answered from a part of the history that this view was not shown
_RECENT = 64  # finished steps remembered per execution; the rest are counts
_ENDED = frozenset({"completed", "restored", "failed"})
_OF_STEPS = (
    ev.StepStarted, ev.StepCompleted, ev.UsageRecorded, ev.StepsAnswered, ev.AttemptStarted,
    ev.AttemptFailed, ev.StepFailed, ev.StepCanceled,
)  # fmt: skip
_OF_CELLS = (ev.CellStarted, ev.CellCompleted, ev.CellFailed, ev.CellRestored)
_TEXT = 300  # characters kept of an error's message or of arguments


@dataclass(slots=True, eq=False)
class StepView:
    """One logical step call, as far as it is shown."""

    activity_id: str
    name: str
    ordinal: int
    position: int  # the order in which steps were first seen
    status: StepStatus = "running"
    attempts: int = 1
    restored: int = 0  # how often the history answered it
    started_at: int = 0
    duration: int = 0  # nanoseconds of the attempt that ended it
    retry_at: int | None = None  # wall clock in ns, while status is "retrying"
    error: str | None = None
    arguments: str = ""
    tokens: int = 0
    cost: float = 0.0
    execution: Execution | None = None  # the one that counts it


@dataclass(slots=True)
class StepGroup:
    """All calls of one step function in one execution."""

    name: str
    counts: dict[StepStatus, int] = field(default_factory=dict)

    def add(self, status: StepStatus, number: int = 1) -> None:
        """Count `number` more (or fewer) steps in `status`."""
        self.counts[status] = self.counts.get(status, 0) + number


@dataclass(slots=True, eq=False)
class Execution:
    """One execution or restore of a cell."""

    activity_id: str
    slot: str
    index: int | None
    cell_id: str | None  # nbformat's, where the frontend sends it
    preview: str
    decision: ev.Decision
    reason: str
    status: CellStatus
    started_at: int
    position: int
    execution_count: int = 0
    duration: int = 0  # ns
    saved: int = 0  # ns that restoring the cell, or its steps, did not take again
    saved_tokens: int = 0
    saved_cost: float = 0.0
    tokens: int = 0
    cost: float = 0.0
    error: str | None = None
    revision: int = 0
    groups: dict[str, StepGroup] = field(default_factory=dict)
    running: dict[str, StepView] = field(default_factory=dict)
    failed: dict[str, StepView] = field(default_factory=dict)
    recent: deque[StepView] = field(default_factory=lambda: deque(maxlen=_RECENT))


@dataclass(slots=True)
class RunView:
    """Everything that a view of one run is drawn from."""

    run_id: str = ""
    notebook: str | None = None
    state: RunState = "idle"
    generation: int = 0
    busy: int = 0  # ns spent in cells since the kernel attached
    revision: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    rows: dict[str, Execution] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    steps: dict[str, StepView] = field(default_factory=dict)


def apply_all(view: RunView, events: Iterable[ev.Event]) -> None:
    """Fold `events`, in order, into `view`."""
    for event in events:
        apply(view, event)


def apply(view: RunView, event: ev.Event) -> None:
    """Fold one event into `view`."""
    view.revision += 1
    if isinstance(event, _OF_STEPS):  # asked first: nearly every event of a long run is one
        _apply_to_step(view, event)
    elif isinstance(event, _OF_CELLS):
        _apply_to_cell(view, event)
    else:
        _apply_to_run(view, event)


def _apply_to_run(view: RunView, event: ev.Event) -> None:
    match event:
        case ev.RunStarted():
            view.run_id, view.notebook = event.run_id, event.notebook
        case ev.RunAttached():
            view.run_id = event.run_id
            view.notebook = event.notebook or view.notebook
            view.generation, view.busy, view.state = event.generation, 0, "idle"
            for execution in view.rows.values():
                _leave_behind(view, execution)
        case ev.RunDetached():
            view.state = "detached"
        case ev.RunFinished():
            view.state = event.status


def _apply_to_cell(view: RunView, event: ev.Event) -> None:
    match event:
        case ev.CellStarted():
            view.state = "running"
            _show(view, _execution(view, event, event.decision, "running"))
        case ev.CellRestored():
            restored = _execution(view, event, "restored", "restored")
            restored.duration, restored.saved = event.duration, event.saved
            view.busy += event.duration
            _inherit_steps(restored, view.executions.get(event.origin))
            _show(view, restored)
        case ev.CellCompleted():
            _end_cell(view, event.activity_id, "completed", event.duration)
        case ev.CellFailed():
            status: CellStatus = "interrupted" if event.interrupted else "failed"
            _end_cell(view, event.activity_id, status, event.duration, event.error)


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
        preview=preview(event.source),
        decision=decision,
        reason=event.reason,
        status=status,
        started_at=event.at,
        position=shown.position if shown else len(view.rows),
        execution_count=event.execution_count,
    )


def _show(view: RunView, execution: Execution) -> None:
    execution.revision = view.revision
    view.executions[execution.activity_id] = execution
    view.rows[execution.slot] = execution


def _inherit_steps(restored: Execution, origin: Execution | None) -> None:
    """A restored cell shows the steps of the execution it came from, as they are now, restored."""
    if origin is None:
        return
    for name, group in origin.groups.items():
        counts: dict[StepStatus, int] = {}
        for status, number in group.counts.items():
            kept: StepStatus = "restored" if status == "completed" else status
            counts[kept] = counts.get(kept, 0) + number
        restored.groups[name] = StepGroup(name, counts)
    restored.failed = {name: replace(step) for name, step in origin.failed.items()}
    restored.recent = deque(map(replace, origin.recent), maxlen=_RECENT)
    restored.saved_tokens = origin.tokens + origin.saved_tokens
    restored.saved_cost = origin.cost + origin.saved_cost


def _end_cell(
    view: RunView,
    activity_id: str,
    status: CellStatus,
    duration: int,
    error: ev.ErrorInfo | None = None,
) -> None:
    execution = view.executions.get(activity_id)
    view.busy += duration
    if execution is None:
        return
    execution.status, execution.duration = status, duration
    execution.error = _error_line(error)
    execution.revision = view.revision
    if view.state == "running":
        view.state = "idle"


def _leave_behind(view: RunView, execution: Execution) -> None:
    """A new kernel attached: what the earlier one left is recorded, or in doubt."""
    execution.revision = view.revision
    if execution.status in {"completed", "restored"}:
        execution.status = "recorded"
    elif execution.status == "running":
        execution.status = "in doubt"
    for step in list(execution.running.values()):
        _move(execution, step, "in doubt")


def _apply_to_step(view: RunView, event: ev.Event) -> None:
    match event:
        case ev.StepStarted():
            step = StepView(
                event.activity_id,
                event.name,
                event.ordinal,
                position=len(view.steps),
                started_at=event.at,
                arguments=event.arguments[:_TEXT],
            )
            view.steps[event.activity_id] = step
            _count(view, view.executions.get(event.cell), step, "running")
        case ev.StepCompleted():
            _end_attempt(view, event.activity_id, "completed", duration=event.duration)
        case ev.UsageRecorded():
            _use(view, event)
        case ev.StepsAnswered():
            execution = view.executions.get(event.cell)
            for activity_id in event.activity_ids:
                _answer(view, execution, activity_id)
        case _:
            _apply_to_hardship(view, event)


def _apply_to_hardship(view: RunView, event: ev.Event) -> None:
    """What happens to a step beside beginning and ending well."""
    match event:
        case ev.AttemptStarted():
            if (known := view.steps.get(event.activity_id)) is not None:
                known.attempts, known.started_at, known.retry_at = event.attempt, event.at, None
                _count(view, view.executions.get(event.cell), known, "running")
        case ev.AttemptFailed():
            retry_at = event.at + event.retry_delay
            _end_attempt(view, event.activity_id, "retrying", event.error, retry_at=retry_at)
        case ev.StepFailed():
            _end_attempt(view, event.activity_id, "failed", event.error, duration=event.duration)
        case ev.StepCanceled():
            _end_attempt(view, event.activity_id, "canceled")


def _count(view: RunView, execution: Execution | None, step: StepView, status: StepStatus) -> None:
    """`step` takes part in `execution`, with `status`; counted once, however often it is seen."""
    if execution is None:  # a cell that this view was not shown
        step.status = status
        return
    if step.execution is execution:
        _move(execution, step, status)
    else:
        if (former := step.execution) is not None:  # it lists the step still
            former.revision = view.revision
        step.execution, step.status = execution, status
        _group(execution, step.name).add(status)
        _file(execution, step)
    execution.revision = view.revision


def _move(execution: Execution, step: StepView, status: StepStatus) -> None:
    group = _group(execution, step.name)
    group.add(step.status, -1)
    group.add(status)
    step.status = status
    _file(execution, step)


def _group(execution: Execution, name: str) -> StepGroup:
    group = execution.groups.get(name)
    if group is None:
        group = execution.groups[name] = StepGroup(name)
    return group


def _file(execution: Execution, step: StepView) -> None:
    """Keep `step` in the one list that its status belongs to."""
    execution.running.pop(step.activity_id, None)
    execution.failed.pop(step.activity_id, None)
    match step.status:
        case "running" | "retrying":
            execution.running[step.activity_id] = step
        case "failed" | "in doubt":
            execution.failed[step.activity_id] = step
        case "completed" | "restored" | "canceled":
            execution.recent.append(step)


def _end_attempt(
    view: RunView,
    activity_id: str,
    status: StepStatus,
    error: ev.ErrorInfo | None = None,
    *,
    duration: int = 0,
    retry_at: int | None = None,
) -> None:
    step = view.steps.get(activity_id)
    if step is None:
        return
    step.duration, step.retry_at = duration, retry_at
    step.error = _error_line(error)
    _count(view, step.execution, step, status)


def _answer(view: RunView, execution: Execution | None, activity_id: str) -> None:
    step = view.steps.get(activity_id)
    if step is None:
        step = StepView(activity_id, UNNAMED, 0, position=len(view.steps), status="completed")
        view.steps[activity_id] = step
    step.restored += 1
    if execution is None or (step.execution is execution and step.status in _ENDED):
        return  # not shown, or it ended in this very execution and is counted
    _count(view, execution, step, "failed" if step.status == "failed" else "restored")
    execution.saved += step.duration
    execution.saved_tokens += step.tokens
    execution.saved_cost += step.cost


def _use(view: RunView, event: ev.UsageRecorded) -> None:
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
        execution.revision = view.revision


def preview(source: str, width: int = 100) -> str:
    """The line of `source` that tells most: the first that is no comment, nor an import."""
    lines = [line.strip() for line in source.splitlines() if line.strip()]
    code = [line for line in lines if not line.startswith("#")] or lines or [""]
    line = next((line for line in code if not line.startswith(("import ", "from "))), code[0])
    return line if len(line) <= width else line[: width - 1] + "…"


def _error_line(error: ev.ErrorInfo | None) -> str | None:
    if error is None:
        return None
    message = error.message.strip().partition("\n")[0]
    return f"{error.type}: {message}"[:_TEXT] if message else error.type
