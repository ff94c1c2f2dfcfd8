"""The worker of this process: made when the first workflow is started or defined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.errors import NotInKernelError

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
    """The worker of this process. Raises NotInKernelError where no notebook is recorded."""
    if _provider is None:
        raise NotInKernelError(
            "workflows run in a notebook on the Evercell kernel, and none is recording in this "
            "process. Choose the kernel 'Evercell (Python 3)', run %load_ext evercell and another "
            "cell, or test them with evercell.testing.WorkflowEnvironment."
        )
    return _provider()
