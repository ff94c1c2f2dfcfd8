"""`evercell sql`."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

import typer

from evercell.cli.console import as_csv_field, open_history, print_json, print_table
from evercell.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["run_query"]

_NUMBERS = ("INT", "DOUBLE", "FLOAT", "DECIMAL", "HUGEINT", "INTERVAL")


def run_query(query: str, folder: Path | None, *, as_json: bool, as_csv: bool) -> None:
    """Print the result of `query` ("-": of what stdin holds).

    Raises UsageError for two formats at once, QueryError for what DuckDB refuses.
    """
    if as_json and as_csv:
        raise UsageError("--json and --csv are two formats. Give one of them.")
    if query == "-":
        query = sys.stdin.read()
    history = open_history(folder)
    try:
        table = history.query(query)
    finally:
        history.close()
    if as_json:
        print_json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    elif as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows([as_csv_field(value) for value in row] for row in table.rows)
    else:
        numbers = frozenset(
            column
            for column, kind in zip(table.columns, table.types, strict=True)
            if any(word in kind.upper() for word in _NUMBERS) and "[" not in kind
        )
        print_table(table.columns, table.rows, right=numbers)
        count = len(table.rows)
        typer.echo(f"{count} row{'' if count == 1 else 's'}", err=True)
