"""A run's events, past and coming, folded into a view: each of them once."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.clock import Clock
    from evercell.events import Event
    from evercell_widgets.feeder import EventSource

__all__ = ["Followed"]

_OVERLAP = 30 * 10**9  # ns around reading the past in which an event may come both ways


class Followed:
    """The view of one source. `fold` and what reads `view` are one thread's at a time."""

    def __init__(self, source: EventSource, notify: Callable[[], None], clock: Clock) -> None:
        """`notify` is called, quickly, on the recording thread when there is something to fold."""
        self.view = RunView()
        self._queue: deque[tuple[Event, ...]] = deque()
        self._notify = notify
        self.close = source.subscribe(self._heard)
        past = list(source.events_so_far())
        self._read_at = clock.now()
        since = self._read_at - _OVERLAP
        self._overlap = {_identity(event) for event in past if event.at >= since}
        apply_all(self.view, past)

    def fold(self) -> bool:
        """Take in what came. Returns whether anything did."""
        before = self.view.revision
        while self._queue:
            apply_all(self.view, self._new(self._queue.popleft()))
        return self.view.revision != before

    def _heard(self, events: tuple[Event, ...]) -> None:
        self._queue.append(events)
        self._notify()

    def _new(self, events: tuple[Event, ...]) -> Iterable[Event]:
        """`events` without those that were there already. Threads that record at one time may
        notify in another order than they recorded, so each event is looked up, for a while."""
        if not self._overlap:
            return events
        if events[-1].at > self._read_at + _OVERLAP:
            self._overlap.clear()
            return events
        new = [event for event in events if _identity(event) not in self._overlap]
        self._overlap.difference_update(map(_identity, events))
        return new


def _identity(event: Event) -> tuple[type[Event], int, str | None]:
    """What no two events of a run share."""
    activity = getattr(event, "activity_id", None) or getattr(event, "cell", None)
    return type(event), event.at, activity
