"""A run's events, past and coming, for whoever shows the run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from evercell.events import RunAttached, RunDetached, RunStarted
from evercell.history.locks import is_held
from evercell.history.tail import Tail
from evercell.threads import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.events import Event
    from evercell.history import History

__all__ = ["Branch", "Family", "Feed", "RecordedFeed", "RunFeed", "feed_of"]

_KERNELS = frozenset({RunStarted, RunAttached, RunDetached})  # who has a notebook's run
_INTERVAL, _REST = 0.25, 1.0  # seconds between looks at a run that a process has, or none has


class Feed(Protocol):
    """A run's events. Subscribe first, then ask for the past."""

    run_id: str

    def events_so_far(self) -> Iterable[Event]:
        """What is recorded up to now, each run's in order."""
        ...

    def subscribe(self, listener: Callable[[tuple[Event, ...]], None], /) -> Callable[[], None]:
        """Call `listener` with what comes, and with nothing when `is_over` changes. Returns what
        ends it."""
        ...

    def is_over(self) -> bool:
        """Whether no process has the run."""
        ...


class Family:
    """A notebook's run and the workflows' runs that its kernel carries: whose events belong."""

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._members = {run_id}

    def of(self, events: Iterable[Event]) -> tuple[Event, ...]:
        """Those of `events` that belong to the family. Runs that start are taken in."""
        members, own = self._members, self._run_id
        for event in events:
            if type(event) is RunStarted and event.start is not None and event.start.host == own:
                members.add(event.run_id)
        return tuple(event for event in events if event.run_id in members)


class RunFeed:
    """One run of a history, with the workflows' runs that it carries. Subscribe first, then ask
    for the past: what comes twice is the same event, and what shows a run must take it once."""

    def __init__(self, history: History, run_id: str) -> None:
        self.history, self.run_id = history, run_id
        self._family: Family | None = None  # until the past tells who belongs to it

    def events_so_far(self) -> Iterable[Event]:
        """What is recorded up to now, each run's in order; what the run shares of others first."""
        past = self.history.events(self.run_id, hosted=True)
        family = Family(self.run_id)
        family.of(past)
        self._family = family
        return [*self.history.forks.shared_events(self.run_id), *past]

    def subscribe(self, listener: Callable[[tuple[Event, ...]], None]) -> Callable[[], None]:
        """Call `listener` with the events as this process records them, on the recording thread,
        so it must be quick. Returns what ends it. Before the past was asked for, it gets all: a
        process records one notebook's run, and the runs that this one carries."""

        def only_ours(events: tuple[Event, ...]) -> None:
            family = self._family
            if ours := events if family is None else family.of(events):
                listener(ours)

        return self.history.subscribe(only_ours)

    def is_over(self) -> bool:
        """Whether no process has the run; this one has."""
        return False


class RecordedFeed:
    """A notebook's run that another process records, or recorded: read from the history, and on
    from its journals. With the workflows' runs that it carries."""

    def __init__(self, history: History, run_id: str) -> None:
        """`history` is asked here and not needed later. Raises what reading it raises."""
        self.run_id = run_id
        self._lock = history.folder / "runs" / f"{run_id}.lock"
        self._tail = Tail(history.folder)
        self._tail.read()  # the history holds it, too
        own = history.events(run_id, hosted=True)
        self._past = [*history.forks.shared_events(run_id), *own]
        self._family = Family(run_id)
        self._family.of(own)

    def events_so_far(self) -> Iterable[Event]:
        """What was recorded when this was made. Once: it is not kept."""
        past, self._past = self._past, []
        return past

    def subscribe(self, listener: Callable[[tuple[Event, ...]], None]) -> Callable[[], None]:
        """Call `listener` with the events as another process records them, and with none when one
        takes the run or lets go of it; on a thread of its own. Returns what ends it."""
        ended = threading.Event()

        def follow() -> None:
            was_over = self.is_over()
            while not ended.wait(_REST if was_over else _INTERVAL):
                over = self.is_over()
                came = self._family.of(self._tail.read())
                if came:
                    listener(came)
                if over != was_over:
                    listener(())
                was_over = over
            self._tail.close()

        OwnThread(follow, "evercell-tail").start()
        return ended.set

    def is_over(self) -> bool:
        """Whether no process has the run now."""
        return not is_held(self._lock)


class Branch:
    """One workflow's run and its children, out of the feed of the notebook's run that carries
    them. Of the notebook it holds only which kernel has it."""

    def __init__(self, feed: Feed, run_id: str) -> None:
        self._feed, self.run_id = feed, run_id
        self._members = {run_id}

    def events_so_far(self) -> Iterable[Event]:
        """See `RunFeed`."""
        return self._ours(self._feed.events_so_far())

    def subscribe(self, listener: Callable[[tuple[Event, ...]], None]) -> Callable[[], None]:
        """See `RunFeed`."""

        def only_ours(events: tuple[Event, ...]) -> None:
            ours = self._ours(events)
            if ours or not events:
                listener(ours)

        return self._feed.subscribe(only_ours)

    def is_over(self) -> bool:
        """Whether no process has the notebook's run."""
        return self._feed.is_over()

    def _ours(self, events: Iterable[Event]) -> tuple[Event, ...]:
        return tuple(event for event in events if self._is_ours(event))

    def _is_ours(self, event: Event) -> bool:
        members = self._members
        if type(event) is RunStarted and event.start is not None and event.start.parent in members:
            members.add(event.run_id)
        if event.run_id in members:
            return True
        return event.run_id == self._feed.run_id and type(event) in _KERNELS


def feed_of(history: History, run_id: str, own: RunFeed | None) -> tuple[Feed, str]:
    """The feed in which a run is seen, and the run_id of the workflow that it is about; empty for
    a notebook's run. `own` is the feed of this process's run, if it has one.

    Raises RunNotFoundError and what reading the history raises.
    """
    run_id = history.run(run_id).run_id
    started = next((it for it in history.events(run_id) if isinstance(it, RunStarted)), None)
    start = None if started is None else started.start
    host = run_id if start is None else start.host
    feed: Feed = own if own is not None and own.run_id == host else RecordedFeed(history, host)
    return (feed, "") if start is None else (Branch(feed, run_id), run_id)
