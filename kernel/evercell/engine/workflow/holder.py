"""The worker of this process: made when the first workflow is started or defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.engine.current import calling_workflow
from evercell.errors import NotInKernelError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.engine.workflow.worker import WorkflowWorker

__all__ = ["current_worker", "hold_worker"]

_provider: Callable[[], WorkflowWorker] | None = None


def hold_worker(provider: Callable[[], WorkflowWorker] | None) -> None:
    """Have `current_worker` ask `provider`; None: there is none any more."""
    global _provider  # noqa: PLW0603 - a process has one kernel
    _provider = provider


def current_worker() -> WorkflowWorker:
    """The worker of this process, seen from outside of its workflows. Raises NotInKernelError where
    no notebook is recorded, UsageError for workflow code: it would wait for its own thread."""
    if calling_workflow() is not None:
        raise UsageError(
            "workflow code can't ask this of runs and schedules: a replay could not repeat the "
            "answer. It may start children, and signal or cancel other runs; for all else, call a "
            "@step that does it."
        )
    if _provider is None:
        raise NotInKernelError(
            "workflows run in a notebook on the Evercell kernel, and none is recording in this "
            "process. Choose the kernel 'Evercell (Python 3)', run %load_ext evercell and another "
            "cell, or test them with evercell.testing.WorkflowEnvironment."
        )
    return _provider()
