"""The `$name` in a query and the values for them."""

from __future__ import annotations

import difflib
import os
from datetime import date, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from evercell.errors import UsageError
from evercell.history.database import query_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bind", "parameter_names"]

_SQL_TYPES = (
    type(None), bool, int, float, str, bytes, date, time, timedelta, Decimal, UUID, list, tuple,
    dict,
)  # fmt: skip


def parameter_names(sql: str) -> tuple[str, ...]:
    """The names that stand behind a `$` in `sql`, outside its texts and comments, sorted.

    Raises QueryError for what is no SQL.
    """
    if "$" not in sql:
        return ()
    import duckdb  # noqa: PLC0415 - costs tens of milliseconds

    with query_errors(), duckdb.connect() as connection:
        statements = connection.extract_statements(sql)
    return tuple(sorted({name for it in statements for name in it.named_parameters}))


def bind(sql: str, values: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The value of each parameter that `sql` has, as DuckDB takes it.

    `source` says in a message where `values` come from: "the notebook", "-p". Raises UsageError for
    one that is missing or that SQL has no type for, QueryError for what is no SQL.
    """
    return {name: _converted(name, _found(name, values, source)) for name in parameter_names(sql)}


def _found(name: str, values: Mapping[str, Any], source: str) -> Any:
    if name in values:
        return values[name]
    if name.isdigit():
        raise UsageError(
            f"The query has a parameter without a name (? or ${name}), and parameters are filled "
            "in by name. Write $name."
        )
    known = [other for other in values if isinstance(other, str) and not other.startswith("_")]
    close = difflib.get_close_matches(name, known, n=1)
    hint = f" Did you mean ${close[0]}?" if close else ""
    raise UsageError(f"The query asks for ${name}, and {source} has no {name}.{hint}")


def _converted(name: str, value: Any) -> Any:
    """NumPy's and pandas' numbers and columns as Python's, sets and paths as SQL knows them."""
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if not isinstance(value, _SQL_TYPES):
        plain = getattr(value, "tolist", None)  # of arrays, their scalars and pandas' columns
        value = plain() if callable(plain) else value
    if not isinstance(value, _SQL_TYPES):
        kind = f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
        raise UsageError(
            f"${name} is a {kind}, which SQL has no type for. Give it a number, a text, a time, or "
            "a list or dict of these."
        )
    return value
