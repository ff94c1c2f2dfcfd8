"""The folded database, opened for the time of a read.

    read ─ flush own journal ─ lock ─ is anything new? ─ fold ─ use the connection ─ close

A folder that can't be written is read as it is, or as a copy that is folded elsewhere
(snapshot.py).
`reading()` keeps one connection for several reads, because opening DuckDB costs about 30 ms, and
`opening()` one in whose fold nothing is tidied up: DuckDB takes 0.3 s to take its log in.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from evercell.errors import HistoryWriteError, JournalDamagedError
from evercell.history.ahead import make_ahead
from evercell.history.database import translated
from evercell.history.fold import Fingerprint, fingerprint, fold
from evercell.history.interrupts import held_interrupts
from evercell.history.segments import segments
from evercell.history.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

    from evercell.history.ahead import Ahead, Known
    from evercell.history.database import Database
    from evercell.history.journal import Journal
    from evercell.history.keys import UserKey
    from evercell.history.payloads import PayloadStore

__all__ = ["Reader"]

T = TypeVar("T")

_SETTLED = 50_000_000  # nanoseconds after which a file's time has surely moved past a write


class Reader:
    """Folds the journals beside `journal` into `database`, and lends connections to it."""

    def __init__(
        self, database: Database, journal: Journal, payloads: PayloadStore, key: UserKey
    ) -> None:
        self.database = database
        self._journal = journal
        self._payloads = payloads
        self._key = key
        self._lock = threading.RLock()  # DuckDB is opened by one thread at a time
        self._connection: duckdb.DuckDBPyConnection | None = None  # of `reading`
        self._writable = False
        self._tidy = True  # what is folded by it
        self._folded: tuple[Fingerprint, int] | None = None  # with the database file's inode
        self._known: Known | None = None  # how the last fold here left the database
        self._snapshot = Snapshot(database, journal.folder, payloads, key)
        self._current = database  # what was opened last

    def read(
        self,
        use: Callable[[duckdb.DuckDBPyConnection], T],
        *,
        read_only: bool = False,
        shared: bool = False,
    ) -> T:
        """Fold, then `use` a connection; one that can't write, if asked; one beside which `use` may
        open the file once more, if it is `shared`.

        Raises HistoryLockedError, HistoryWriteError, HistoryNewerError, JournalDamagedError.
        """
        with self._alone():
            if self._connection is not None:
                return self._use_open(use, read_only=read_only, shared=shared)
            with self._opened(read_only=read_only or shared) as connection:
                return use(connection)

    def fold(self) -> None:
        """Fold what there is, and hold the file for as short as can be. Raises what `read`
        raises."""
        self._flush()
        with self._alone():
            ahead = self._make_ahead()
            with self.database.turn():
                state = self._state()
                if self._differs(state):
                    with self.database.attach() as connection:
                        self._fold(connection, state, ahead)

    def read_folded(self, use: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """`use` a connection to what was folded before: no flushing, no folding, nothing written.

        Raises HistoryLockedError, HistoryNewerError.
        """
        path = self.database.path
        with self._alone():
            if self._connection is not None:
                return use(self._connection)
            with (
                self.database.turn(),
                self.database.attach(read_only=True) as connection,
                translated(path),
            ):
                return use(connection)

    def write(self, use: Callable[[duckdb.DuckDBPyConnection], T], *, damaged: bool = False) -> T:
        """Fold, then `use` a connection that can write; with `damaged`, whatever state the
        journals are in. Raises what `read` raises."""
        self._flush()
        path = self.database.path
        with self._alone(), self.database.turn(), self.database.connect() as connection:
            with suppress(*((JournalDamagedError,) if damaged else ())):
                self._fold(connection, self._state())
            self._folded = None
            with translated(path):
                return use(connection)

    def inspect(self, use: Callable[[duckdb.DuckDBPyConnection], T]) -> T:
        """Fold what can be folded, then `use` a connection without changing anything. Raises what
        `read` raises, apart from JournalDamagedError."""
        if self.database.writable:
            return self.write(use, damaged=True)
        with self._alone(), self._as_it_is(damaged=True) as connection:
            return use(connection)

    def let_go(self) -> None:
        """End what `fold` keeps for the next time."""
        with self._alone():
            self.database.let_go()

    def compact(self) -> None:
        """Give the space of deleted rows back to the disk."""
        with self._alone(), self.database.turn():
            self.database.compact()
            self._folded = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keep one connection for all reads of this thread in the block. Raises what `read`
        raises."""
        with self._alone():
            if self._connection is not None:
                yield
                return
            with self._opened(read_only=False) as connection:
                self._connection = connection
                try:
                    yield
                finally:
                    self._connection.close()  # perhaps another one by now
                    self._connection = None

    @contextmanager
    def opening(self) -> Iterator[None]:
        """`reading` for who is in a hurry and folds later on: DuckDB's log is not taken in, and no
        journal deleted. Not for reads that are `shared`."""
        with self._alone():
            if self._connection is not None or not self.database.writable:
                with self.reading():
                    yield
                return
            self._flush()
            ahead = self._make_ahead()
            with self.database.turn(), self.database.attach(tidy=False) as connection:
                state = self._state()
                self._connection, self._writable, self._tidy = connection, True, False
                try:
                    if self._differs(state):
                        self._fold(connection, state, ahead)
                    with translated(self.database.path):
                        yield
                finally:
                    self._connection, self._tidy = None, True
                    self._folded = None  # the next fold tidies up

    @property
    def path(self) -> Path:
        """The database file that `read` lends a connection to, during the call."""
        return self._current.path

    @contextmanager
    def unread(self) -> Iterator[bool]:
        """Whether nothing was ever recorded in the folder. If so, nobody else can read or fold it
        within the block. Raises HistoryLockedError."""
        with self._alone(), self.database.turn():
            yield not (self.database.path.exists() or segments(self._journal.folder))

    def is_behind(self) -> bool:
        """Whether there may be something to fold."""
        return self.database.writable and self._differs(self._state())

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with held_interrupts(), self._lock:
            yield

    def _use_open(
        self, use: Callable[[duckdb.DuckDBPyConnection], T], *, read_only: bool, shared: bool
    ) -> T:
        """`read` inside of `reading`."""
        assert self._connection is not None  # noqa: S101 - read() looked
        self._flush()
        state = self._state()
        if self._current is self.database and self.is_behind():
            if not self._writable:
                self._connection.close()
                self._connection = self.database.open()
                self._writable = True
            self._fold(self._connection, state)
        if shared and self._writable:
            self._connection.close()
            self._connection = self.database.open(read_only=True)
            self._writable = False
        if not (read_only and self._writable):
            return use(self._connection)
        self._connection.execute("BEGIN TRANSACTION READ ONLY")
        try:
            return use(self._connection)
        finally:
            self._connection.execute("ROLLBACK")

    @contextmanager
    def _opened(self, *, read_only: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        self._flush()
        path = self.database.path
        if not self.database.writable:
            with self._as_it_is(damaged=False) as connection:
                yield connection
            return
        ahead = self._make_ahead()
        with self.database.turn():
            state = self._state()
            if self._differs(state):
                with self.database.connect() as connection:
                    self._fold(connection, state, ahead)
                    if not read_only:
                        self._writable = True
                        with translated(path):
                            yield connection
                        return
            with self.database.connect(read_only=True) as connection, translated(path):
                self._writable = False
                yield connection

    @contextmanager
    def _as_it_is(self, *, damaged: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection to what can be read of a folder that can't be written."""
        state = self._state()
        if self._current is self.database or self._differs(state):
            self._current = self._snapshot.take(damaged=damaged)
            self._remember(state)
        self._writable = False
        current = self._current
        with current.connect(read_only=True) as connection, translated(current.path):
            yield connection

    def _fold(
        self,
        connection: duckdb.DuckDBPyConnection,
        state: tuple[Fingerprint, int] | None,
        ahead: Ahead | None = None,
    ) -> None:
        path, journal = self.database.path, self._journal.folder
        before, self._known = self._known, None
        payloads, key, tidy = self._payloads, self._key, self._tidy
        self._known = fold(
            connection, journal, path, payloads, key, tidy=tidy, ahead=ahead, before=before
        )
        self._remember(state)

    def _make_ahead(self) -> Ahead | None:
        """Rows of what this process recorded since the last fold, while nobody is kept waiting."""
        if self._known is None:
            return None
        journal = self._journal
        return make_ahead(journal.folder, journal.writer, self._known, self._payloads, self._key)

    def _flush(self) -> None:
        if not self._journal.closed:
            with suppress(HistoryWriteError):  # what is recorded can be read on a full disk, too
                self._journal.flush()

    def _differs(self, state: tuple[Fingerprint, int] | None) -> bool:
        return state is None or state != self._folded

    def _state(self) -> tuple[Fingerprint, int] | None:
        """What changes when there is something to fold; None when it can't be told."""
        try:
            inode = self.database.path.stat().st_ino
        except FileNotFoundError:
            return None
        return fingerprint(self._journal.folder), inode

    def _remember(self, state: tuple[Fingerprint, int] | None) -> None:
        """Note that `state` is folded, unless a write since could have left the same times."""
        self._folded = None
        if state is None:
            return
        files, inode = state
        now = time.time_ns()
        if all(now - changed > _SETTLED for _, changed, _, _ in files):
            left = frozenset(it for it in files if (self._journal.folder / it[0]).exists())
            self._folded = left, inode
