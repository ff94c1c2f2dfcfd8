"""What every command says in the same way: errors, exit codes, JSON, tables, durations."""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

import functools
import json
import math
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

import typer

from evercell import readable
from evercell.errors import EvercellError, QueryError, RunNotFoundError, UsageError
from evercell.readable import as_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rich.console import Console

    from evercell.history import History
    from evercell.history import Table as Result

__all__ = [
    "as_csv_field",
    "as_duration",
    "as_size",
    "as_text",
    "exit_code_of",
    "fail",
    "make_console",
    "open_history",
    "plain",
    "print_json",
    "print_result",
    "print_table",
    "reports_errors",
]

P = ParamSpec("P")
R = TypeVar("R")

FAILED, USAGE = 1, 2


def exit_code_of(error: EvercellError) -> int:
    """2 where the command line was wrong, 1 where the work could not be done."""
    return USAGE if isinstance(error, UsageError | RunNotFoundError | QueryError) else FAILED


def fail(error: EvercellError, *, as_json: bool) -> NoReturn:
    """Say what is wrong, on stderr or as JSON on stdout, and exit."""
    if as_json:
        print_json({"error": {"code": error.code, "message": error.message}})
    else:
        typer.echo(f"evercell: {error}", err=True)
    raise typer.Exit(exit_code_of(error))


def reports_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command end on an EvercellError with its message instead of a traceback."""

    @functools.wraps(command)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except EvercellError as error:
            fail(error, as_json=bool(kwargs.get("as_json")))

    return wrapper


def open_history(folder: Path | None, *, new: bool = False) -> History:
    """The history in `folder`, else `.evercell/` here. Raises UsageError where there is none, but
    for who may make a `new` one."""
    chosen = (folder or Path(".evercell")).expanduser().absolute()
    if not new and not chosen.is_dir():
        raise UsageError(
            f"There is no history in {chosen}. Give its folder with --history, or set "
            "EVERCELL_HOME."
        )
    from evercell.history import History

    return History(chosen)


def plain(value: object) -> Any:
    """A value from a query as JSON holds it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return _scalar(value)


def _scalar(value: object) -> Any:
    match value:
        case bytes() | bytearray() | memoryview():
            return bytes(value).hex()
        case datetime() | date() | time():
            return value.isoformat()
        case timedelta():
            return value.total_seconds()
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case _:
            return str(value)


def print_json(value: object) -> None:
    """One JSON document on stdout; NaN and the infinities, which are not JSON, become null."""
    try:
        text = json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_without_nan(plain(value)), indent=2, ensure_ascii=False)
    sys.stdout.write(text + "\n")


def _without_nan(value: Any) -> Any:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {key: _without_nan(item) for key, item in value.items()}
        case list():
            return [_without_nan(item) for item in value]
        case _:
            return value


def make_console(*, stderr: bool = False) -> Console:
    """A console that never cuts a line where nobody sets the width: in a pipe."""
    from rich.console import Console

    console = Console(stderr=stderr, highlight=False)
    if not console.is_terminal:
        console.width = 10_000
    return console


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: frozenset[str] = frozenset()
) -> None:
    """Rows as a table on stdout; the columns in `right` are set to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column in right else "left")
    for row in rows:
        table.add_row(*(Text(as_text(value)) for value in row))
    make_console().print(table)


def print_result(table: Result) -> None:
    """A query's result as a table on stdout, its number of rows on stderr."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column, kind in zip(table.columns, table.types, strict=True):
        shown.add_column(Text(column), justify="right" if readable.is_number(kind) else "left")
    for row in table.rows:
        cells = [
            Text(readable.as_text(value, kind), style="dim" if value is None else "")
            for value, kind in zip(row, table.types, strict=True)
        ]
        shown.add_row(*cells)
    make_console().print(shown)
    count = len(table.rows)
    typer.echo(f"{count:,} row{'' if count == 1 else 's'}", err=True)


def as_text(value: object) -> str:
    """A value as a table's cell shows it; nothing where there is none."""
    return "" if value is None else readable.as_text(value)


def as_csv_field(value: object) -> object:
    """A value as CSV holds it: exact, and nested ones as JSON."""
    value = plain(value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value


def as_size(size: float) -> str:
    """870 B, 12.3 kB, 4.0 GB."""
    unit = "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
