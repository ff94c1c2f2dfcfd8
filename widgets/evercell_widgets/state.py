"""A run's view state: what people see of it, as plain objects that `view.py` folds events into.

    RunView ── rows: slot -> Execution (the latest of that cell)
                              ├─ groups: step name -> StepGroup ── steps, counts by status
                              └─ running, failed, recent: the few steps worth a line each
            ├─ groups: workflow name -> WorkflowGroup ── runs: Execution, with steps, children
            ├─ waits: activity id -> Wait (timers, approvals, signals)
            └─ steps: activity id -> StepView

A row is a place in the notebook. Running its cell again replaces the row's execution; a step that
the history answers is counted in the execution that asked for it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Literal, get_args

from evercell import events as ev

__all__ = [
    "RECENT",
    "STATUSES",
    "UNNAMED",
    "CellStatus",
    "Execution",
    "RunState",
    "RunView",
    "StepGroup",
    "StepStatus",
    "StepView",
    "Try",
    "Wait",
    "WaitStatus",
    "WorkflowGroup",
    "WorkflowStatus",
]

StepStatus = Literal[
    "running", "retrying", "completed", "restored", "failed", "canceled", "in doubt"
]
# "recorded": finished in an earlier kernel, and this one has not come to it yet
CellStatus = Literal[
    "running", "completed", "restored", "failed", "interrupted", "in doubt", "recorded"
]
# "blocked": it can't go on with today's code; "stopped": no kernel carries it now
WorkflowStatus = Literal["running", "blocked", "stopped"] | ev.RunEnd
WaitKind = Literal["timer", "approval", "signal", "condition"]
WaitStatus = Literal[
    "waiting", "fired", "approved", "rejected", "received", "timed out", "canceled", "ended"
]
# "stopped": its kernel has gone without a word
RunState = Literal["idle", "running", "detached", "stopped"] | ev.RunEnd

STATUSES: tuple[StepStatus, ...] = get_args(StepStatus)
UNNAMED = "earlier steps"  # answered from a part of the history that this view was not shown
RECENT = 64  # finished steps remembered per execution for the static table


@dataclass(frozen=True, slots=True)
class Try:
    """One attempt that failed."""

    attempt: int
    at: int  # wall clock in ns at its end
    error: str


@dataclass(slots=True, eq=False)
class StepView:
    """One logical step call."""

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
    result: str = ""  # as JSON, cut; empty where there is no readable form
    reason: str = ""  # who gave the result, where a person did
    tokens: int = 0
    cost: float = 0.0
    tries: tuple[Try, ...] = ()  # the attempts that failed
    execution: Execution | None = None  # the one that counts it


@dataclass(slots=True, eq=False)
class StepGroup:
    """All calls of one step function in one execution."""

    name: str
    counts: dict[StepStatus, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))
    steps: list[StepView] = field(default_factory=list)  # as they were first seen here
    revision: int = 0
    first_at: int = 0  # ns: when the first call of them began
    last_at: int = 0  # ns: when the last of them ended
    expected: int = 0  # how many will have begun here, as maps have said
    began: int = 0  # calls that began here, not answered from the history
    began_at: int = 0  # ns: when the first of those began
    ended: int = 0  # of those, how many have ended
    error: str | None = None  # of the latest failure

    @property
    def to_come(self) -> int:
        """Calls that a map will make and that have not begun."""
        return max(0, self.expected - self.began)


@dataclass(slots=True, eq=False)
class Wait:
    """Something that code waits for: a time, a person, a message."""

    activity_id: str
    run_id: str
    kind: WaitKind
    name: str  # the timer's, the signal's, what the person is asked, where a condition is written
    started_at: int
    due: int | None  # wall clock in ns: when a timer fires, or the wait gives up
    execution: Execution
    status: WaitStatus = "waiting"
    ended_at: int | None = None
    schema: str | None = None  # of an approval's answer, JSON; None: yes or no
    answer: str = ""  # JSON, cut
    by: str | None = None


@dataclass(slots=True, eq=False)
class WorkflowGroup:
    """All runs of one workflow function that the notebook's kernel carries."""

    name: str
    runs: list[Execution] = field(default_factory=list)  # as they began; children are elsewhere
    counts: dict[str, int] = field(default_factory=dict)  # by status
    last_at: int = 0  # ns: when one of them ended last
    steps: dict[StepStatus, int] = field(default_factory=lambda: dict.fromkeys(STATUSES, 0))


@dataclass(slots=True, eq=False)
class Execution:
    """One execution or restore of a cell, or the run of a workflow function."""

    activity_id: str
    slot: str
    index: int | None
    cell_id: str | None  # nbformat's, where the frontend sends it
    source: str
    preview: str
    decision: ev.Decision
    reason: str
    status: CellStatus | WorkflowStatus
    started_at: int
    position: int  # among the cells in the order they ran, or in its WorkflowGroup
    run_id: str = ""
    workflow: str | None = None  # the function's name, of a workflow's run
    parent: str | None = None  # run_id of the workflow that started it as its child
    tally: dict[StepStatus, int] | None = None  # its steps count here, too: its group's
    execution_count: int = 0
    duration: int = 0  # ns
    saved: int = 0  # ns that restoring the cell, or its steps, did not take again
    saved_tokens: int = 0
    saved_cost: float = 0.0
    tokens: int = 0
    cost: float = 0.0
    error: str | None = None
    traceback: str = ""
    groups: dict[str, StepGroup] = field(default_factory=dict)
    running: dict[str, StepView] = field(default_factory=dict)
    failed: dict[str, StepView] = field(default_factory=dict)
    recent: deque[StepView] = field(default_factory=lambda: deque(maxlen=RECENT))
    waits: dict[str, Wait] = field(default_factory=dict)  # pending ones, and answered approvals
    children: list[Execution] = field(default_factory=list)
    signals: int = 0  # received
    canceling: bool = False  # somebody asked for its cancellation
    result: str = ""  # of a workflow, JSON, cut


@dataclass(slots=True)
class RunView:
    """Everything that a view of one run is drawn from.

    `subject`: the run_id of the one workflow that the view is about; empty for a notebook's run.
    """

    subject: str = ""
    run_id: str = ""
    notebook: str | None = None
    state: RunState = "idle"
    generation: int = 0
    began_at: int = 0  # ns: when the first cell began since the kernel attached
    last_at: int = 0  # ns: when the latest cell ended
    busy: int = 0  # ns spent in cells since the kernel attached
    revision: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float = 0.0
    rows: dict[str, Execution] = field(default_factory=dict)
    executions: dict[str, Execution] = field(default_factory=dict)
    steps: dict[str, StepView] = field(default_factory=dict)
    workflows: dict[str, Execution] = field(default_factory=dict)  # by run_id
    groups: dict[str, WorkflowGroup] = field(default_factory=dict)  # by workflow
    waits: dict[str, Wait] = field(default_factory=dict)  # by activity id, pending ones
    approvals: dict[str, Wait] = field(default_factory=dict)  # of those, the ones for a person
