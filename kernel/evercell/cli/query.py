"""`evercell sql`."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evercell.cli.console import as_csv_field, open_history, print_json, print_result
from evercell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from evercell.history import Table

__all__ = ["Form", "parse_parameters", "run_query"]


@dataclass(frozen=True, slots=True)
class Form:
    """How the result is to come; a table for people if none is chosen."""

    as_json: bool = False
    as_csv: bool = False
    parquet: Path | None = None


def run_query(query: str, folder: Path | None, parameters: Iterable[str], form: Form) -> None:
    """Print the result of `query` ("-": of what stdin holds), or write it to a Parquet file.

    Raises UsageError for two forms at once and for parameters that are not what the query asks
    for, QueryError for what DuckDB refuses.
    """
    if form.as_json + form.as_csv + (form.parquet is not None) > 1:
        raise UsageError("--json, --csv and --parquet are different forms. Give one of them.")
    given = parse_parameters(parameters)
    if query == "-":
        query = sys.stdin.read()
    history = open_history(folder)
    from evercell.history import bind  # noqa: PLC0415 - `--help` should not load it

    try:
        values = bind(query, given, "-p")
        if unused := given.keys() - values.keys():
            raise UsageError(f"The query has no ${min(unused)}, which -p gives a value to.")
        if form.parquet is not None:
            history.write_parquet(form.parquet, query, values)
        else:
            _print(history.query(query, values), form)
    finally:
        history.close()


def _print(table: Table, form: Form) -> None:
    if form.as_json:
        print_json([dict(zip(table.columns, row, strict=True)) for row in table.rows])
    elif form.as_csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(table.columns)
        writer.writerows([as_csv_field(value) for value in row] for row in table.rows)
    else:
        print_result(table)


def parse_parameters(texts: Iterable[str]) -> dict[str, Any]:
    """The values of `name=value` texts: JSON, and a text where it is none. Raises UsageError."""
    given: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.strip().removeprefix("$")
        if not equals or not name.isidentifier():
            raise UsageError(f"-p {text!r} is not of the form name=value, such as -p model=small.")
        if name in given:
            raise UsageError(f"The parameter {name} is given twice. Give it once.")
        try:
            given[name] = json.loads(value)
        except ValueError:
            given[name] = value
    return given
