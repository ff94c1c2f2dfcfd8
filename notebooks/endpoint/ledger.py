"""The endpoint's own record of what it was asked: one JSON object per line, synced line by line.

Each request has two lines: `received` before anybody works on it, and `answered` after the last byte
of the answer was sent (or the connection was dropped). A request that was being answered when its
caller died has both, too: what the caller made of it, only the caller's history knows.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Entry", "Ledger", "requests"]


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the ledger."""

    at: int  # nanoseconds since the epoch
    sequence: int  # of the request, from 1
    event: Literal["received", "answered"]
    body: str  # BLAKE2 of the request's body, 32 hexadecimal digits: equal requests, equal digests
    prompt: str  # what the last message said
    outcome: str = ""  # of `answered`: the HTTP status, or "dropped"

    @classmethod
    def parse(cls, line: str) -> Entry:
        """The entry in one line. Raises ValueError or TypeError on anything else."""
        return cls(**json.loads(line))

    def line(self) -> str:
        return json.dumps(asdict(self), ensure_ascii=False) + "\n"


class Ledger:
    """Appends entries to a file; each is on disk before `write` returns, then echoed on stdout,
    where `EndpointProcess` waits for it."""

    def __init__(self, path: Path, *, echo: bool = False) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a", encoding="utf-8")
        self._lock = threading.Lock()
        self._echo = echo
        self._sequence = 0

    def received(self, body: str, prompt: str) -> Entry:
        """Record that a request came in; returns its entry, with the sequence number."""
        with self._lock:
            self._sequence += 1
            entry = Entry(time.time_ns(), self._sequence, "received", body, prompt)
            self._write(entry)
        return entry

    def answered(self, request: Entry, outcome: str) -> None:
        """Record how the request ended."""
        with self._lock:
            self._write(
                Entry(
                    time.time_ns(),
                    request.sequence,
                    "answered",
                    request.body,
                    request.prompt,
                    outcome,
                )
            )

    def _write(self, entry: Entry) -> None:
        self._file.write(entry.line())
        self._file.flush()
        os.fsync(self._file.fileno())
        if self._echo:
            print(entry.line(), end="", flush=True)


def requests(entries: Iterable[Entry]) -> list[Entry]:
    """The requests, in the order in which they came in."""
    return [entry for entry in entries if entry.event == "received"]
