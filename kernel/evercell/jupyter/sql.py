"""`%evercell sql` and `%%evercell sql`: from the line and the cell to a table or a variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, get_args

from evercell.errors import UsageError
from evercell.history import bind
from evercell.history.results import as_arrow, as_polars

from .options import Form, leading_options
from .table import TableView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from evercell.history import History

__all__ = ["SqlRequest", "ask", "parse_sql"]

_USAGE = (
    "Write `%evercell sql SELECT ...`, or `%%evercell sql -o name` with the query below; "
    f"with -o also one of {', '.join('--' + form for form in get_args(Form))}."
)


@dataclass(frozen=True, slots=True)
class SqlRequest:
    """A query, and the variable that its result goes into, if any."""

    query: str
    name: str | None = None
    form: Form = "pandas"


def parse_sql(arguments: str, body: str | None) -> SqlRequest:
    """What the line behind `sql` and the cell below it ask for; the query's quotes and blanks stay
    as they are. Raises UsageError."""
    options = leading_options(arguments)
    query = options.rest
    if body is not None:
        if query:
            raise UsageError(f"Can't read {query!r} beside a query below. {_USAGE}")
        query = body
    if options.output is not None and not options.output.isidentifier():
        raise UsageError(f"{options.output!r} can't be a variable's name. {_USAGE}")
    if options.form is not None and options.output is None:
        raise UsageError(f"--{options.form} says what the variable of -o is. {_USAGE}")
    if not query.strip():
        raise UsageError(f"There is no query. {_USAGE}")
    return SqlRequest(query, options.output, options.form or "pandas")


def ask(request: SqlRequest, history: History, namespace: Mapping[str, Any]) -> Any:
    """The table to show, or the value of the variable. `$name` stands for what `namespace` has.

    Raises QueryError, UsageError, and what reading the history raises.
    """
    parameters = bind(request.query, namespace, "the notebook")
    if request.name is None:
        table = history.query(request.query, parameters)
        return TableView(table.columns, table.types, table.rows)
    relation = history.relation(request.query, parameters)
    try:
        match request.form:
            case "pandas":
                return relation.df()
            case "polars":
                return as_polars(relation)
            case "arrow":
                return as_arrow(relation)
            case "relation":
                return relation
    except ImportError as error:
        package = (error.name or request.form).partition(".")[0]
        raise UsageError(
            f"--{request.form} needs the package {package}, which is not installed here. Install "
            f"it (pip install {package}), or use --relation, which needs none."
        ) from None
