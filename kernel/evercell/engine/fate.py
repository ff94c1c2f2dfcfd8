"""What became of a letter, for the one who sent it: taken, refused with a reason, or still there.

letter ─┬─ the run's process took it ─> "recorded", or its refusal is raised
        └─ no process has the run, or it takes long ─> "kept" for whoever can carry it out
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from evercell.errors import EvercellError, ForkEditedError, ForkError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.history.inbox import Inbox, Refusal

__all__ = ["Fate", "fate_of", "refusal_of"]

# Its file goes when it is taken, by another process: no event of that reaches this one on every
# platform (inotify, kqueue and FSEvents differ, and shared file systems have none). The process
# itself looks five times a second, and a person waits.
_LOOK = 0.05  # seconds

Fate = Literal["recorded", "kept"]


def fate_of(
    inbox: Inbox,
    letter_id: str,
    *,
    patience: float,
    lives: Callable[[], bool],
    waiting: Callable[[float], None] = lambda _: None,
) -> Fate:
    """Wait for at most `patience` seconds, and while a process `lives` that has the run; `waiting`
    is told for how long. Raises what the run refused the letter with."""
    sent = time.monotonic()
    while inbox.holds(letter_id):
        waited = time.monotonic() - sent
        if waited > patience or not lives():
            return "kept"
        waiting(waited)
        time.sleep(_LOOK)
    refusal = inbox.take_refusal(letter_id)
    if refusal is None:
        return "recorded"
    raise refusal_of(refusal)


def refusal_of(refusal: Refusal) -> EvercellError:
    """The error with which a letter was refused."""
    kinds: dict[str, type[EvercellError]] = {it.code: it for it in (ForkEditedError, ForkError)}
    return kinds.get(refusal.code, UsageError)(refusal.message)
