"""The functions that a notebook calls: `evercell.sql`, `evercell.progress`, `evercell.run_id`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.engine.session import current_session
from evercell.errors import NotInKernelError
from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Mapping

    from duckdb import DuckDBPyRelation

__all__ = ["progress", "run_id", "sql"]


def sql(query: str, parameters: Mapping[str, Any] | None = None) -> DuckDBPyRelation:
    """The result of `query` over the history, as a DuckDB relation (`.df()`, `.pl()`,
    `.to_arrow_table()`, `.fetchall()`).

    `parameters` fill `$name` in the query. In a kernel it is the notebook's history, elsewhere the
    one in `EVERCELL_HOME` or in `.evercell/` of the working directory. The relation holds a copy:
    no lock stays on the history.

    Raises QueryError, HistoryLockedError, HistoryNewerError, JournalDamagedError.
    """
    try:
        history = current_session().history
    except NotInKernelError:
        folder = Path(os.environ.get("EVERCELL_HOME", ".evercell"))
        history = History(folder)
        try:
            return history.relation(query, parameters)
        finally:
            history.close()
    return history.relation(query, parameters)


def run_id() -> str:
    """The id of the run that this kernel records. Raises NotInKernelError elsewhere."""
    return current_session().run_id


def progress() -> None:
    """Show this notebook's run below the cell: cells, steps, attempts, durations, cost; live while
    cells run, a static table in the saved notebook. The cell that shows it runs each time.

    Raises NotInKernelError outside a recording kernel.
    """
    from evercell_widgets import progress as show  # noqa: PLC0415 - widgets load when one is shown

    session = current_session()
    session.cells.mark_volatile("it shows the run live")
    show(session.feed(), live=os.environ.get("EVERCELL_HEADLESS") != "1")
