"""A cell's place in the saved notebook."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NotebookFile"]


class _Cell(msgspec.Struct):
    id: str | None = None


class _Cells(msgspec.Struct):
    cells: list[_Cell] = []


class NotebookFile:
    """A cell's index by its id, read from the notebook when the file has changed."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._seen: tuple[int, int] | None = None
        self._index: dict[str, int] = {}
        self._decoder = msgspec.json.Decoder(_Cells)  # skips sources and outputs unread

    def index_of(self, cell_id: str | None) -> int | None:
        """Index of the cell in the saved notebook, from 0; None if it is not there (yet)."""
        if self._path is None or cell_id is None:
            return None
        try:
            stat = self._path.stat()
            if (stat.st_mtime_ns, stat.st_size) != self._seen:
                cells = self._decoder.decode(self._path.read_bytes()).cells
                self._index = {c.id: n for n, c in enumerate(cells) if c.id is not None}
                self._seen = (stat.st_mtime_ns, stat.st_size)
        except (OSError, msgspec.DecodeError):
            return None  # being saved at this moment, or never saved: the index only informs
        return self._index.get(cell_id)
