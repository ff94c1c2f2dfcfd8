"""Time and identity, injected.

Everything that asks for the time or for a new id takes a `Clock`; `evercell.testing` has one
whose time the test moves.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading

__all__ = ["Clock", "SystemClock", "id_for"]

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"  # Crockford's base 32: no i, l, o, u


class Clock(Protocol):
    """Where time and new ids come from."""

    def now(self) -> int:
        """Wall-clock time in nanoseconds since the Unix epoch (UTC)."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""
        ...

    def new_id(self, length: int = 10) -> str:
        """A fresh random id of `length` base-32 characters (5 bits each)."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds`; an interrupt ends it at once."""
        ...

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        """Block until `event` is set, or `seconds` have passed; whether it is set. An interrupt
        ends it at once."""
        ...

    async def sleep_async(self, seconds: float) -> None:
        """Suspend the calling task for `seconds`."""
        ...


class SystemClock:
    """The machine's own clock and random source."""

    def now(self) -> int:
        return time.time_ns()

    def monotonic(self) -> float:
        return time.monotonic()

    def new_id(self, length: int = 10) -> str:
        return _spelled(secrets.token_bytes(length))

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)

    def wait(self, event: threading.Event, seconds: float | None) -> bool:
        return event.wait(seconds)

    async def sleep_async(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def id_for(text: str, length: int = 10) -> str:
    """The id of `length` (64 at most) characters that goes with `text`: as a new one, and the same
    each time."""
    return _spelled(hashlib.blake2b(text.encode(), digest_size=length).digest())


def _spelled(digits: bytes) -> str:
    return "".join([_ALPHABET[byte & 31] for byte in digits])
