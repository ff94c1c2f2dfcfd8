"""Taking once what comes twice: who follows a run subscribes first and reads the past then."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from evercell.events import Event

__all__ = ["Past"]

_OVERLAP = 30 * 10**9  # ns around reading the past in which an event may come both ways


class Past:
    """What was read of a run at `read_at` (wall clock, ns)."""

    def __init__(self, events: Iterable[Event], read_at: int) -> None:
        self._read_at = read_at
        since = read_at - _OVERLAP
        recent = [event for event in events if event.at >= since]
        self._recent = set(map(_identity, recent))
        self._latest = max((event.at for event in recent), default=0)

    def unseen(self, events: Sequence[Event]) -> Sequence[Event]:
        """`events` without those that the past held. Threads that record at one time may notify
        in another order than they recorded, so each event is looked up, for a while."""
        if not self._recent or not events:
            return events
        if events[-1].at > self._read_at + _OVERLAP:
            self._recent.clear()
            return events
        latest = self._latest
        return [event for event in events if event.at > latest or self._is_new(event)]

    def _is_new(self, event: Event) -> bool:
        identity = _identity(event)
        if identity not in self._recent:
            return True
        self._recent.remove(identity)
        return False


def _identity(event: Event) -> tuple[type[Event], int, str | None]:
    """What no two events of a run share."""
    activity = getattr(event, "activity_id", None) or getattr(event, "cell", None)
    return type(event), event.at, activity
