"""A run's events, past and coming, for whoever shows the run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.events import Event
    from evercell.history import History

__all__ = ["RunFeed"]


@dataclass(frozen=True, slots=True)
class RunFeed:
    """One run of a history. Subscribe first, then ask for the past: what comes twice is the same
    event, and what shows a run must take it once."""

    history: History
    run_id: str

    def events_so_far(self) -> Iterable[Event]:
        """What is recorded up to now, in order."""
        return self.history.events(self.run_id)

    def subscribe(self, listener: Callable[[tuple[Event, ...]], None]) -> Callable[[], None]:
        """Call `listener` with the run's events as this process records them, on the recording
        thread, so it must be quick. Returns what ends it."""

        def only_ours(events: tuple[Event, ...]) -> None:
            ours = tuple(event for event in events if event.run_id == self.run_id)
            if ours:
                listener(ours)

        return self.history.subscribe(only_ours)
