"""The workflow whose code is calling, if any: durable calls go to it instead of the cell."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from evercell.engine.durations import Duration
    from evercell.engine.step import Step

__all__ = ["WorkflowCode", "calling_workflow", "set_calling"]


class WorkflowCode(Protocol):
    """What the durable calls of a notebook become in workflow code. Everything is awaited there."""

    def step(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        """A step's result."""
        ...

    def sleep(self, duration: Duration) -> Awaitable[None]:
        """Done after `duration`."""
        ...

    def wait_signal(self, name: str, kind: Any, timeout: Duration | None) -> Awaitable[Any]:
        """The next signal's argument. Raises TimeoutError."""
        ...

    def approval(self, prompt: str, schema: Any, timeout: Duration | None) -> Awaitable[Any]:
        """A person's answer. Raises TimeoutError."""
        ...


_code: Any = None
_thread = 0  # ident of the thread that runs workflow code now: one at a time does


def set_calling(code: Any) -> Any:
    """Make `code` the workflow that calls from this thread; returns the one before. None: none."""
    global _code, _thread
    before, _thread = _code, 0  # first: another thread must not take the next code for its own
    _code, _thread = code, 0 if code is None else threading.get_ident()
    return before


def calling_workflow() -> Any:
    """The `WorkflowCode` whose code is calling; None outside workflow code."""
    return _code if _thread == threading.get_ident() else None
