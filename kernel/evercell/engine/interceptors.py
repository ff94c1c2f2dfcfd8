"""Code around every attempt of a step, and at the end of every workflow: `Interceptor`.

OpenTelemetry is one that is always there: where a program has imported it, each attempt is a span,
and each run of a workflow one that is recorded when it ends (a run may outlive its process).
"""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evercell import settings

if TYPE_CHECKING:
    from evercell.engine.context import StepInfo

__all__ = ["Interceptor", "WorkflowEnd", "around_step", "has_interceptors", "workflow_ended"]


@dataclass(frozen=True, slots=True)
class WorkflowEnd:
    """How a run of a workflow ended; times in nanoseconds since the epoch."""

    workflow: str
    workflow_id: str
    run_id: str
    status: str
    started_at: int
    ended_at: int
    error: str | None  # type and message


class Interceptor:
    """Override what you need, and give instances to `evercell.configure(interceptors=[...])`; the
    first one is the outermost. What `step` raises before the body becomes the attempt's failure."""

    def step(self, info: StepInfo) -> AbstractContextManager[Any]:
        """A context around each attempt's body, on its thread or in its task."""
        del info
        return nullcontext()

    def workflow(self, end: WorkflowEnd) -> None:
        """A run of a workflow ended; called on the workflows' thread, so it must be quick."""


def has_interceptors() -> bool:
    """Whether anything is to be done around a step."""
    return bool(settings.current().interceptors) or "opentelemetry.trace" in sys.modules


def around_step(info: StepInfo) -> AbstractContextManager[Any]:
    """All interceptors' contexts around an attempt."""
    stack = ExitStack()
    try:
        for interceptor in _all():
            stack.enter_context(interceptor.step(info))
    except BaseException:
        stack.close()
        raise
    return stack


def workflow_ended(end: WorkflowEnd) -> None:
    """Tell all interceptors."""
    for interceptor in _all():
        interceptor.workflow(end)


def _all() -> list[Interceptor]:
    found: list[Any] = list(settings.current().interceptors)
    if "opentelemetry.trace" in sys.modules:
        found.append(_Tracing())
    return found


class _Tracing(Interceptor):
    """Spans through whatever tracer provider the program has set up."""

    def step(self, info: StepInfo) -> AbstractContextManager[Any]:
        attributes = {
            "evercell.run_id": info.run_id,
            "evercell.activity_id": info.activity_id,
            "evercell.attempt": info.attempt,
        }
        span: AbstractContextManager[Any] = _tracer().start_as_current_span(
            f"step {info.name}", attributes=attributes
        )
        return span

    def workflow(self, end: WorkflowEnd) -> None:
        trace = sys.modules["opentelemetry.trace"]
        span = _tracer().start_span(
            f"workflow {end.workflow}",
            start_time=end.started_at,
            attributes={
                "evercell.run_id": end.run_id,
                "evercell.workflow_id": end.workflow_id,
                "evercell.status": end.status,
            },
        )
        if end.error is not None:
            span.set_status(trace.Status(trace.StatusCode.ERROR, end.error))
        span.end(end.ended_at)


def _tracer() -> Any:
    return sys.modules["opentelemetry.trace"].get_tracer("evercell")
