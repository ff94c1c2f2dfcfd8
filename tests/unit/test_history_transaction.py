"""Rows and the position that they lead to change together, though another thread adds the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest
from msgspec.structs import replace

from evercell.errors import JournalDamagedError
from evercell.history import History
from evercell.history.applied import Applied, load_applied
from evercell.history.columns import Batch
from evercell.history.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


STATE = Applied("writer0001", 1, "host", False, 0, 0, 1, 1, "key")


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    history = History(tmp_path / "history")
    history.fold()
    history.close()
    with duckdb.connect(tmp_path / "history" / "history.duckdb") as made:
        yield made


def rows(*positions: int, type_: str | None = "StepStarted") -> Batch:
    count = len(positions)
    return Batch(
        {
            "writer": ["writer0001"] * count,
            "position": positions,
            "generation": [1] * count,
            "seq": positions,
            "run_id": ["run0000001"] * count,
            "at_ns": [0] * count,
            "type": [type_] * count,
        }
    )


def held(connection: duckdb.DuckDBPyConnection) -> tuple[list[int], int]:
    """The positions of the rows, and the one that is noted as applied."""
    found = connection.execute("SELECT position FROM store.event ORDER BY ALL").fetchall()
    state = load_applied(connection).get("writer0001")
    return [position for (position,) in found], state.position if state else 0


def add(connection: duckdb.DuckDBPyConnection, *segments: Batch, end: BaseException) -> None:
    """A segment each, and then `end`."""
    with Transaction(connection) as transaction:
        for position, segment in enumerate(segments, start=1):
            transaction.add(replace(STATE, position=position), [segment])
        raise end


def test_all_is_there_at_the_end(connection: duckdb.DuckDBPyConnection) -> None:
    with Transaction(connection) as transaction:
        transaction.add(STATE, [rows(1)])
        transaction.add(replace(STATE, position=4), [rows(2, 3), rows(4)])
    assert held(connection) == ([1, 2, 3, 4], 4)


def test_what_duckdb_refuses_leaves_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    wrong = rows(2, type_=None)
    with pytest.raises(duckdb.ConstraintException):
        add(connection, rows(1), wrong, rows(3), end=AssertionError())
    assert held(connection) == ([], 0)


def test_an_error_between_segments_leaves_nothing(connection: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(KeyboardInterrupt):
        add(connection, rows(1), end=KeyboardInterrupt())
    assert held(connection) == ([], 0)


def test_damage_behind_it_does_not_undo_what_was_read(
    connection: duckdb.DuckDBPyConnection,
) -> None:
    with pytest.raises(JournalDamagedError):
        add(connection, rows(1), end=JournalDamagedError("cut"))
    assert held(connection) == ([1], 1)
