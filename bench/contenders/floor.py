"""The floor: 300 bytes written to one file and synced, nothing else."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RECORD = bytes(300)
ROOM = 16 << 20  # bytes, more than a run writes


class Contender:
    """Appends to a growing file, or writes along one that has its size and blocks already: the
    former makes the file system record the new size at each sync."""

    def __init__(self, folder: Path) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(folder / "floor.log", flags, 0o600)
        self._full = os.open(folder / "full.log", os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(self._full, bytes(ROOM))
        os.fsync(self._full)
        os.lseek(self._full, 0, os.SEEK_SET)
        # macOS has no fdatasync in Python; its fsync leaves the bytes in the drive's cache.
        self._sync = getattr(os, "fdatasync", os.fsync)

    def sequential(self, tag: str, steps: int, *, growing: bool) -> float:
        """Seconds for `steps` durable writes."""
        file = self._file if growing else self._full
        begin = perf_counter()
        for _ in range(steps):
            os.write(file, RECORD)
            self._sync(file)
        return perf_counter() - begin

    def close(self) -> None:
        """Close the files."""
        os.close(self._full)
        os.close(self._file)
