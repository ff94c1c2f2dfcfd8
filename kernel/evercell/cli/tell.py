"""The commands that tell a run something; docs/cli.md documents each, and a test compares the two.

command line ─ which run, which step or wait, does the form fit? ─ letter, durable ─ taken?
"""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from evercell.cli.options import History, Json  # noqa: TC001 - typer reads them at run time

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["COMMANDS"]

Target = Annotated[
    str,
    typer.Argument(metavar="RUN", help="A run's id, the beginning of it, or a workflow id."),
]
Question = Annotated[
    Optional[str],  # noqa: UP045 - typer reads this at run time
    typer.Argument(
        metavar="[QUESTION]",
        help="The question, or its activity id, where the run asks several.",
    ),
]
Step = Annotated[str, typer.Argument(metavar="STEP", help="The step's activity id, or its name.")]
Reason = Annotated[
    Optional[str],  # noqa: UP045
    typer.Option("--reason", metavar="TEXT", help="Why; it is recorded."),
]


def signal(
    run: Target,
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="The signal's name, or a question or its activity id."),
    ],
    values: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Argument(
            metavar="[VALUE ...]",
            help="Its arguments: JSON, else a text. To a question: true, false or the form.",
        ),
    ] = None,
    as_json: Json = False,
    history: History = None,
) -> None:
    """Send a signal to a cell or a workflow, also to one that will wait for it later; or answer
    what one asks."""
    from evercell.cli.letters import tell_run
    from evercell.clock import SystemClock
    from evercell.engine import telling

    args = tuple(_loosely(text) for text in values or ())
    tell_run(
        run,
        history,
        lambda it, run_id: telling.message_for(it, SystemClock(), run_id, name, args),
        as_json=as_json,
    )


def approve(
    run: Target,
    question: Question = None,
    value: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--value", metavar="JSON", help="The filled-in form."),
    ] = None,
    as_json: Json = False,
    history: History = None,
) -> None:
    """Say yes to what a cell or a workflow asks, or fill in its form."""
    given = True if value is None else _strictly(value)
    if isinstance(given, bool) and value is not None:
        from evercell.errors import UsageError

        raise UsageError("--value takes a form. Say yes without it, and no with evercell reject.")
    _answer(run, question, given, as_json=as_json, history=history)


def reject(
    run: Target, question: Question = None, as_json: Json = False, history: History = None
) -> None:
    """Say no to what a cell or a workflow asks."""
    _answer(run, question, False, as_json=as_json, history=history)


def _answer(run: str, question: str | None, value: Any, *, as_json: bool, history: Any) -> None:
    from evercell.cli.letters import tell_run
    from evercell.clock import SystemClock
    from evercell.engine import telling

    tell_run(
        run,
        history,
        lambda it, run_id: telling.answer_to(it, SystemClock(), run_id, question, value),
        as_json=as_json,
    )


def cancel(
    run: Target,
    which: Annotated[
        Optional[str],  # noqa: UP045
        typer.Argument(
            metavar="[WHICH]",
            help="A step, timer or wait, by its activity id or name. [default: the workflow, or "
            "the cell that runs]",
        ),
    ] = None,
    reason: Reason = None,
    as_json: Json = False,
    history: History = None,
) -> None:
    """Cancel a workflow, the cell that a notebook is at, or one step or wait."""
    from evercell.cli.letters import tell_run
    from evercell.engine import telling

    tell_run(
        run,
        history,
        lambda it, run_id: telling.cancel_of(it, run_id, which, reason),
        as_json=as_json,
    )


def terminate(
    run: Target, reason: Reason = None, as_json: Json = False, history: History = None
) -> None:
    """End a workflow's run at once, without asking its code."""
    from evercell.cli.letters import tell_run
    from evercell.engine import telling

    tell_run(
        run,
        history,
        lambda it, run_id: telling.termination_of(it, run_id, reason),
        as_json=as_json,
    )


def retry_now(run: Target, step: Step, as_json: Json = False, history: History = None) -> None:
    """Have a step that waits for its next attempt make it now."""
    from evercell.cli.letters import tell_run
    from evercell.engine import telling

    tell_run(run, history, lambda it, run_id: telling.retry_of(it, run_id, step), as_json=as_json)


def skip(
    run: Target,
    step: Annotated[
        str, typer.Argument(metavar="STEP", help="The step's or timer's activity id, or its name.")
    ],
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="Its result, JSON; null for a timer.")
    ],
    as_json: Json = False,
    history: History = None,
) -> None:
    """Complete a step with a value, in spite of its function; or end a timer now."""
    from evercell.cli.letters import tell_run
    from evercell.engine import telling

    given = _strictly(value)
    tell_run(
        run,
        history,
        lambda it, run_id: telling.skip_of(it, run_id, step, given),
        as_json=as_json,
    )


def fork(  # noqa: PLR0917 - typer fills them by name
    run: Target,
    at: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option(
            "--at",
            metavar="STEP",
            help="The first step that is run again: its activity id, its name (the first of that "
            "name) or NAME#N. [default: where the run failed, or its end]",
        ),
    ] = None,
    overrides: Annotated[
        Optional[list[str]],  # noqa: UP045
        typer.Option(
            "--override",
            metavar="STEP=JSON",
            help="Give a shared step another result; in a notebook, its cell and what depends on "
            "it run again. Repeatable.",
        ),
    ] = None,
    accept_edits: Annotated[
        bool,
        typer.Option(
            "--accept-edits", help="Share results of steps whose code is another today; don't ask."
        ),
    ] = False,
    workflow_id: Annotated[
        Optional[str],  # noqa: UP045
        typer.Option("--id", metavar="ID", help="The fork's workflow id. [default: its run id]"),
    ] = None,
    as_json: Json = False,
    history: History = None,
) -> None:
    """Begin a run that shares another one's history: a notebook's, or a workflow's up to a step."""
    from evercell.cli.letters import fork_run

    given = dict(_override(text) for text in overrides or ())
    fork_run(run, history, at, given, workflow_id, accept_edits=accept_edits, as_json=as_json)


def _override(text: str) -> tuple[str, Any]:
    from evercell.errors import UsageError

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"--override {text!r} is not of the form STEP=JSON, such as plan='\"b\"'.")
    return name.strip(), _strictly(value)


def _loosely(text: str) -> Any:
    """JSON, or the text itself."""
    import json

    try:
        return json.loads(text)
    except ValueError:
        return text


def _strictly(text: str) -> Any:
    """JSON. Raises UsageError."""
    import json

    from evercell.errors import UsageError

    try:
        return json.loads(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no JSON: {error}. A text needs quotation marks: '\"text\"'."
        ) from None


COMMANDS: dict[str, Callable[..., None]] = {
    "signal": signal,
    "approve": approve,
    "reject": reject,
    "cancel": cancel,
    "terminate": terminate,
    "retry-now": retry_now,
    "skip": skip,
    "fork": fork,
}
