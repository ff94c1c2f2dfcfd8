"""Up to where each writer's journal is in the database: the table `store.writer`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import duckdb

__all__ = ["Applied", "load_applied", "save_applied"]


class Applied(msgspec.Struct, frozen=True):
    """Up to where a writer's journal is in the database."""

    writer: str
    pid: int
    host: str
    alive: bool
    segment: int
    offset: int
    batch: int
    position: int
    key: str  # id of the key that its rows are tagged with, or would be
    partial: bool = False  # rows are missing, or have no tags


def load_applied(connection: duckdb.DuckDBPyConnection) -> dict[str, Applied]:
    """Up to where each writer's journal is in the database."""
    rows = connection.execute(
        """SELECT writer, pid, host, alive, segment, "offset", batch, position, key, partial
        FROM store.writer"""
    ).fetchall()
    return {row[0]: Applied(*row) for row in rows}


def save_applied(connection: duckdb.DuckDBPyConnection, state: Applied) -> None:
    """Note up to where a writer's journal is in the database."""
    values = [
        state.pid,
        state.host,
        state.alive,
        state.segment,
        state.offset,
        state.batch,
        state.position,
        state.key,
        state.partial,
        state.writer,
    ]
    ((known,),) = connection.execute(  # INSERT OR REPLACE takes twice as long
        """UPDATE store.writer SET pid = ?, host = ?, alive = ?, segment = ?, "offset" = ?,
            batch = ?, position = ?, key = ?, partial = ? WHERE writer = ?""",
        values,
    ).fetchall()
    if not known:
        connection.execute(
            """INSERT INTO store.writer (pid, host, alive, segment, "offset", batch, position, key,
                partial, writer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)""",
            values,
        )
