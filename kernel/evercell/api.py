"""The functions that a notebook calls: `evercell.sql`, `evercell.load`, `evercell.progress`,
`evercell.run_id`."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.engine.session import current_session
from evercell.engine.stored import decode_stored
from evercell.errors import NotInKernelError, UsageError
from evercell.history import History, bind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from duckdb import DuckDBPyRelation

    from evercell.engine.session import Session
    from evercell_widgets.actions import Desk

__all__ = ["load", "progress", "run_id", "sql"]


def sql(query: str, parameters: Mapping[str, Any] | None = None) -> DuckDBPyRelation:
    """The result of `query` over the history, as a DuckDB relation (`.df()`, `.pl()`,
    `.to_arrow_table()`, `.fetchall()`). polars has no intervals: for `.pl()`, ask for
    `epoch(duration)`.

    `parameters` fill `$name` in the query: {"name": value}. In a kernel it is the notebook's
    history, elsewhere the one in `EVERCELL_HOME` or in `.evercell/` of the working directory. The
    relation holds a copy: no lock stays on the history. The cell that asks runs each time: the
    history grows, and a restored answer would be an old one.

    Raises QueryError, UsageError for a parameter that is missing, not asked for, or of no SQL type,
    HistoryLockedError, HistoryNewerError, JournalDamagedError.
    """
    given = dict(parameters or {})
    with _history() as history:
        bound = bind(query, given, "`parameters`")
        if unused := given.keys() - bound.keys():
            raise UsageError(f"The query has no ${min(unused)}, which `parameters` gives.")
        with suppress(NotInKernelError):
            current_session().cells.mark_volatile("it asks the history, which grows")
        return history.relation(query, bound)


def load(identity: str) -> Any:
    """A stored value, as Python: `identity` is a step's activity_id, for its result, or a payload
    id, as in the columns `result_id`, `input_id` and `payload_id` of the views and in the details
    of events. What a cell left of its variables comes as a dict by name, a workflow's arguments as
    (args, kwargs), a cell's outputs as a list of messages.

    Only what this user's key signed is decoded. Which history it is read from, see `sql`.

    Raises UsageError where there is no such value, or the step has no result; PayloadError if the
    value is missing, was changed, or was written by another user; RestoreError if it can't be
    decoded here; and what `sql` raises.
    """
    with _history() as history:
        found = history.result(identity)
        if found.payload is None:
            why = f": {found.error}" if found.error else ""
            raise UsageError(
                f"Step {found.name!r} ({identity}) is {found.status} and has no result{why}. "
                "The view steps says what is known of it."
            )
        return decode_stored(found.payload, found.event, history, _namespace())


@contextmanager
def _history() -> Iterator[History]:
    """This kernel's history; elsewhere the one that the environment or the folder names."""
    try:
        history = current_session().history
    except NotInKernelError:
        pass
    else:
        yield history
        return
    folder = Path(os.environ.get("EVERCELL_HOME", ".evercell"))
    if not folder.is_dir():
        raise UsageError(
            f"There is no history in {folder.absolute()}. Set EVERCELL_HOME to a history's folder, "
            "or call this in the notebook."
        )
    history = History(folder)
    try:
        yield history
    finally:
        history.close()


def _namespace() -> dict[str, Any]:
    """Where a stored value finds the notebook's classes and functions."""
    try:
        return current_session().cells.namespace.ns
    except NotInKernelError:
        return vars(sys.modules["__main__"])


def run_id() -> str:
    """The id of the run that this kernel records. Raises NotInKernelError elsewhere."""
    return current_session().run_id


def _desk(session: Session) -> Desk:
    """Who carries out what people want done, from this kernel's widget."""
    from evercell_widgets.desk import CommandDesk  # noqa: PLC0415 - with the widget

    return CommandDesk(session.history, session.commands, session.cells.namespace.ns)


def progress() -> None:
    """Show this notebook's run below the cell: cells, steps, attempts, durations, cost; live while
    cells run, a static table in the saved notebook. The cell that shows it runs each time.

    Raises NotInKernelError outside a recording kernel.
    """
    from evercell_widgets import progress as show  # noqa: PLC0415 - widgets load when one is shown

    session = current_session()
    session.cells.mark_volatile("it shows the run live")
    live = os.environ.get("EVERCELL_HEADLESS") != "1"
    show(session.feed(), live=live, desk=_desk(session) if live else None)
