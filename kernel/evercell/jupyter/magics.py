"""`%evercell` and `%%evercell`: what a user tells the kernel about the run.

    %evercell COMMAND ... -> _COMMANDS -> one function per command; its docstring is its help

The commands are no part of the run: they work also where the history can't be written or another
kernel holds the run, since they are the way out. Only what makes a variable is recorded.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from IPython.core.magic import no_var_expand

from evercell.errors import EvercellError, UsageError
from evercell.loading import importing

from .completion import MATCHER, WAITING, make_matcher, make_name_matcher
from .options import parse_fork
from .session import reading
from .tracebacks import message_only

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.engine.preview import NotebookCell

    from .executor import CellExecutor

__all__ = ["COMMANDS", "open_volatile", "register_magics", "unregister_magics"]

_VOLATILE_LINE = ["%%evercell", "volatile"]


@dataclass(frozen=True, slots=True)
class _Use:
    """One use of the magic."""

    shell: Any
    cells: CellExecutor
    arguments: str  # the line after the command
    body: str | None  # the cell below the line; None for a line magic


def register_magics(shell: Any, cells: CellExecutor) -> None:
    """Give `shell` the magics, what opens `%%evercell volatile` cells, and completion."""

    def evercell(line: str, cell: str | None = None) -> Any:
        try:
            return _dispatch(shell, cells, line, cell)
        except EvercellError as error:
            raise message_only(error) from None

    evercell.__doc__ = __doc__
    # Braces and dollar signs in SQL are the query's, not Python's.
    shell.register_magic_function(
        no_var_expand(evercell), magic_kind="line_cell", magic_name="evercell"
    )
    transformers = shell.input_transformers_cleanup
    if open_volatile not in transformers:
        transformers.append(open_volatile)
    matchers = [make_matcher(shell, COMMANDS), make_name_matcher(cells.waiting)]
    shell.Completer.custom_matchers.extend(matchers)


def unregister_magics(shell: Any) -> None:
    """Take back what `register_magics` gave."""
    for magics in shell.magics_manager.magics.values():
        magics.pop("evercell", None)
    shell.input_transformers_cleanup.remove(open_volatile)
    matchers = shell.Completer.custom_matchers
    ours = (MATCHER, WAITING)
    matchers[:] = [it for it in matchers if getattr(it, "matcher_identifier", "") not in ours]


def open_volatile(lines: list[str]) -> list[str]:
    """Take the line `%%evercell volatile` from a cell, which is then an ordinary one: `await`,
    tracebacks and line numbers are as without it."""
    if not lines or lines[0].split() != _VOLATILE_LINE:
        return lines
    body = lines[1:]
    if body and body[0].startswith("%%"):
        return body  # another cell magic must be the first line
    return ["# " + lines[0], *body]


def _dispatch(shell: Any, cells: CellExecutor, line: str, body: str | None) -> Any:
    name, _, arguments = line.strip().partition(" ")
    command = COMMANDS.get(name or "help")
    if command is None:
        raise UsageError(
            f"%evercell has no command {name!r}. Its commands are {', '.join(COMMANDS)}; "
            "`%evercell help` says what they do."
        )
    return command(_Use(shell, cells, arguments.strip(), body))


def _status(use: _Use) -> None:
    """%evercell status
    Show this run: its cells and steps by what became of them, where its history is, and what a
    restart and Run All would do to the saved notebook, with what stale cells had cost."""
    with importing:
        from .outlook import outlook  # noqa: PLC0415 - loads the engine
        from .status import read_status  # noqa: PLC0415 - loads the history's vocabulary

    session = use.cells.open()
    print(read_status(session.history, session.run_id).text())  # noqa: T201 - is its output
    cells = use.cells.cells_now()
    print(outlook(session.preview(cells), cells))  # noqa: T201
    try:
        with importing:
            from evercell_widgets import show_status  # noqa: PLC0415 - loads the widgets
    except ImportError:
        return  # a kernel may be installed without the widgets
    show_status(session.feed())


def _explain(use: _Use) -> None:
    """%evercell explain CELL
    Say why a cell would be restored or run: each input beside what it was, the edit of its source,
    the steps that missed. CELL is the cell's place in the notebook, from 1, or its id."""
    with importing:
        from .outlook import explanation_text  # noqa: PLC0415 - loads the engine

    session, cells = use.cells.open(), use.cells.cells_now()
    chosen = _chosen(use, cells)
    explained = None if chosen is None else session.explain(cells, chosen.index)
    if explained is None or chosen is None:
        raise UsageError("Say which cell: %evercell explain 3, or its id. " + _CELLS_HINT)
    print(explanation_text(explained, chosen))  # noqa: T201


def _accept(use: _Use) -> None:
    """%evercell accept [CELL]
    Keep the recorded results of the stale cells, or of one, on your word: with today's source and
    inputs they count as hits. The history records who said so. The notebook must be saved."""
    with importing:
        from .outlook import accepted_text  # noqa: PLC0415 - loads the engine

    session, cells = use.cells.open(), use.cells.cells_now()
    chosen = _chosen(use, cells)
    outcome = session.accept(cells, None if chosen is None else chosen.index)
    print(accepted_text(outcome))  # noqa: T201


def _forget(use: _Use) -> None:
    """%evercell forget CELL|all
    Take the recorded results of a cell out of use for good: it is never restored from them. Its
    steps stay recorded and are answered still."""
    session, cells = use.cells.open(), use.cells.cells_now()
    chosen = None if use.arguments == "all" else _chosen(use, cells)
    if chosen is None and use.arguments != "all":
        raise UsageError("Say which cell: %evercell forget 3, its id, or all. " + _CELLS_HINT)
    events = session.forget(cells, None if chosen is None else chosen.index)
    for event in events:
        count, number = len(event.origins), (event.cell_index or 0) + 1
        print(f"forgot {count} record{'' if count == 1 else 's'} of cell {number}")  # noqa: T201


_CELLS_HINT = "%evercell status and `evercell show` number the cells by their place, from 1."


def _chosen(use: _Use, cells: tuple[NotebookCell, ...]) -> NotebookCell | None:
    """The cell that the argument names; None without one. Raises UsageError for an unknown one."""
    name = use.arguments
    if not name:
        return None
    found = [
        cell
        for cell in cells
        if name == str(cell.index + 1) or (cell.cell_id or "").startswith(name)
    ]
    exact = [cell for cell in found if name == str(cell.index + 1)]
    if len(exact or found) != 1:
        raise UsageError(f"There is no cell {name!r} among this run's cells. {_CELLS_HINT}")
    return (exact or found)[0]


def _run(use: _Use) -> None:
    """%evercell run
    Say which run this kernel is attached to."""
    session = use.cells.open()
    record = session.history.run(session.run_id)
    print(f"run {record.run_id} of {record.notebook}, generation {record.generation}")  # noqa: T201


def _new_run(use: _Use) -> None:
    """%evercell new-run
    Begin another run of this notebook: from the next cell on, nothing is restored and no step is
    answered from earlier runs. They stay in the history. Variables stay as they are."""
    session = use.cells.begin_new_run()
    print(f"run {session.run_id} begins with the next cell")  # noqa: T201


def _fork(use: _Use) -> None:
    """%evercell fork [RUN] [--override STEP=JSON ...]
    Begin another run of this notebook that knows what RUN, or the current one, has finished:
    restart and run all, and its cells come back and its steps are answered. RUN stays as it is.
    --override gives a step that had ended another result, so that its cell and what depends on it
    run again. STEP is its activity id, its name (the first of that name) or NAME#N."""
    run, overrides = parse_fork(use.arguments)
    session = use.cells.fork_run(run, overrides)
    print(f"run {session.run_id} begins with the next cell")  # noqa: T201


def _resume(use: _Use) -> None:
    """%evercell resume RUN
    Go on with an earlier run of this notebook: restart and run all, and what it has finished comes
    back. The run that this kernel had stays as it is."""
    if not use.arguments:
        raise UsageError("Say which run: %evercell resume RUN. `evercell ls` lists them.")
    session = use.cells.resume_run(use.arguments)
    print(f"run {session.run_id} goes on with the next cell")  # noqa: T201


def _finish(use: _Use) -> None:
    """%evercell finish completed|failed|canceled
    Record that the run came to its end; `evercell run` does so. Running a cell reopens it."""
    match use.arguments:
        case "completed" | "failed" | "canceled" as status:
            use.cells.open().finish(status)
        case other:
            raise UsageError(f"A run can't finish as {other!r}: completed, failed or canceled.")


def _wait(use: _Use) -> None:
    """%evercell wait
    Wait until the workflows of this run are over, and say how each ended; `evercell run` does so
    after the last cell."""
    for run_id, workflow, status in use.cells.open().wait_for_workflows():
        print(f"{workflow} {run_id}: {status}")  # noqa: T201 - is its output


def _sql(use: _Use) -> Any:
    """%evercell sql QUERY, or %%evercell sql [-o NAME [--polars|--arrow|--relation]] with the query
    below
    Ask the history in SQL; its views are runs, cells, steps, attempts, events and usage, and $name
    stands for the notebook's variable of that name. With -o, the result becomes the variable NAME:
    a pandas DataFrame, or what the second option says."""
    with importing:
        from .sql import ask, parse_sql  # noqa: PLC0415 - loads the history

    request = parse_sql(use.arguments, use.body)
    with reading(use.cells.session, use.cells.place()) as history:
        result = ask(request, history, use.shell.user_ns)
    if request.name is None:
        return result
    use.shell.user_ns[request.name] = result
    return None


def _volatile(use: _Use) -> None:
    """%%evercell volatile, as a cell's first line
    Run this cell each time: it is never restored."""
    raise UsageError(
        f"`volatile` is for a whole cell, and this is the line {use.arguments!r} of one. "
        "Make %%evercell volatile the cell's first line."
    )


def _help(use: _Use) -> None:  # noqa: ARG001 - every command takes its use
    """%evercell help
    List the commands."""
    texts = (inspect.getdoc(command) or "" for command in COMMANDS.values())
    print("\n\n".join(text.replace("\n", "\n    ") for text in texts))  # noqa: T201


COMMANDS: dict[str, Callable[[_Use], Any]] = {
    "status": _status,
    "explain": _explain,
    "accept": _accept,
    "forget": _forget,
    "run": _run,
    "new-run": _new_run,
    "resume": _resume,
    "fork": _fork,
    "finish": _finish,
    "wait": _wait,
    "sql": _sql,
    "volatile": _volatile,
    "help": _help,
}
"""Every command by name, in the order of the help."""
