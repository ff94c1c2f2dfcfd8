"""What reaches a durable call while it is under way: cancel, skip, retry now.

    command ─ Control.cancel | skip | retry_now ─ recorded ─ order ─> wakes who performs the call
    the call ends ─ Control.close ─> the order that came before, or None: later ones are refused

Whoever comes first wins: either the order is recorded and obeyed, or the call's own end is.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import msgspec

from evercell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evercell.events import Payload

__all__ = ["Canceled", "Control", "Order", "Skipped"]


class Canceled(msgspec.Struct, frozen=True):
    """Somebody cancelled the call."""

    reason: str


class Skipped(msgspec.Struct, frozen=True):
    """Somebody gave the call's result; it is recorded."""

    result: Payload


Order = Canceled | Skipped


class Control:
    """One durable call's. The commands' side may be any thread."""

    __slots__ = ("_closed", "_in_backoff", "_lock", "_order", "_wake", "activity_id", "attempt")

    def __init__(self, activity_id: str) -> None:
        self.activity_id = activity_id
        self.attempt = 1  # the latest one
        self._lock = threading.Lock()
        self._order: Order | None = None
        self._wake: Callable[[], None] | None = None
        self._in_backoff = False
        self._closed = False

    # -- commands -----------------------------------------------------------------------------

    def cancel(self, reason: str, record: Callable[[], None]) -> None:
        """Record and order the cancellation. Raises UsageError where it comes too late."""
        with self._lock:
            self._admit()
            record()
            self._give(Canceled(reason))

    def skip(self, result: Payload, record: Callable[[int], None]) -> None:
        """Record `result` as that of the latest attempt, whose number `record` gets, and end the
        call with it. Raises UsageError where it comes too late."""
        with self._lock:
            self._admit()
            record(self.attempt)
            self._give(Skipped(result))

    def retry_now(self, record: Callable[[], None]) -> None:
        """End the wait before the next attempt. Raises UsageError where there is none."""
        with self._lock:
            self._admit()
            if not self._in_backoff or self._wake is None:
                raise UsageError(
                    f"Step {self.activity_id} does not wait for its next attempt: attempt "
                    f"{self.attempt} is under way."
                )
            record()
            self._in_backoff = False
            self._wake()

    def _admit(self) -> None:
        if self._closed or self._order is not None:
            raise UsageError(f"Step {self.activity_id} has ended, or is about to.")

    def _give(self, order: Order) -> None:
        self._order = order
        if self._wake is not None:
            self._wake()

    # -- who performs the call ----------------------------------------------------------------

    @property
    def order(self) -> Order | None:
        """What was ordered, if anything was."""
        return self._order

    def close(self) -> Order | None:
        """The call ends now: the order that came before; None if none can come any more."""
        with self._lock:
            self._closed = True
            return self._order

    @contextmanager
    def listening(self, wake: Callable[[], None], *, backoff: bool = False) -> Iterator[None]:
        """Have `wake` called when an order comes, or came already; with `backoff` also when the
        next attempt is to be made now. It must be quick, from any thread."""
        self.listen(wake, backoff=backoff)
        try:
            yield
        finally:
            self.unlisten()

    def listen(self, wake: Callable[[], None], *, backoff: bool = False) -> None:
        """Begin what `listening` does."""
        with self._lock:
            self._wake, self._in_backoff = wake, backoff
            if self._order is not None:
                wake()

    def unlisten(self) -> None:
        """End what `listening` does."""
        with self._lock:
            self._wake, self._in_backoff = None, False
