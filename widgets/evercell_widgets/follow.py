"""A run's events, past and coming, folded into a view: each of them once."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from evercell_widgets.past import Past
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.clock import Clock
    from evercell.events import Event
    from evercell_widgets.feeder import EventSource

__all__ = ["Followed"]


class Followed:
    """The view of one source. `fold` and what reads `view` are one thread's at a time."""

    def __init__(self, source: EventSource, notify: Callable[[], None], clock: Clock) -> None:
        """`notify` is called, quickly, on the recording thread when there is something to fold."""
        self.view = RunView()
        self._queue: deque[tuple[Event, ...]] = deque()
        self._notify = notify
        self.close = source.subscribe(self._heard)
        past = list(source.events_so_far())
        self._past = Past(past, clock.now())
        apply_all(self.view, past)

    def fold(self) -> bool:
        """Take in what came. Returns whether anything did."""
        before = self.view.revision
        while self._queue:
            apply_all(self.view, self._past.unseen(self._queue.popleft()))
        return self.view.revision != before

    def _heard(self, events: tuple[Event, ...]) -> None:
        self._queue.append(events)
        self._notify()
