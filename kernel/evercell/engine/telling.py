"""Commands as people give them: to which run, to which of its waits or steps, in which form.

run ─ id, prefix or workflow id ─> run_id ─> which step or wait? ─> does the form fit? ─> command
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import msgspec

from evercell.engine import commands
from evercell.engine.forms import check_answer
from evercell.errors import UsageError, WorkflowClosedError

if TYPE_CHECKING:
    from evercell.clock import Clock
    from evercell.history import History

__all__ = [
    "answer_to",
    "as_json",
    "cancel_of",
    "carried",
    "fork_of",
    "message_for",
    "retry_of",
    "signal_for",
    "skip_of",
    "termination_of",
]

# A notebook's run stands for its workflows' runs, too.
_OPEN = """
WITH here AS (SELECT run_id FROM runs WHERE run_id = $run OR notebook_run = $run)
SELECT run_id, activity_id, kind, name, CAST(schema AS VARCHAR)
FROM waits SEMI JOIN here USING (run_id)
UNION ALL
SELECT run_id, activity_id, 'step', name, NULL FROM steps SEMI JOIN here USING (run_id)
WHERE status IN ('running', 'retrying', 'in doubt')
"""
# Nothing is approved by a signal that only shares its name with a question.
_SIGNALED = """
WITH here AS (SELECT run_id FROM runs WHERE run_id = $run OR notebook_run = $run)
SELECT count(*) FROM signals SEMI JOIN here USING (run_id) WHERE name = $name
"""
_HOST = """
SELECT coalesce(notebook_run, run_id), workflow, finished_at IS NOT NULL
FROM runs WHERE run_id = $run
"""

Kind = Literal["timer", "signal", "approval", "condition", "step"]


class Carried(NamedTuple):
    """Whose kernel carries a run."""

    host: str  # run_id of the notebook's run
    workflow: str  # "notebook" for the host itself
    closed: bool  # a notebook's run that is finished is opened again


class _Open(NamedTuple):
    """Something that a run waits for, or a step that has not ended."""

    run_id: str
    activity_id: str
    kind: Kind
    name: str  # of a step, timer or signal; the question of an approval
    schema: str | None  # of an approval's form, JSON; None: yes or no


def carried(history: History, run_id: str) -> Carried:
    """Whose kernel carries the run, which exists."""
    ((host, workflow, closed),) = history.query(_HOST, {"run": run_id}).rows
    return Carried(host, workflow, closed and workflow != "notebook")


def _require_open(history: History, run_id: str) -> Carried:
    run = carried(history, run_id)
    if run.closed:
        raise WorkflowClosedError(f"run {run_id} is closed: nothing can reach it any more.")
    return run


def signal_for(  # noqa: PLR0917 - as the caller got them
    history: History,
    run_id: str,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    live: dict[str, Any],
) -> commands.Signal:
    """A signal. Raises NotStorableError, UsageError for more than 16 MiB, WorkflowClosedError."""
    _require_open(history, run_id)
    message = commands.as_arguments(args, kwargs)
    payload, view = (None, None) if message is None else commands.enclosed(history, message, live)
    return commands.Signal(run_id, name, payload, view, commands.user())


def message_for(
    history: History, clock: Clock, run_id: str, name: str, args: tuple[Any, ...]
) -> commands.Signal | commands.Answer:
    """A signal; or the answer to the open approval of this activity id or question, where the run
    neither waits for a signal of this name nor got one.

    Raises what `signal_for` and `answer_to` raise, UsageError for an answer that says neither true
    nor false and is no form.
    """
    (asked,) = _asked_as(history, run_id, name) or (None,)
    if asked is None:
        return signal_for(history, run_id, name, args, {}, {})
    if len(args) != 1 or not isinstance(args[0], bool | dict):
        raise UsageError(
            f"run {asked.run_id} asks {asked.name!r}, so {name!r} is answered and not signaled: "
            "with true, false, or the filled-in form as a JSON object."
        )
    return answer_to(history, clock, asked.run_id, asked.activity_id, args[0])


def _asked_as(history: History, run_id: str, name: str) -> list[_Open]:
    """The approval that the name means, if it means one."""
    known = _under_way(history, run_id)
    asked = [it for it in known if it.kind == "approval" and name in {it.activity_id, it.name}]
    if not asked or any(it.kind == "signal" and it.name == name for it in known):
        return []
    if history.query(_SIGNALED, {"run": run_id, "name": name}).rows != [(0,)]:
        return []
    return [_chosen(history, run_id, name, ("approval",))]


def answer_to(
    history: History, clock: Clock, run_id: str, which: str | None, value: Any
) -> commands.Answer:
    """The answer to one of the run's approvals: False rejects it, True approves it, anything else
    is the filled-in form. `which`, an activity id or the question, chooses among several.

    Raises UsageError where none is waited for, several are, or the form does not fit.
    """
    asked = _chosen(history, run_id, which, ("approval",))
    payload, view = None, None
    approved = value is not False
    form = None if isinstance(value, bool) else as_json(value)
    if approved:
        check_answer(asked.schema, form)
    if form is not None:
        payload, view = commands.enclosed(history, form, {})
    return commands.Answer(
        asked.run_id, asked.activity_id, approved, payload, view, commands.user(), clock.now()
    )


def cancel_of(
    history: History, run_id: str, which: str | None, reason: str | None
) -> commands.CancelRun | commands.CancelActivity:
    """The cancellation of the run, or of one of its steps or waits by activity id or name. Raises
    UsageError where there is no such one, WorkflowClosedError."""
    if which is None:
        _require_open(history, run_id)
        return commands.CancelRun(run_id, reason, commands.user())
    found = _chosen(history, run_id, which, ("step", "timer", "signal", "approval"))
    return commands.CancelActivity(found.run_id, found.activity_id, reason, commands.user())


def retry_of(history: History, run_id: str, which: str | None) -> commands.RetryNow:
    """The wish that a step's next attempt be made now. Raises UsageError."""
    found = _chosen(history, run_id, which, ("step",))
    return commands.RetryNow(found.run_id, found.activity_id, commands.user())


def skip_of(history: History, run_id: str, which: str | None, value: Any) -> commands.Skip:
    """A step's result, given by a person; a timer is skipped with None. Raises UsageError."""
    found = _chosen(history, run_id, which, ("step", "timer"))
    payload, view = commands.enclosed(history, as_json(value), {})
    return commands.Skip(found.run_id, found.activity_id, payload, view, commands.user())


def termination_of(history: History, run_id: str, reason: str | None) -> commands.Terminate:
    """The end of a workflow's run. Raises UsageError for a notebook's, WorkflowClosedError."""
    if _require_open(history, run_id).workflow == "notebook":
        raise UsageError(
            f"Run {run_id} is a notebook's, and only a workflow's can be terminated. Cancel its "
            "cell, or shut its kernel down."
        )
    return commands.Terminate(run_id, reason, commands.user())


def fork_of(  # noqa: PLR0917 - as its user gave them
    history: History,
    run_id: str,
    new_run: str,
    at: str | None,
    overrides: dict[str, Any],
    accept_edits: bool,
    workflow_id: str | None,
) -> commands.Fork:
    """A fork of a workflow's run, with the id `new_run`. Raises UsageError for a notebook's."""
    run = carried(history, run_id)
    if run.workflow == "notebook":
        raise UsageError(
            f"Run {run_id} is a notebook's, which needs no command to be forked: "
            f"`%evercell fork {run_id}`, or `evercell fork {run_id}`."
        )
    given = commands.enclosed(history, as_json(overrides), {})[0] if overrides else None
    return commands.Fork(run.host, run_id, new_run, at, given, accept_edits, workflow_id)


def _under_way(history: History, run_id: str) -> list[_Open]:
    """What the run and its workflows wait for, and their steps that have not ended."""
    return [_Open(*row) for row in history.query(_OPEN, {"run": run_id}).rows]


def _chosen(history: History, run_id: str, which: str | None, kinds: tuple[Kind, ...]) -> _Open:
    """The one that is meant; among all of these kinds if `which` is None."""
    known = [one for one in _under_way(history, run_id) if one.kind in kinds]
    found = [one for one in known if which == one.activity_id]
    found = found or [one for one in known if which in {None, one.name}]
    if len(found) == 1:
        return found[0]
    what = " or ".join(kinds) if len(kinds) < 3 else "step or wait"
    named = "" if which is None else f" {which!r}"
    if not found:
        listed = "; ".join(f"{one.kind} {one.activity_id} ({one.name})" for one in known[:20])
        others = f" Under way are: {listed}." if listed else " Nothing of it is under way."
        raise UsageError(f"Run {run_id} has no open {what}{named}.{others}")
    listed = "; ".join(f"{one.activity_id} ({one.name})" for one in found[:20])
    raise UsageError(
        f"Run {run_id} has {len(found)} of what is meant, {what}{named}: {listed}. Choose one by "
        "its id."
    )


def as_json(value: Any) -> Any:
    """Models, dataclasses and structs as the JSON data that they stand for. Raises UsageError."""
    if hasattr(type(value), "model_dump"):
        return value.model_dump(mode="json")
    try:
        return msgspec.to_builtins(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{value!r:.200} is not JSON: {error}.") from error
