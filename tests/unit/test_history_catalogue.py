from pathlib import Path

from evercell.history import History
from evercell.history.catalogue import views


def test_it_is_what_duckdb_says(tmp_path: Path) -> None:
    history = History(tmp_path)
    columns = history.query(
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE schema_name = 'main' AND NOT internal ORDER BY table_name, column_index"
    ).rows
    comments = history.query(
        "SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal"
    ).rows
    history.close()
    assert {name: view.comment for name, view in views().items()} == dict(comments)
    assert columns == [
        (name, column, comment)
        for name, view in sorted(views().items())
        for column, comment in view.columns.items()
    ]
