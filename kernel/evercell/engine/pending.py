"""One wait of a cell: what began it, and how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import msgspec
from msgspec import field

from evercell.engine.control import Canceled
from evercell.events import (
    ApprovalAnswered,
    ApprovalRequested,
    SignalAwaited,
    SignalReceived,
    TimerStarted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Begun", "Fired", "Key", "MakeBegun", "Outcome", "Pending", "Replied", "Taken", "stands"]

Begun = TimerStarted | SignalAwaited | ApprovalRequested


class Fired(msgspec.Struct, frozen=True):
    """Its time came: a timer's, or the time limit of a wait."""


class Taken(msgspec.Struct, frozen=True):
    """It got this signal."""

    signal: SignalReceived


class Replied(msgspec.Struct, frozen=True):
    """A person answered."""

    answer: ApprovalAnswered


Outcome = Fired | Taken | Replied | Canceled
Key = tuple[str, bytes, int]  # slot, key, ordinal


class MakeBegun(Protocol):
    """Makes the event of a wait that begins, or goes on in another execution of its cell."""

    def __call__(self, activity_id: str, since: int) -> Begun:
        """`since`: when it was begun first, which its time limit counts from."""
        ...


class Pending(msgspec.Struct, eq=False):
    """One wait: a timer, or a wait for a signal or an answer."""

    begun: Begun
    since: int  # nanoseconds since the epoch
    outcome: Outcome | None = None  # recorded
    offer: Fired | Taken | None = None  # for who waits to record
    wakes: list[Callable[[], None]] = field(default_factory=list)  # of those who wait now
    prevent: Callable[[], None] | None = None  # its deadline
    holders: int = 0  # objects of this process's code that it can be asked through
    check: Callable[[SignalReceived], object] | None = None  # raises for one of another kind
    let_go: Callable[[], None] | None = None  # frees the frames of an `await` that was cut off

    @property
    def activity_id(self) -> str:
        """The wait's id, which stays the same over restarts."""
        return self.begun.activity_id

    @property
    def due(self) -> int | None:
        """When it ends by itself, in nanoseconds since the epoch."""
        begun = self.begun
        return begun.fire_at if isinstance(begun, TimerStarted) else begun.expires_at

    @property
    def words(self) -> str:
        """What it is, for people."""
        match self.begun:
            case TimerStarted():
                return "the timer"
            case SignalAwaited(name=name):
                return f"the wait for signal {name!r}"
            case ApprovalRequested(prompt=prompt):
                return f"the question {prompt!r}"

    @property
    def over(self) -> bool:
        """Whether nothing can reach it any more."""
        return self.outcome is not None or self.offer is not None

    def wake(self) -> None:
        """Wake those who wait."""
        for wake in list(self.wakes):
            wake()


def stands(wait: Pending, *, resuming: bool) -> bool:
    """Whether what came of the wait is what it gives now, instead of waiting once more."""
    match wait.outcome:
        case None:
            return False
        case Taken() | Replied():
            return True
        case Fired():
            return resuming or isinstance(wait.begun, TimerStarted)
        case Canceled():
            return resuming
