"""Events in, pictures out: a thread that folds what happened and shows it a few times a second.

    appender's thread ── notify ──> queue ── feeder's thread ── fold ──> frame  (5-10 Hz: deltas)
                                                                    └──> still  (1 Hz: the table)

The feeder sleeps until it is notified; then it takes everything that came, shows it, and rests
for one interval, in which more may gather. Whatever came last is always shown, as a still too.
It works while the main thread blocks, as far as that thread lets go of the GIL.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from evercell.events import CellCompleted, CellFailed, CellRestored
from evercell_widgets.snapshot import Snapshot, delta, snapshot
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.clock import Clock
    from evercell.events import Event

__all__ = ["EventSource", "Feeder"]

_OVERLAP = 30 * 10**9  # ns around reading the past in which an event may come both ways

_CELL_ENDS = (CellCompleted, CellFailed, CellRestored)


class EventSource(Protocol):
    """A run whose events can be watched: those so far, and each new batch."""

    def events_so_far(self) -> Iterable[Event]:
        """Every event of the run until now, in order."""
        ...

    def subscribe(self, listener: Callable[[tuple[Event, ...]], None], /) -> Callable[[], None]:
        """Have `listener` called with each new batch, quickly, on any one thread. Returns what
        ends the subscription. A batch may also be among `events_so_far`."""
        ...


class Feeder:
    """Folds a source's events and hands out pictures until it is closed.

    `frame` gets deltas and, after a still, whole snapshots; `still` gets whole snapshots. Both
    run on the feeder's thread, or on one that calls `settle` or `close`. Intervals are in seconds.
    With `prompt`, the end of a cell is shown before the source goes on, on the source's thread:
    who runs a notebook headless stops listening when the last cell has ended.
    """

    def __init__(
        self,
        source: EventSource,
        *,
        frame: Callable[[Snapshot], None],
        still: Callable[[Snapshot], None],
        clock: Clock,
        frame_interval: float = 0.15,
        still_interval: float = 1.0,
        prompt: bool = False,
    ) -> None:
        self._frame, self._still, self._clock = frame, still, clock
        self._frame_interval, self._still_interval = frame_interval, still_interval
        self._view = RunView()
        self._queue: deque[tuple[Event, ...]] = deque()
        self._prompt, self._prompt_from_start = False, prompt
        self._owed = False  # the last still is older than the last frame
        self._last_still = clock.monotonic()
        self._showing = threading.Lock()  # the view and what goes out are one thread's at a time
        self._wake, self._closed = threading.Event(), threading.Event()
        self._unsubscribe = source.subscribe(self._notify)
        past = list(source.events_so_far())
        self._read_at = clock.now()
        since = self._read_at - _OVERLAP
        self._overlap = {_identity(event) for event in past if event.at >= since}
        apply_all(self._view, past)
        self._sent = self._view.revision  # the revision that the last frame showed
        self._thread = threading.Thread(target=self._run, name="evercell-view", daemon=True)

    def start(self) -> Snapshot:
        """Begin to feed; returns the picture to begin with."""
        first = snapshot(self._view, now=self._clock.now())
        self._prompt = self._prompt_from_start
        self._thread.start()
        return first

    def settle(self) -> Snapshot:
        """Show the last state now, on the calling thread; returns it."""
        with self._showing:
            if self._show_frame() or self._owed:
                self._show_still()
            return snapshot(self._view, now=self._clock.now())

    def close(self, timeout: float = 2.0) -> Snapshot:
        """Stop, after the last state was shown; returns it. May be called twice."""
        self._unsubscribe()
        self._closed.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(timeout)
        return self.settle()

    def _notify(self, events: tuple[Event, ...]) -> None:
        self._queue.append(events)
        if self._prompt and isinstance(events[-1], _CELL_ENDS):
            self.settle()
        else:
            self._wake.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.wait(self._until_still() if self._owed else None)
            self._wake.clear()
            with self._showing:
                self._owed = self._show_frame() or self._owed
                if self._owed and self._until_still() <= 0:
                    self._show_still()
            self._closed.wait(self._frame_interval)

    def _until_still(self) -> float:
        """Seconds until the next still is due, never negative."""
        return max(0.0, self._last_still + self._still_interval - self._clock.monotonic())

    def _show_frame(self) -> bool:
        """Fold what came and show it. Returns whether anything came."""
        before = self._view.revision
        while self._queue:
            apply_all(self._view, self._new(self._queue.popleft()))
        if self._view.revision == before:
            return False
        self._frame(delta(self._view, self._sent, now=self._clock.now()))
        self._sent = self._view.revision
        return True

    def _show_still(self) -> None:
        self._still(snapshot(self._view, now=self._clock.now()))
        self._owed, self._last_still = False, self._clock.monotonic()

    def _new(self, events: tuple[Event, ...]) -> Iterable[Event]:
        """`events` without those that `events_so_far` held. Threads that record at one time may
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
