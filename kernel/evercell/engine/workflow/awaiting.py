"""The signals and conditions that a run's code waits for, told for people to see.

    begin ─ the activation ends ─┬─ it still waits ─ SignalAwaited | ConditionAwaited
                                 └─ it does not: nothing      end ─ SignalTaken | WaitEnded

Such a wait is no ask: nothing is carried out for it, and edited code may wait for something else.
So it is known by its number among the run's waits, and after a replay only what changed is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from evercell.engine.workflow.asks import SLOT
from evercell.events import ConditionAwaited, SignalAwaited, SignalTaken, WaitEnded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.events import Event

__all__ = ["Awaited", "Awaiting"]


@dataclass(slots=True, eq=False)
class Awaited:
    """One wait of the code."""

    activity_id: str
    kind: Literal["signal", "condition"]
    name: str  # of the signal; where the condition is written
    since: int  # nanoseconds since the epoch
    expires_at: int | None
    told: bool = False

    def event(self, run_id: str) -> Event:
        """What tells of it."""
        begun = SignalAwaited if self.kind == "signal" else ConditionAwaited
        return begun(run_id, self.since, self.activity_id, SLOT, self.name, self.expires_at)

    def told_by(self, event: SignalAwaited | ConditionAwaited) -> bool:
        """Whether the event is about this wait. A condition's cell may have another number now."""
        if self.kind == "condition":
            return isinstance(event, ConditionAwaited)
        return isinstance(event, SignalAwaited) and event.name == self.name


class Awaiting:
    """One run's waits."""

    __slots__ = ("_count", "_ended", "_new", "_run_id", "_waits")

    def __init__(self, run_id: str) -> None:
        self._run_id = run_id
        self._count = 0
        self._waits: dict[str, Awaited] = {}
        self._new: list[Awaited] = []  # perhaps to be told
        self._ended: list[tuple[str, str | None]] = []  # to be told, with the signal_id

    def begin(
        self, kind: Literal["signal", "condition"], name: str, at: int, limit: float | None
    ) -> Awaited:
        """The code begins to wait, for `limit` seconds at most."""
        self._count += 1
        expires_at = None if limit is None else at + int(limit * 1e9)
        wait = Awaited(f"{self._run_id}-w{self._count}", kind, name, at, expires_at)
        self._waits[wait.activity_id] = wait
        self._new.append(wait)
        return wait

    def end(self, wait: Awaited | None, signal_id: str | None = None) -> None:
        """The wait, if there was one, is over; the code took this signal, or none."""
        if wait is None:
            return
        del self._waits[wait.activity_id]
        if wait.told:
            self._ended.append((wait.activity_id, signal_id))

    def remember(self, history: Iterable[Event]) -> None:
        """After a replay: what the history tells of need not be told again."""
        known: dict[str, SignalAwaited | ConditionAwaited] = {}
        for event in history:
            match event:
                case SignalAwaited() | ConditionAwaited():
                    known[event.activity_id] = event
                case SignalTaken() | WaitEnded():
                    known.pop(event.activity_id, None)
                case _:
                    pass
        for activity_id, event in known.items():
            wait = self._waits.get(activity_id)
            if wait is None:
                self._ended.append((activity_id, None))
            else:
                wait.told = wait.told_by(event)

    def tell(self, at: int) -> list[Event]:
        """What is to be recorded of the changes since the last time."""
        if not self._new and not self._ended:
            return []
        events: list[Event] = []
        for activity_id, signal_id in self._ended:
            if signal_id is None:
                events.append(WaitEnded(self._run_id, at, activity_id))
            else:
                events.append(SignalTaken(self._run_id, at, activity_id, signal_id))
        for wait in self._new:
            if not wait.told and wait.activity_id in self._waits:
                wait.told = True
                events.append(wait.event(self._run_id))
        self._new, self._ended = [], []
        return events
