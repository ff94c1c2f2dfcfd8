"""Rows and the position that they lead to, always in one transaction.

    with Transaction(connection) as transaction:
        transaction.add(after, rows) ...          a segment each; committed at the end

Many segments share a transaction: DuckDB writes whole row groups (122,880 rows) straight to the
file, while what a small transaction brings is written twice, first to the log. Their number is
bounded, so that a fold that is cut short has not worked for nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.errors import JournalDamagedError
from evercell.history import failpoints
from evercell.history.applied import save_applied
from evercell.history.outputs import insert_outputs
from evercell.history.rows import insert_rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from types import TracebackType

    import duckdb

    from evercell.history.applied import Applied
    from evercell.history.outputs import OutputRow
    from evercell.history.rows import Columns

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

    def __enter__(self) -> Transaction:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        if kind is None or issubclass(kind, JournalDamagedError):
            self.commit()
        elif self._after is not None:
            self._connection.rollback()

    def add(
        self, after: Applied, rows: Iterable[Columns], outputs: Sequence[OutputRow] = ()
    ) -> None:
        """Append rows, which lead to `after`, and those of what their cells showed."""
        if self._after is None:
            self._connection.begin()
        self._after = after
        for columns in rows:
            insert_rows(self._connection, columns)
            self._rows += len(columns["position"])
        insert_outputs(self._connection, outputs)
        if self._rows >= _ROWS:
            self.commit()

    def commit(self) -> None:
        """Make what was added durable."""
        after, self._after, self._rows = self._after, None, 0
        if after is None:
            return
        try:
            failpoints.reach("fold")
            save_applied(self._connection, after)
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()
        failpoints.reach("folded")
