"""Reading what is folded while a cell runs: another program that holds the file is waited for.

A cell whose steps are all recorded must not fail because somebody has the history open in the
DuckDB CLI, so the limit of other reads does not hold here. A connection in this very process is
another matter: it may be the cell's own, which would wait for itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from evercell.errors import HistoryLockedError

if TYPE_CHECKING:
    from collections.abc import Callable

    import duckdb

    from evercell.history.reader import Reader

__all__ = ["Patience"]

T = TypeVar("T")


class Patience:
    """`Reader.read_folded` as often as it takes; `tell` takes a line for the user at each wait."""

    def __init__(self, reader: Reader, tell: Callable[[str], None]) -> None:
        self._reader = reader
        self._tell = tell

    def __call__(self, use: Callable[[duckdb.DuckDBPyConnection], T], /) -> T:
        """Raises KeyboardInterrupt, and what else `Reader.read_folded` raises; HistoryLockedError
        only for a connection in this process."""
        told = False
        while True:
            try:
                return self._reader.read_folded(use)
            except HistoryLockedError as error:
                if error.here:
                    raise
                if not told:
                    self._tell(f"{error.message} The cell goes on by itself then.")
                told = True
