"""Columns go into DuckDB and come out of it as they were, without pyarrow."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import duckdb
import pytest

from evercell.errors import HistoryError
from evercell.history.arrow import insert, read
from evercell.history.columns import KINDS, Column

if TYPE_CHECKING:
    from pathlib import Path

    from evercell.history.columns import Kind

TEXTS = ["", "plain", "äöü", "a\0b", "\U0001f600" * 9, None, "x" * 100_000]
COLUMNS: dict[str, tuple[Kind, list[Any]]] = {
    "a": ("text", TEXTS),
    "b": ("blob", [b"", b"\0\xff", None, b"x" * 70_000, b"1", b"2", b"3"]),
    "c": ("int", [0, -1, 2**31 - 1, -(2**31), None, 5, 6]),
    "d": ("bigint", [0, -1, 2**63 - 1, -(2**63), 4, None, 6]),
    "e": ("bool", [True, False, None, True, True, False, False]),
    "f": ("texts", [(), ("x",), ("ä", "", "z"), None, ("1", "2"), (), ("last",)]),
}


def columns() -> dict[str, Column]:
    return {name: Column(kind, values) for name, (kind, values) in COLUMNS.items()}


@pytest.fixture
def connection() -> duckdb.DuckDBPyConnection:
    made = duckdb.connect()
    made.execute("CREATE TABLE t (a VARCHAR, b BLOB, c INTEGER, d BIGINT, e BOOLEAN, f VARCHAR[])")
    return made


def test_what_goes_in_is_there(connection: duckdb.DuckDBPyConnection) -> None:
    insert(connection, "INSERT INTO t SELECT * FROM batch", columns())
    expected = [
        tuple(list(it) if isinstance(it, tuple) else it for it in row)
        for row in zip(*(values for _, values in COLUMNS.values()), strict=True)
    ]
    assert connection.execute("FROM t").fetchall() == expected


def test_parameters_stand_beside_columns(connection: duckdb.DuckDBPyConnection) -> None:
    sql = "INSERT INTO t (a, c) SELECT ?, n FROM batch"
    insert(connection, sql, {"n": Column("int", [1, 2])}, ["same"])
    assert connection.execute("SELECT a, c FROM t").fetchall() == [("same", 1), ("same", 2)]


def test_what_comes_out_is_as_it_was(connection: duckdb.DuckDBPyConnection) -> None:
    insert(connection, "INSERT INTO t SELECT * FROM batch", columns())
    (chunk,) = read(connection.sql("SELECT a, b, c, d FROM t WHERE c IS NOT NULL AND d <> 0"))
    assert chunk.rows == 4
    assert [chunk.items("a").at(row).decode() for row in range(4)] == [
        TEXTS[n] for n in (1, 2, 3, 6)
    ]
    assert chunk.items("b").at(2) == b"x" * 70_000
    assert list(chunk.numbers("c")) == [-1, 2**31 - 1, -(2**31), 6]
    assert list(chunk.numbers("d")) == [-1, 2**63 - 1, -(2**63), 6]


def test_many_rows_come_in_parts_and_in_order(connection: duckdb.DuckDBPyConnection) -> None:
    query = "SELECT range AS n, 'x' || range AS t FROM range(300_000) ORDER BY n DESC"
    last = 300_000
    parts = 0
    for chunk in read(connection.sql(query)):
        parts += 1
        for row, number in enumerate(chunk.numbers("n")):
            assert number == last - 1
            assert chunk.items("t").at(row) == b"x%d" % number
            last = number
    assert last == 0
    assert parts > 1


def test_no_rows(connection: duckdb.DuckDBPyConnection) -> None:
    assert sum(chunk.rows for chunk in read(connection.sql("SELECT a, c FROM t"))) == 0


def test_what_cannot_be_read_is_refused(connection: duckdb.DuckDBPyConnection) -> None:
    insert(connection, "INSERT INTO t SELECT * FROM batch", columns())
    with pytest.raises(HistoryError, match="Arrow type"):
        list(read(connection.sql("SELECT e FROM t")))


def test_every_column_of_the_table_has_its_kind(tmp_path: Path) -> None:
    from evercell.history import History

    history = History(tmp_path)
    rows = history.query(
        """SELECT column_name, data_type FROM duckdb_columns()
        WHERE schema_name = 'store' AND table_name = 'event'"""
    ).rows
    kinds = {
        "VARCHAR": "text", "JSON": "text", "BLOB": "blob", "INTEGER": "int", "BIGINT": "bigint",
        "BOOLEAN": "bool", "VARCHAR[]": "texts",
    }  # fmt: skip
    assert {name: kinds[kind] for name, kind in rows if kinds[kind] != "text"} == KINDS


def test_pyarrow_is_not_needed() -> None:
    script = """
import sys
sys.modules.update(dict.fromkeys(("pyarrow", "numpy", "pandas", "polars")))
import duckdb
from evercell.history.arrow import insert, read
from evercell.history.columns import Column
connection = duckdb.connect()
connection.execute("CREATE TABLE t (a VARCHAR)")
insert(connection, "INSERT INTO t SELECT * FROM batch", {"a": Column("text", ["x", "y"])})
print([chunk.items("a").at(1) for chunk in read(connection.sql("FROM t"))])
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[b'y']\n"
