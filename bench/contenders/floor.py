"""The floor: 300 bytes appended to one growing file and synced, nothing else."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECORD = bytes(300)


class Contender:
    """Appends and syncs."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / "floor.log", flags, 0o600)
        # macOS has no fdatasync in Python; its fsync leaves the bytes in the drive's cache.
        self._sync = getattr(os, "fdatasync", os.fsync)

    def sequential(self, tag: str, steps: int) -> float:
        """Seconds for `steps` durable appends."""
        begin = perf_counter()
        for _ in range(steps):
            os.write(self._file, RECORD)
            self._sync(self._file)
        return perf_counter() - begin

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)
