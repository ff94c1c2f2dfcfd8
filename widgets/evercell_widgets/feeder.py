"""Events in, pictures out: a thread that folds what happened and shows it a few times a second.

    appender's thread ── notify ──> queue ── feeder's thread ── fold ──> frames (5-10 Hz, per page)
                                                                    └──> still  (1 Hz: the table)
    a page's look ── on whatever thread it comes ── fold ──> that page's frame, at once

The feeder sleeps until it is notified; then it takes everything that came, shows it, and rests
for one interval, or longer if showing takes long: in all it stays below a small share of the time.
Whatever came last is always shown, as a still too. It works while the main thread blocks, as far
as that thread lets go of the GIL.
"""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Protocol

from evercell.events import CellCompleted, CellFailed, CellRestored
from evercell.threads import OwnThread
from evercell_widgets.frames import Acts, Frame, Viewers, frame_of, nothing
from evercell_widgets.outline import Look
from evercell_widgets.past import Past
from evercell_widgets.snapshot import Snapshot, snapshot
from evercell_widgets.view import RunView, apply_all, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.clock import Clock
    from evercell.events import Event
    from evercell_widgets.state import Wait

__all__ = ["EventSource", "Feeder", "Screen"]

_SHARE = 300  # rest this many times what showing took
_FRAME_REST, _STILL_REST = 1.0, 15.0  # seconds: the longest rests

_CELL_ENDS = (CellCompleted, CellFailed, CellRestored)


class EventSource(Protocol):
    """A run whose events can be watched: those so far, and each new batch."""

    def events_so_far(self) -> Iterable[Event]:
        """Every event of the run until now, in order."""
        ...

    def subscribe(self, listener: Callable[[tuple[Event, ...]], None], /) -> Callable[[], None]:
        """Have `listener` called with each new batch, quickly, on any one thread. Returns what
        ends the subscription. A batch may also be among `events_so_far`. An empty one says that
        `is_over` has changed."""
        ...

    def is_over(self) -> bool:
        """Whether no process has the run: what it left unfinished is in doubt."""
        ...


class Screen(Protocol):
    """Where the pictures go; called by one thread at a time."""

    def frame(self, page: str, frame: Frame) -> None:
        """What `page` looks at has changed."""
        ...

    def picture(self, frame: Frame) -> None:
        """The beginning of the run, whole: for a page that has not said where it looks."""
        ...

    def still(self, picture: Snapshot) -> None:
        """The run as the static table shows it."""
        ...


class Feeder:
    """Folds a source's events and hands out pictures until it is closed.

    Pictures go out on the feeder's thread, or on one that calls `settle` or `close`. Intervals
    are in seconds. With `prompt`, the end of a cell is shown before the source goes on, on the
    source's thread: who runs a notebook headless stops listening when the last cell has ended.
    `acts` says to which runs pages may offer actions. `subject`: see `RunView`.
    """

    def __init__(
        self,
        source: EventSource,
        screen: Screen,
        *,
        clock: Clock,
        frame_interval: float = 0.18,
        still_interval: float = 1.0,
        prompt: bool = False,
        acts: Acts = nothing,
        subject: str = "",
    ) -> None:
        self._source, self._screen, self._clock, self._acts = source, screen, clock, acts
        self._frame_interval, self._still_interval = frame_interval, still_interval
        self._frame_rest = frame_interval
        self._view = RunView(subject=subject)
        self._viewers = Viewers(self._view, now=clock.now, monotonic=clock.monotonic, acts=acts)
        self._queue: deque[tuple[Event, ...]] = deque()
        self._prompt, self._prompt_from_start = False, prompt
        self._owed = False  # the last still is older than the last frame
        self._still_at = clock.monotonic() + still_interval  # when the next one may come
        self._showing = threading.Lock()  # the view and what goes out are one thread's at a time
        self._wake, self._closed = threading.Event(), threading.Event()
        self._unsubscribe = source.subscribe(self._notify)
        past = list(source.events_so_far())
        self._past = Past(past, clock.now())
        apply_all(self._view, past)
        if source.is_over():
            stop(self._view)
        self._shown = self._view.revision  # by the last frame
        self._thread = OwnThread(self._run, "evercell-view")

    def start(self) -> tuple[Frame, Snapshot]:
        """Begin to feed; returns the pictures to begin with."""
        first = self._picture(), self._snapshot()
        self._prompt = self._prompt_from_start
        self._thread.start()
        return first

    def look(self, page: str, look: Look, *, fresh: bool = False) -> None:
        """`page` looks at this from now on; show it. From any thread. With `fresh`, the frame is
        whole."""
        with self._showing:  # until it is out: the next frame holds what differs from this one
            self._fold()
            self._screen.frame(page, self._viewers.look(page, look, fresh=fresh))

    def leave(self, page: str) -> None:
        """`page` looks no more."""
        with self._showing:
            self._viewers.leave(page)

    def approval(self, activity_id: str) -> Wait | None:
        """The approval with this id, if it is pending. From any thread."""
        with self._showing:
            self._fold()
            return self._view.approvals.get(activity_id)

    def settle(self) -> Snapshot:
        """Show the last state now, on the calling thread; returns it."""
        with self._showing:
            if self._show_frames() or self._owed:
                self._show_still()
            return self._snapshot()

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
        if self._prompt and events and isinstance(events[-1], _CELL_ENDS):
            self.settle()
        elif not self._wake.is_set():
            self._wake.set()

    def _run(self) -> None:
        while not self._closed.is_set():
            self._wake.wait(self._until_due())
            self._wake.clear()
            with self._showing:
                self._owed = self._show_frames() or self._owed
                if self._owed and self._clock.monotonic() >= self._still_at:
                    self._show_still()
            self._closed.wait(self._frame_rest)

    def _until_due(self) -> float | None:
        """Seconds until something is due without a notice; None for never."""
        if self._viewers.owe:
            return self._frame_interval
        return max(0.0, self._still_at - self._clock.monotonic()) if self._owed else None

    def _fold(self) -> None:
        came: list[Event] = []
        while self._queue:
            events = self._queue.popleft()
            came += events
            if events and self._queue:  # as many as there are at once: most are steps of one
                continue
            apply_all(self._view, self._past.unseen(came))
            came = []
            if not events and self._source.is_over():
                stop(self._view)

    def _show_frames(self) -> bool:
        """Fold what came and show it. Returns whether anything came."""
        self._fold()  # costs the same, however often it is done
        began = self._clock.monotonic()
        came = self._view.revision != self._shown
        if came or self._viewers.owe:
            for page, frame in self._viewers.frames():
                self._screen.frame(page, frame)
            if not self._viewers:
                self._screen.picture(self._picture())
        self._shown = self._view.revision
        took = self._clock.monotonic() - began
        self._frame_rest = min(max(self._frame_interval, _SHARE * took), _FRAME_REST)
        return came

    def _show_still(self) -> None:
        began = self._clock.monotonic()
        if self._viewers:
            self._screen.picture(self._picture())
        self._screen.still(self._snapshot())
        now = self._clock.monotonic()
        rest = min(max(self._still_interval, _SHARE * (now - began)), _STILL_REST)
        self._owed, self._still_at = False, now + rest

    def _picture(self) -> Frame:
        return frame_of(self._view, Look(), now=self._clock.now(), acts=self._acts)

    def _snapshot(self) -> Snapshot:
        return snapshot(self._view, now=self._clock.now())
