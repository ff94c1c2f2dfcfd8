"""`%%evercell sql`: what the line means, and what comes of it over a real history."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from history_samples import Recorder

from evercell.errors import QueryError, UsageError
from evercell.history import History
from evercell.jupyter.sql import SqlRequest, ask, parse_sql


@pytest.mark.parametrize(
    ("arguments", "body", "parsed"),
    [
        ("SELECT 'it''s' FROM t", None, SqlRequest("SELECT 'it''s' FROM t")),
        ("-o df SELECT 1", None, SqlRequest("SELECT 1", "df")),
        ("-o df SELECT 'a  b' -- {x} $y", None, SqlRequest("SELECT 'a  b' -- {x} $y", "df")),
        ("", "SELECT 1\n", SqlRequest("SELECT 1\n")),
        ("-o df", "SELECT 1", SqlRequest("SELECT 1", "df")),
        ("--output  df", "SELECT 1", SqlRequest("SELECT 1", "df")),
        ("-o r --relation", "SELECT 1", SqlRequest("SELECT 1", "r", "relation")),
        ("--polars -o p SELECT 1", None, SqlRequest("SELECT 1", "p", "polars")),
        ("-o a --arrow", "FROM t", SqlRequest("FROM t", "a", "arrow")),
        ("-o d --pandas", "FROM t", SqlRequest("FROM t", "d", "pandas")),
        ("-- a comment", None, SqlRequest("-- a comment")),
    ],
)
def test_arguments(arguments, body, parsed):
    assert parse_sql(arguments, body) == parsed


@pytest.mark.parametrize(
    ("arguments", "body"),
    [
        ("", None),
        ("-o", "SELECT 1"),
        ("-o 1x", "SELECT 1"),
        ("-x df", "SELECT 1"),
        ("", "  "),
        ("--polars", "SELECT 1"),
    ],
)
def test_misuse_says_how_to_write_it(arguments, body):
    with pytest.raises(UsageError, match="Write `%evercell sql"):
        parse_sql(arguments, body)


@pytest.fixture
def history(tmp_path: Path):
    history = History(tmp_path)
    recorder = Recorder(history).start(n=5).attach()
    cell = recorder.cell()
    for ordinal in range(3):
        recorder.complete_step(recorder.step(cell, ordinal=ordinal))
    yield history
    history.close()


def rows(history, query, **namespace):
    return list(ask(SqlRequest(query), history, namespace).rows)


def test_names_are_bound_to_the_notebooks_variables(history):
    query = "SELECT ordinal FROM steps WHERE ordinal IN $wanted AND '$no' <> '' -- $neither"
    for wanted in ([0, 2], (0, 2), {0, 2}, np.array([0, 2]), pd.Series([0, 2])):
        assert sorted(rows(history, query, wanted=wanted)) == [(0,), (2,)]
    assert rows(history, "SELECT $n + 1", n=np.int64(3)) == [(4,)]
    assert rows(history, "SELECT $p || '/x'", p=Path("/a")) == [("/a/x",)]
    assert rows(history, "SELECT $x IS NULL", x=None) == [(True,)]
    assert rows(history, "SELECT $evil", evil="1; DROP TABLE x") == [("1; DROP TABLE x",)]


def test_a_missing_variable_is_named_with_its_neighbour(history):
    with pytest.raises(UsageError, match=r"\$modl, and the notebook has no modl\. Did .* \$model"):
        rows(history, "SELECT $modl", model="small", _hidden=1)
    with pytest.raises(UsageError, match="filled in by name"):
        rows(history, "SELECT $1", model="small")


def test_a_value_without_an_sql_type_is_refused_by_name(history):
    for value in (object(), 1j, print):
        with pytest.raises(UsageError, match=r"\$x is a .*which SQL has no type for"):
            rows(history, "SELECT $x", x=value)


def test_bad_sql_is_duckdbs_message(history):
    with pytest.raises(QueryError, match="syntax error"):
        rows(history, "SELEC $x", x=1)


def test_a_variable_is_a_dataframe_or_a_relation(history):
    query = "SELECT ordinal, duration, started_at FROM steps ORDER BY ordinal"
    frame = ask(SqlRequest(query, "df"), history, {})
    assert frame["ordinal"].tolist() == [0, 1, 2]
    assert [dtype.kind for dtype in frame.dtypes] == ["i", "m", "M"]
    relation = ask(SqlRequest(query, "r", "relation"), history, {})
    history.close()  # it needs the history no more
    assert [row[0] for row in relation.fetchall()] == [0, 1, 2]


def test_a_variable_is_arrow_or_polars_with_durations(history):
    pa = pytest.importorskip("pyarrow")
    pl = pytest.importorskip("polars")
    query = "SELECT ordinal, duration, started_at FROM steps ORDER BY ordinal"
    table = ask(SqlRequest(query, "t", "arrow"), history, {})
    assert table.schema.names == ["ordinal", "duration", "started_at"]
    assert table.schema.field("duration").type == pa.duration("us")
    frame = ask(SqlRequest(query, "f", "polars"), history, {})
    assert frame["duration"].dtype == pl.Duration("us")
    assert frame["duration"].to_list() == [row[1] for row in rows(history, query)]


def test_a_missing_package_is_named(history, monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for form in ("polars", "arrow"):
        with pytest.raises(UsageError, match=r"pip install p.*or use --relation"):
            ask(SqlRequest("SELECT 1", "x", form), history, {})
