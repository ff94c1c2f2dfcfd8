"""Events for the view's tests: short to write, each a plausible moment later than the last."""

from __future__ import annotations

import gc
import itertools
import sys
from typing import TYPE_CHECKING

from evercell import events as ev

if TYPE_CHECKING:
    from collections.abc import Callable

PAYLOAD = ev.Payload(b"0" * 16, "json", 2, b"{}")
MS = 1_000_000
_moment = itertools.count(1_700_000_000 * 10**9, MS)


def attached(generation: int = 1) -> ev.Event:
    return ev.RunAttached("run1", next(_moment), generation, 1, "host", None, "/n/agents.ipynb")


def cell_started(
    cell: str, slot: str = "id:a", *, index: int = 0, source: str = "ask()"
) -> ev.Event:
    return ev.CellStarted(
        "run1", next(_moment), cell, slot, index, None, source, b"", 0, "executed", "new", 1
    )


def cell_restored(cell: str, origin: str, slot: str = "id:a", *, index: int = 0) -> ev.Event:
    return ev.CellRestored(
        "run1", next(_moment), cell, origin, slot, index, None, "ask()", b"", 0, "same source", 1,
        2 * MS, 900 * MS,
    )  # fmt: skip


def cell_completed(cell: str) -> ev.Event:
    return ev.CellCompleted(
        "run1", next(_moment), cell, b"", 50 * MS, {}, (), (), (), None, None, True
    )


def cell_failed(cell: str, *, interrupted: bool = False) -> ev.Event:
    error = ev.ErrorInfo("ValueError", "<script>alert(1)</script>\nsecond line")
    return ev.CellFailed("run1", next(_moment), cell, 50 * MS, error, interrupted)


def step_started(step: str, cell: str, name: str = "ask", arguments: str = "{}") -> ev.Event:
    return ev.StepStarted(
        "run1", next(_moment), step, cell, "id:a", name, step.encode(), 0, arguments
    )


def attempt_started(step: str, cell: str, attempt: int = 2) -> ev.Event:
    return ev.AttemptStarted("run1", next(_moment), step, cell, attempt)


def attempt_failed(step: str) -> ev.Event:
    error = ev.ErrorInfo("openai.RateLimitError", "429")
    return ev.AttemptFailed("run1", next(_moment), step, 1, error, 2_000 * MS)


def step_completed(step: str) -> ev.Event:
    return ev.StepCompleted("run1", next(_moment), step, 1, PAYLOAD, None, 30 * MS)


def step_failed(step: str) -> ev.Event:
    error = ev.ErrorInfo("ValueError", "<b>no</b>")
    return ev.StepFailed("run1", next(_moment), step, 1, error, "non-retryable", 30 * MS)


def step_canceled(step: str) -> ev.Event:
    return ev.StepCanceled("run1", next(_moment), step, 1, "interrupted")


def answered(cell: str, *steps: str) -> ev.Event:
    return ev.StepsAnswered("run1", next(_moment), cell, steps)


def used(activity: str, tokens: int = 100) -> ev.Event:
    return ev.UsageRecorded("run1", next(_moment), activity, 1, "smollm2", tokens, 10, 0.5)


def killed_at_step(finished: int) -> list[ev.Event]:
    """A cell whose kernel died after `finished` steps, with one more in flight; a new kernel."""
    events = [attached(), cell_started("c1")]
    for n in range(finished):
        events += [step_started(f"s{n}", "c1"), used(f"s{n}"), step_completed(f"s{n}")]
    return [*events, step_started(f"s{finished}", "c1"), attached(2)]


def workflow_started(run: str, name: str = "review", *, parent: str | None = None) -> ev.Event:
    start = ev.WorkflowStart(f"{name}-{run}", "run1", PAYLOAD, b"", b"", parent=parent)
    return ev.RunStarted(
        run, next(_moment), name, None, {"topic": "ducks"}, "cpython-311", "0.1.0", start
    )


def workflow_finished(run: str, status: ev.RunEnd = "completed") -> ev.Event:
    error = ev.ErrorInfo("ValueError", "<b>no</b>") if status == "failed" else None
    return ev.RunFinished(run, next(_moment), status, PAYLOAD, '"all good"', error)


def workflow_step(run: str, step: str, name: str = "ask") -> ev.Event:
    return ev.StepStarted(run, next(_moment), step, "", "workflow", name, b"", 0, '{"q": 1}')


def step_done(run: str, step: str) -> ev.Event:
    return ev.StepCompleted(run, next(_moment), step, 1, PAYLOAD, None, 30 * MS)


def timer_started(run: str, timer: str, name: str = "sleep", seconds: int = 60) -> ev.Event:
    at = next(_moment)
    return ev.TimerStarted(run, at, timer, "workflow", name, at + seconds * 10**9)


def timer_fired(run: str, timer: str) -> ev.Event:
    return ev.TimerFired(run, next(_moment), timer)


def approval_requested(
    run: str, activity: str, prompt: str = "Publish it?", schema: str | None = None, cell: str = ""
) -> ev.Event:
    at = next(_moment)
    return ev.ApprovalRequested(
        run, at, activity, "workflow", prompt, schema, at + 3600 * 10**9, cell
    )


def approval_answered(run: str, activity: str, *, approved: bool = True) -> ev.Event:
    return ev.ApprovalAnswered(run, next(_moment), activity, approved, None, '{"n": 3}', "ada")


def map_started(cell: str, calls: int, name: str = "ask") -> ev.Event:
    return ev.MapStarted("run1", next(_moment), cell, name, calls)


def calls(work: Callable[[], object]) -> int:
    """How many functions `work` calls, in Python or C: what it costs, on any machine."""
    count = 0

    def see(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in {"call", "c_call"}

    gc.disable()  # what it calls is not the work's
    sys.setprofile(see)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return count
