"""The functions that a notebook or a script calls: `evercell.sql`, `load`, `progress`, `show`,
`run_id`; and `signal`, `answer`, `cancel`, `terminate`, `skip`, `retry_now`, which tell a run
something, wherever it is."""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell.clock import SystemClock
from evercell.engine import commands, telling
from evercell.engine.context import current_attempt
from evercell.engine.current import calling_workflow
from evercell.engine.feed import feed_of
from evercell.engine.session import current_session
from evercell.engine.step import Step
from evercell.engine.stored import decode_stored
from evercell.errors import NotInKernelError, UsageError
from evercell.history import History, bind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from duckdb import DuckDBPyRelation

    from evercell.engine.feed import Feed
    from evercell.engine.session import Session
    from evercell.engine.workflow.handle import WorkflowHandle
    from evercell_widgets.actions import Desk

__all__ = [
    "answer",
    "cancel",
    "load",
    "progress",
    "retry_now",
    "run_id",
    "show",
    "signal",
    "skip",
    "sql",
    "terminate",
]


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


def signal(run: str, name: str, *args: Any, **kwargs: Any) -> Any:
    """Send a run a signal: to a cell that waits for it with `wait_signal`, now or later, or to a
    workflow. `run` is its id, or the beginning of it, or a workflow id. Durable on return, also if
    no process has the run at the moment. In a recorded cell it is sent once for each call, also
    over restarts; in workflow code await what is returned.

    Raises RunNotFoundError, UsageError, NotStorableError, HistoryWriteError.
    """
    if calling_workflow() is not None:
        return _handle(run).signal(name, *args, **kwargs)

    def make(history: History, run_id: str) -> commands.Command:
        return telling.signal_for(history, run_id, name, args, kwargs, _namespace())

    return _tell(f"signal {name}", make, run, list(args), kwargs)


def answer(run: str, value: Any = True, *, activity_id: str | None = None) -> None:
    """Answer the approval that a run waits for: True, False, or the filled-in form (JSON data, or
    an instance of the model). `activity_id` (view waits; or the question) chooses among several.
    Durable on return; in a recorded cell given once for each call.

    Raises UsageError where none is waited for, several are, or the form does not fit, and what
    `signal` raises.
    """

    def make(history: History, run_id: str) -> commands.Command:
        return telling.answer_to(history, SystemClock(), run_id, activity_id, value)

    shown = value if isinstance(value, bool) else telling.as_json(value)
    _tell("answer", make, run, shown, activity_id)


def cancel(run: str, activity_id: str | None = None, *, reason: str | None = None) -> Any:
    """Cancel a workflow, or interrupt the cell that a notebook's run is at; with `activity_id` (or
    a name) only that step, timer or wait, which raises StepCanceledError. Durable on return; in a
    recorded cell given once for each call; in workflow code await what is returned.

    Raises UsageError for an unknown activity, and what `signal` raises.
    """
    if calling_workflow() is not None and activity_id is None:
        return _handle(run).cancel(reason)

    def make(history: History, run_id: str) -> commands.Command:
        return telling.cancel_of(history, run_id, activity_id, reason)

    return _tell("cancel", make, run, activity_id, reason)


def terminate(run: str, *, reason: str | None = None) -> None:
    """End a workflow's run at once, without asking its code. Durable on return.

    Raises UsageError for a notebook's run, and what `signal` raises.
    """

    def make(history: History, run_id: str) -> commands.Command:
        return telling.termination_of(history, run_id, reason)

    _tell("terminate", make, run, reason)


def skip(run: str, activity_id: str, value: Any = None) -> None:
    """Complete a step (its activity id, or its name) with `value`, JSON data, in spite of its
    function; or end a timer now. Durable on return; in a recorded cell done once for each call.

    Raises UsageError where no such one is under way, and what `signal` raises.
    """

    def make(history: History, run_id: str) -> commands.Command:
        return telling.skip_of(history, run_id, activity_id, value)

    _tell("skip", make, run, activity_id, telling.as_json(value))


def retry_now(run: str, activity_id: str) -> None:
    """Have a step (its activity id, or its name) that waits for its next attempt make it now.
    Durable on return; in a recorded cell done once for each call.

    Raises UsageError where no such step is under way, and what `signal` raises.
    """

    def make(history: History, run_id: str) -> commands.Command:
        return telling.retry_of(history, run_id, activity_id)

    _tell("retry now", make, run, activity_id)


def _handle(run: str) -> WorkflowHandle[Any]:
    from evercell.engine.workflow.handle import WorkflowHandle  # noqa: PLC0415 - rarely asked

    return WorkflowHandle(run)


def _tell(
    name: str, make: Callable[[History, str], commands.Command], run: str, *identity: object
) -> None:
    """Give a run a command: a step, so that a cell that runs again gives none twice."""
    if calling_workflow() is not None:
        raise UsageError(f"workflow code can't do {name!r} to a run itself: do it in a step.")

    def send(*_: object) -> None:
        attempt = current_attempt.get()
        recorded = attempt is not None and attempt.book.recording
        # Its id makes a second delivery known as such, should the process die in between.
        command_id = attempt.activity_id.replace("-", "") if attempt and recorded else None
        with _history() as history:
            if command_id and attempt and attempt.attempt > 1 and _was_given(history, command_id):
                return  # its process died, or was interrupted, before it could say so
            command = make(history, _named(history, run))
            try:
                session = current_session()
            except NotInKernelError:
                commands.send(history, command, command_id)
            else:
                session.define_new()
                session.commands.submit(command, command_id)

    Step(send, name=name, version=1)(name, run, *identity)


def _was_given(history: History, command_id: str) -> bool:
    """Whether an earlier attempt of the same call gave the command."""
    given = history.workflows.message(command_id) is not None
    return given or history.inbox.holds(command_id)


def _named(history: History, run: str) -> str:
    """The id of the run that is meant."""
    with suppress(NotInKernelError):
        if run == run_id():
            return run
    return history.find(run)


def _desk(session: Session, feed: Feed) -> Desk:
    """Who carries out what people want done to the run that is shown."""
    from evercell_widgets.desk import CommandDesk, Letters  # noqa: PLC0415 - with the widget

    takes = Letters(session.commands, session.history.inbox, feed.is_over)
    return CommandDesk(session.history, takes, session.cells.namespace.ns)


def progress() -> None:
    """Show this notebook's run below the cell: cells, steps, attempts, durations, cost; live while
    cells run, a static table in the saved notebook. The cell that shows it runs each time.

    Raises NotInKernelError outside a recording kernel.
    """
    current_session().cells.mark_volatile("it shows the run live")
    show_run()


def show_run() -> None:
    """Show this notebook's run where the cell's output is now. Raises NotInKernelError."""
    session = current_session()
    _show(session, session.feed())


def show(run: str | WorkflowHandle[Any]) -> None:
    """Show a run below the cell, as `progress` shows the notebook's: a workflow's by its handle,
    any run of this history by its id, the beginning of it, or a workflow id. Live while a process
    works on it. The cell that shows it runs each time.

    Raises NotInKernelError outside a recording kernel, RunNotFoundError for none, or for several.
    """
    session = current_session()
    session.cells.mark_volatile("it shows a run live")
    run_id = session.history.find(run) if isinstance(run, str) else run.run_id
    feed, subject = feed_of(session.history, run_id, session.feed())
    _show(session, feed, name=run_id, subject=subject)


def _show(session: Session, feed: Feed, name: str = "", subject: str = "") -> None:
    from evercell_widgets import progress  # noqa: PLC0415 - widgets load when one is shown

    live = os.environ.get("EVERCELL_HEADLESS") != "1"
    desk = _desk(session, feed) if live else None
    progress(feed, live=live, desk=desk, name=name, subject=subject)
