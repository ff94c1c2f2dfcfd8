"""docs/sql.md names each view and column with its type and comment.

`EVERCELL_WRITE_DOCS=1 pytest tests/unit/test_docs_sql.py` writes them.
"""

from __future__ import annotations

import os
from pathlib import Path

from evercell.history import History
from evercell.history.catalogue import views

DOCS = Path(__file__).parents[2] / "docs" / "sql.md"
MARK = "tests/unit/test_docs_sql.py -->\n"


def rendered(history: History) -> str:
    """The views as DuckDB knows them."""
    parts = []
    for view, comment in history.query(
        "SELECT view_name, comment FROM duckdb_views() WHERE schema_name = 'main' AND NOT internal"
    ).rows:
        rows = history.query(
            "SELECT column_name, data_type, comment FROM duckdb_columns() "
            "WHERE schema_name = 'main' AND table_name = $view ORDER BY column_index",
            {"view": view},
        ).rows
        table = "\n".join(f"| `{name}` | {kind} | {text} |" for name, kind, text in rows)
        head = "| column | type | means |\n|---|---|---|"
        parts.append(
            (list(views()).index(view), f"\n### {view}\n\n{comment}.\n\n{head}\n{table}\n")
        )
    return "".join(text for _, text in sorted(parts))


def test_the_page_says_what_the_views_comments_say(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.fold()
    expected = rendered(history)
    history.close()
    head, mark, shown = DOCS.read_text(encoding="utf-8").partition(MARK)
    if os.environ.get("EVERCELL_WRITE_DOCS"):
        DOCS.write_text(head + mark + expected, encoding="utf-8")
    else:
        assert shown == expected
