"""The DuckDB file: opened, used, closed again; never held.

Every Evercell process takes `fold.lock` first, so they queue up politely; another program (the
DuckDB CLI, a BI tool) is met as DuckDB's own lock, and waited for. DuckDB is imported when first
needed: it costs tens of milliseconds.
"""

from __future__ import annotations

import os
import re
import time
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, TypeVar

from blake3 import blake3

from evercell.errors import (
    HistoryError,
    HistoryLockedError,
    HistoryNewerError,
    HistoryWriteError,
    QueryError,
)
from evercell.history import failpoints
from evercell.history.catalogue import views_script
from evercell.history.disk import advice_on, sync_folder, write_error
from evercell.history.interrupts import rest
from evercell.history.locks import FileLock
from evercell.history.schema import RELEASE, SCHEMA, newer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import duckdb

    from evercell.clock import Clock

__all__ = ["Database", "load"]

T = TypeVar("T")

_LOG = 4 << 20  # bytes, which are read in 20 ms
_POLL = 0.05  # seconds between two tries to open a file that another program holds
_HOLDER = re.compile(r"held in (?P<program>.*?)\s*\(PID (?P<pid>\d+)\)")


class Database:
    """`history.duckdb` in `folder`; `wait` is how many seconds to wait for other programs."""

    def __init__(self, folder: Path, clock: Clock, *, wait: float = 10.0) -> None:
        self.path = folder / "history.duckdb"
        self.wait = wait
        self._clock = clock
        self._kept: duckdb.DuckDBPyConnection | None = None
        self._lock_path = folder / "fold.lock"

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Be the only Evercell process (and thread) that works on the file."""
        lock = FileLock(self._lock_path)
        if not lock.take(since=self._clock.now(), wait=self.wait):
            holder = lock.holder()
            who = f"process {holder.pid} on {holder.host}" if holder else "another process"
            raise HistoryLockedError(
                f"The history {self.path} is in use: {who} has been folding or querying it for "
                f"more than {self.wait:g} seconds. Recording goes on; try again when it is done."
            )
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def connect(self, *, read_only: bool = False) -> Iterator[duckdb.DuckDBPyConnection]:
        """A connection for the time of the block, with the current schema.

        Raises HistoryLockedError, HistoryNewerError, HistoryWriteError.
        """
        connection = self.open(read_only=read_only)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def attach(
        self, *, read_only: bool = False, tidy: bool = True
    ) -> Iterator[duckdb.DuckDBPyConnection]:
        """`connect` for who does so again and again: DuckDB stays, and the file is attached to it
        for the time of the block. Making a DuckDB takes 20 ms, attaching a file 3. What is written
        stays in DuckDB's log while that is short, or however long it is unless `tidy`: taking it in
        rewrites the last row group, up to 122,880 rows."""
        import duckdb  # noqa: PLC0415 - see the module's docstring

        if self._kept is None:
            self._kept = quiet(duckdb.connect(config={"threads": 1}))
            self._kept.execute("PRAGMA disable_checkpoint_on_shutdown")
        connection = self._kept
        path = str(self.path).replace("'", "''")
        try:
            sql = f"ATTACH '{path}' AS history{' (READ_ONLY)' if read_only else ''}"
            self._patiently(lambda: connection.execute(sql))
            with translated(self.path):
                connection.execute("USE history")
                if not read_only:
                    self._migrate(connection)
            yield connection
            with translated(self.path):
                if tidy and not read_only and self._logged >= _LOG:
                    connection.execute("CHECKPOINT")
                connection.execute("USE memory")
                connection.execute("DETACH history")
        except BaseException:
            self.let_go()  # in whatever state the connection is
            raise

    def let_go(self) -> None:
        """End the DuckDB that `attach` keeps."""
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.close()

    @property
    def _logged(self) -> int:
        """Bytes in DuckDB's log, all of which each opening reads."""
        try:
            return self.path.with_name(f"{self.path.name}.wal").stat().st_size
        except FileNotFoundError:
            return 0

    def elsewhere(self, folder: Path) -> Database:
        """One like this in another folder."""
        return Database(folder, self._clock, wait=self.wait)

    @property
    def writable(self) -> bool:
        """Whether this user may write the file and beside it."""
        return os.access(self.path.parent, os.W_OK) and (
            not self.path.exists() or os.access(self.path, os.W_OK)
        )

    def is_current(self, connection: duckdb.DuckDBPyConnection) -> bool:
        """Whether the file has this release's schema and views. Raises HistoryNewerError."""
        version, release, views = _version(connection)
        if version > SCHEMA:
            raise HistoryNewerError(newer(self.path, version, release))
        return version == SCHEMA and views == _views_digest()

    def copy_to(self, path: Path) -> None:
        """Copy the file, as it is, to `path`, which must not exist. Raises what `connect` raises.

        DuckDB does it, which keeps writers away: a plain copy might hold half of a checkpoint.
        """
        import duckdb  # noqa: PLC0415 - see the module's docstring

        source, target = (str(it).replace("'", "''") for it in (self.path, path))
        with quiet(duckdb.connect()) as connection:
            self._patiently(lambda: connection.execute(f"ATTACH '{source}' AS source (READ_ONLY)"))
            with translated(path):
                connection.execute(f"ATTACH '{target}' AS copy")
                connection.execute("COPY FROM DATABASE source TO copy")

    def compact(self) -> None:
        """Rewrite the file without the space of deleted rows; inside of `turn`.

        DuckDB only marks that space as free. Raises what `connect` raises.
        """
        draft = self.path.with_name(".history.duckdb.new")
        log = draft.with_name(f"{draft.name}.wal")
        for left in (log, draft):  # of a process that died here
            left.unlink(missing_ok=True)
        fresh = self.elsewhere(self.path.parent)
        fresh.path = draft
        with fresh.connect():
            pass
        with self.connect() as connection, translated(self.path):
            connection.execute("ATTACH '{}' AS fresh".format(str(draft).replace("'", "''")))
            for table in ("migration", "views", "writer", "event", "output", "removed", "trusted"):
                connection.execute(f"DELETE FROM fresh.store.{table}")  # noqa: S608
                connection.execute(
                    f"INSERT INTO fresh.store.{table} FROM store.{table} ORDER BY rowid"
                )
            connection.execute("DETACH fresh")
        try:
            smaller = draft.stat().st_size < self.path.stat().st_size
            whole = not any(it.exists() for it in (log, self.path.with_name("history.duckdb.wal")))
            if smaller and whole:
                failpoints.reach("compact")
                draft.replace(self.path)
                failpoints.reach("compacted")
                sync_folder(self.path.parent)
        except OSError as error:
            raise write_error(self.path, error) from error
        finally:
            draft.unlink(missing_ok=True)

    def open(self, *, read_only: bool = False) -> duckdb.DuckDBPyConnection:
        """A connection, with the current schema if it can write; `connect` closes it, too."""
        connection = self._open(read_only=read_only)
        if read_only:
            return connection
        try:
            with translated(self.path):
                self._migrate(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _open(self, *, read_only: bool) -> duckdb.DuckDBPyConnection:
        import duckdb  # noqa: PLC0415 - see the module's docstring

        return self._patiently(lambda: quiet(duckdb.connect(self.path, read_only=read_only)))

    def _patiently(self, open_: Callable[[], T]) -> T:
        """What `open_` gives, waiting for other programs to let go of the file."""
        import duckdb  # noqa: PLC0415 - see the module's docstring

        deadline = time.monotonic() + self.wait
        while True:
            try:
                return open_()
            except duckdb.Error as error:
                if not _is_locked(error):
                    raise _opening_failed(self.path, error) from error
                if time.monotonic() >= deadline:
                    here = _is_here(str(error))
                    raise HistoryLockedError(_locked(self.path, str(error)), here=here) from error
            rest(_POLL)

    def _migrate(self, connection: duckdb.DuckDBPyConnection) -> None:
        """Bring the file to this release's schema and views, changes and their record in one
        transaction."""
        if self.is_current(connection):
            return
        version, _, _ = _version(connection)
        connection.begin()
        for number, script in enumerate(_migrations(), start=1):
            if number > version:
                connection.execute(script)
                connection.execute(
                    "INSERT INTO store.migration VALUES (?, ?, make_timestamptz(?))",
                    [number, RELEASE, self._clock.now() // 1000],
                )
        connection.execute(views_script())
        connection.execute("DELETE FROM store.views")
        connection.execute("INSERT INTO store.views VALUES (?)", [_views_digest()])
        connection.commit()


def load() -> None:
    """Load DuckDB, with what its first connection imports in a notebook (ipywidgets, for a bar)."""
    import duckdb  # noqa: PLC0415 - see the module's docstring

    duckdb.connect(config={"threads": 1}).close()


def quiet(connection: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """The connection, which shows no bar for what takes more than two seconds: in a kernel that
    would be an output of the cell that runs, whoever asks."""
    connection.execute("SET enable_progress_bar = false")
    return connection


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """DuckDB's errors as Evercell's, for statements that are ours."""
    import duckdb  # noqa: PLC0415 - see the module's docstring

    try:
        yield
    except duckdb.Error as error:
        if isinstance(error, duckdb.IOException) or "Could not write" in str(error):
            raise _writing_failed(path, _first_line(error)) from error
        raise HistoryError(
            f"DuckDB failed on {path}: {_first_line(error)}. What was recorded is in the file and "
            "the journal beside it; keep both and report this."
        ) from error


@contextmanager
def query_errors() -> Iterator[None]:
    """DuckDB's errors as QueryError, for statements that are the user's."""
    import duckdb  # noqa: PLC0415 - see the module's docstring

    try:
        yield
    except duckdb.Error as error:
        message = str(error)
        if "read-only" in message:
            message += (
                "\nThe history can only be read: copy what you need into a table of your own."
            )
        raise QueryError(message) from error


def _script(name: str) -> str:
    return resources.files("evercell.history").joinpath(name).read_text(encoding="utf-8")


def _migrations() -> list[str]:
    folder = resources.files("evercell.history").joinpath("migrations")
    names = sorted(item.name for item in folder.iterdir() if item.name.endswith(".sql"))
    return [_script(f"migrations/{name}") for name in names]


def _version(connection: duckdb.DuckDBPyConnection) -> tuple[int, str, str]:
    """The file's schema, the release that made it, and the digest of the script that made its
    views; 0 for a new file."""
    import duckdb  # noqa: PLC0415 - see the module's docstring

    try:  # asking the catalogue whether the table is there takes longer than all else of opening
        rows = connection.execute(
            """SELECT version, evercell, (SELECT any_value(digest) FROM store.views)
            FROM store.migration ORDER BY version DESC LIMIT 1"""
        ).fetchall()
    except duckdb.CatalogException:
        return 0, "", ""
    return (int(rows[0][0]), str(rows[0][1]), str(rows[0][2])) if rows else (0, "", "")


@cache
def _views_digest() -> str:
    """What tells one release's views from another's."""
    return blake3(views_script().encode()).hexdigest(length=16)


def _is_locked(error: Exception) -> bool:
    message = str(error)
    return "Could not set lock" in message or _is_here(message)


def _is_here(message: str) -> bool:
    """Whether it is a connection in this process that has the file."""
    return "different configuration" in message or "already attached" in message


def _locked(path: Path, message: str) -> str:
    held = _HOLDER.search(message)
    if held:
        who = f"{held['program'].strip()} (process {held['pid']})"
    else:
        who = "a connection in this process" if _is_here(message) else "another program"
    return (
        f"The history {path} is locked by {who}. Recording goes on in the journal. "
        "Close that program's connection to read the history here."
    )


def _opening_failed(path: Path, error: Exception) -> HistoryError:
    message = _first_line(error)
    if "version number" in message:
        return HistoryNewerError(
            f"{path} was written by a newer DuckDB: {message}. Install it: pip install -U duckdb."
        )
    if "Corrupt database file" in message:
        return HistoryError(
            f"{path} is damaged: {message}. Restore it from a backup, or move it away: the history "
            "then begins with what its journals still hold."
        )
    if "not a valid DuckDB database" in message:
        return HistoryError(
            f"{path} is not a DuckDB file: {message}. Restore it from a backup, or move it away "
            "to begin a new history."
        )
    if "Could not write" in message:
        return _writing_failed(path, message)
    return HistoryWriteError(
        f"The history {path} could not be opened: {message}. Check the folder's permissions and "
        "free space, or set EVERCELL_HOME to another folder; recording needs only the journal."
    )


def _writing_failed(path: Path, message: str) -> HistoryWriteError:
    return HistoryWriteError(
        f"The history {path} could not be written: {message}. Nothing recorded is lost: it stays "
        f"in the journal. {advice_on(message)}, and try again."
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
