"""What a folder's journals hold, read as the fold reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.history.segments import read_header, read_segment, segments

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["recorded"]


def recorded(folder: Path) -> list[bytes]:
    """Every event, encoded, writer by writer."""
    events: list[bytes] = []
    for files in segments(folder).values():
        batch = 0
        for _, path in files:
            reading = read_segment(path, read_header(path), 0, batch)
            assert reading.damage is None
            batch = reading.batch
            events += reading.events
    return events
