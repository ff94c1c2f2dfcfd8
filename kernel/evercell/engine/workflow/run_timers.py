"""A run's timers: what its loop's `call_later` becomes, and the time that its code sees."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell import events as e
from evercell.engine.workflow.asks import SLOT

if TYPE_CHECKING:
    import asyncio

    from evercell.engine.workflow.instance import Instance
    from evercell.events import Event

__all__ = ["RunTimers"]

_SECOND = 1_000_000_000


class RunTimers:
    """Implements `loop.Timers`. `name`: what the next timer is to be called."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self._started: dict[asyncio.TimerHandle, str] = {}  # their activities
        self.name: str | None = None

    def seconds(self) -> float:
        """The run's time."""
        return self._instance.at / _SECOND

    def timer_started(self, handle: asyncio.TimerHandle, delay: float) -> None:
        """The code waits for `delay` seconds."""
        instance = self._instance
        callback = getattr(getattr(handle, "_callback", None), "__name__", "")
        name = self.name or ("timeout" if "timeout" in callback else "sleep")
        self.name = None
        at = instance.at
        fire_at = at + int(delay * _SECOND)

        def make() -> Event:
            activity_id = instance.services.new_activity_id()
            return e.TimerStarted(instance.run_id, at, activity_id, SLOT, name, fire_at)

        event = instance.ask(("timer",), make, work=handle).event
        self._started[handle] = event.activity_id  # type: ignore[attr-defined] # a TimerStarted

    def timer_canceled(self, handle: asyncio.TimerHandle) -> None:
        """The code waits for it no more."""
        instance, activity_id = self._instance, self._started.pop(handle, None)
        if activity_id is None or instance.finished is not None or instance.closed:
            return
        instance.drop(activity_id)
        instance.tell(
            ("cancel of timer", activity_id),
            lambda: e.TimerCanceled(instance.run_id, instance.at, activity_id),
        )

    def ended(self, handle: asyncio.TimerHandle) -> None:
        """It fired, or was cancelled from outside."""
        self._started.pop(handle, None)
