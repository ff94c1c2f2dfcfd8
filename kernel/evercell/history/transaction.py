"""Rows and the position that they lead to, always in one transaction.

    with Transaction(connection) as transaction:
        transaction.add(after, rows) ...          a segment each; committed at the end

DuckDB works on the rows of one segment, on a thread of its own, while those of the next are made.
Many segments share a transaction: it writes whole row groups (122,880 rows) straight to the
file, while what a small transaction brings is written twice, first to the log. Their number is
bounded, so that a fold that is cut short has not worked for nothing.
"""

from __future__ import annotations

from _thread import start_new_thread
from functools import partial
from typing import TYPE_CHECKING

from evercell.errors import JournalDamagedError
from evercell.history import failpoints
from evercell.history.applied import save_applied
from evercell.history.interrupts import Work
from evercell.history.outputs import insert_outputs
from evercell.history.rows import insert_rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    import duckdb

    from evercell.history.applied import Applied
    from evercell.history.columns import Batch
    from evercell.history.outputs import OutputRow

__all__ = ["Transaction"]

_ROWS = 1_000_000  # in one transaction, about


class Transaction:
    """Appends rows to the database.

    Commits at the end of the block, also when a journal's damage ends it: what was read before
    holds. Any other error rolls back. Raises DuckDB's errors.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._connection = connection
        self._after: Applied | None = None  # where the rows lead to; None: nothing is begun
        self._rows = 0
        self._inserting: Work[None] | None = None

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None or issubclass(kind, JournalDamagedError):
                self.commit()
        finally:
            if self._inserting is not None:
                _finish(self._inserting)  # the connection is in use until then
            if self._after is not None:
                self._connection.rollback()

    def add(self, after: Applied, rows: Sequence[Batch], outputs: Sequence[OutputRow] = ()) -> None:
        """Append rows, which lead to `after`, and those of what their cells showed."""
        self._wait()
        if self._after is None:
            self._connection.begin()
        self._after = after
        self._rows += sum(batch.rows for batch in rows)
        self._inserting = Work(partial(self._insert, rows, outputs))
        start_new_thread(self._inserting.run, ())
        if self._rows >= _ROWS:
            self.commit()

    def _insert(self, rows: Sequence[Batch], outputs: Sequence[OutputRow]) -> None:
        for batch in rows:
            insert_rows(self._connection, batch)
        insert_outputs(self._connection, outputs)

    def _wait(self) -> None:
        """Until DuckDB has the rows of the last `add`; raise what it raised."""
        if self._inserting is not None:
            _finish(self._inserting)
            inserting, self._inserting = self._inserting, None
            inserting.result()

    def commit(self) -> None:
        """Make what was added durable."""
        self._wait()
        if self._after is None:
            return
        failpoints.reach("fold")
        save_applied(self._connection, self._after)
        self._after, self._rows = None, 0
        self._connection.commit()
        failpoints.reach("folded")


def _finish(work: Work[None]) -> None:
    work.run()  # where an interrupt came between its making and its thread's start
    work.done.wait()
