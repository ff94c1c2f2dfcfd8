"""A run's events, past and coming, for whoever shows the run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.events import RunStarted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.events import Event
    from evercell.history import History

__all__ = ["Family", "RunFeed"]


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
        """What is recorded up to now, each run's in order."""
        past = self.history.events(self.run_id, hosted=True)
        family = Family(self.run_id)
        family.of(past)
        self._family = family
        return past

    def subscribe(self, listener: Callable[[tuple[Event, ...]], None]) -> Callable[[], None]:
        """Call `listener` with the events as this process records them, on the recording thread,
        so it must be quick. Returns what ends it. Before the past was asked for, it gets all: a
        process records one notebook's run, and the runs that this one carries."""

        def only_ours(events: tuple[Event, ...]) -> None:
            family = self._family
            if ours := events if family is None else family.of(events):
                listener(ours)

        return self.history.subscribe(only_ours)
