"""Reading a folder that can't be written, as a mounted backup or another user's.

    all folded, and this release's views?  ── yes ── the file itself, read-only
                                           └─ no ─── a copy in a temporary folder, folded there

Journals that may not be read (they are their user's only) are left out: what their owner has
folded is what there is.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from evercell.errors import JournalDamagedError
from evercell.history.applied import load_applied
from evercell.history.database import translated
from evercell.history.fold import fold
from evercell.history.locks import is_held
from evercell.history.segments import read_header, read_segment, segments

if TYPE_CHECKING:
    import duckdb

    from evercell.history.database import Database
    from evercell.history.keys import UserKey
    from evercell.history.payloads import PayloadStore

__all__ = ["Snapshot"]


class Snapshot:
    """What can be read of `database` and of the journals in `journal`, neither of which can be
    written."""

    def __init__(
        self, database: Database, journal: Path, payloads: PayloadStore, key: UserKey
    ) -> None:
        self._source = database
        self._journal = journal
        self._payloads = payloads
        self._key = key
        self._folder: TemporaryDirectory[str] | None = None

    def take(self, *, damaged: bool = False) -> Database:
        """The database to read, up to date; with `damaged`, whatever state the journals are in.

        Raises HistoryLockedError, HistoryNewerError, JournalDamagedError, HistoryWriteError where
        there is no room for a copy.
        """
        path = self._source.path
        if path.exists():
            with self._source.connect(read_only=True) as connection, translated(path):
                if self._source.is_current(connection) and self._is_folded(connection):
                    return self._source
        self._folder = TemporaryDirectory(prefix="evercell-")
        copy = self._source.elsewhere(Path(self._folder.name))
        if path.exists():
            self._source.copy_to(copy.path)
        with copy.connect() as connection:
            if self._may_read_journals():
                with suppress(*((JournalDamagedError,) if damaged else ())):
                    self._fold(connection, copy)
        return copy

    def _fold(self, connection: duckdb.DuckDBPyConnection, copy: Database) -> None:
        fold(connection, self._journal, copy.path, self._payloads, self._key, tidy=False)

    def _is_folded(self, connection: duckdb.DuckDBPyConnection) -> bool:
        if not self._may_read_journals():
            return True
        known = load_applied(connection)
        for writer, files in segments(self._journal).items():
            state = known.pop(writer, None)
            number, path = files[-1]
            if state is None or state.segment < number or state.alive != self._lives(writer):
                return False
            if state.segment == number:
                header = read_header(path)
                if read_segment(path, header, state.offset, state.batch).batch != state.batch:
                    return False
        return not any(state.alive for state in known.values())

    def _lives(self, writer: str) -> bool:
        return is_held(self._journal / f"{writer}.lock")

    def _may_read_journals(self) -> bool:
        files = (path for found in segments(self._journal).values() for _, path in found)
        return all(os.access(path, os.R_OK) for path in files)
