"""Commands as people give them: to which run, to which of its waits, in which form.

run ─ id, prefix or workflow id ─> run_id ─> which approval? ─> does the form fit? ─> Answer
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evercell.engine import commands
from evercell.engine.forms import check_answer
from evercell.errors import UsageError

if TYPE_CHECKING:
    from evercell.clock import Clock
    from evercell.history import History

__all__ = ["Asked", "answer_to", "as_json", "pending_approvals", "require_activity", "signal_for"]

_PENDING = """
SELECT activity_id, prompt, CAST(schema AS VARCHAR) FROM approvals
WHERE run_id = $run AND status = 'pending'
"""
_KNOWN = """
SELECT count(*) FROM store.event
WHERE run_id = $run AND activity_id = $activity AND list_contains($types, type)
"""
STEPS = ("StepStarted",)
WAITS = ("TimerStarted", "SignalAwaited", "ApprovalRequested")


class Asked(NamedTuple):
    """An approval that can be answered."""

    activity_id: str
    prompt: str
    schema: str | None  # of the form, JSON; None: yes or no


def signal_for(  # noqa: PLR0917 - as the caller got them
    history: History,
    run_id: str,
    name: str,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    live: dict[str, Any],
) -> commands.Signal:
    """A signal. Raises NotStorableError, UsageError for more than 16 MiB."""
    message = commands.as_arguments(args, kwargs)
    payload, view = (None, None) if message is None else commands.enclosed(history, message, live)
    return commands.Signal(run_id, name, payload, view, commands.user())


def pending_approvals(history: History, run_id: str) -> list[Asked]:
    """The run's approvals that can be answered, in the order in which they were asked for."""
    return [Asked(*row) for row in history.query(_PENDING, {"run": run_id}).rows]


def answer_to(
    history: History, clock: Clock, run_id: str, activity_id: str | None, value: Any
) -> commands.Answer:
    """The answer to one of the run's approvals: False rejects it, True approves it, anything else
    is the filled-in form. `activity_id` chooses among several.

    Raises UsageError where none is waited for, several are, or the form does not fit.
    """
    asked = _chosen(run_id, pending_approvals(history, run_id), activity_id)
    payload, view = None, None
    approved = value is not False
    form = None if isinstance(value, bool) else as_json(value)
    if approved:
        check_answer(asked.schema, form)
    if form is not None:
        payload, view = commands.enclosed(history, form, {})
    return commands.Answer(
        run_id, asked.activity_id, approved, payload, view, commands.user(), clock.now()
    )


def _chosen(run_id: str, asked: list[Asked], activity_id: str | None) -> Asked:
    found = [one for one in asked if activity_id in (None, one.activity_id)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(f"{one.activity_id} ({one.prompt!r})" for one in asked) or "none"
    if activity_id is not None:
        raise UsageError(
            f"Run {run_id} waits for no approval {activity_id!r}. It waits for: {listed}."
        )
    raise UsageError(
        f"Run {run_id} waits for {len(asked)} approvals: {listed}."
        + (" Choose one by its id." if asked else "")
    )


def require_activity(
    history: History, run_id: str, activity_id: str, types: tuple[str, ...] = (*STEPS, *WAITS)
) -> None:
    """Raise UsageError unless the run has such a step, or wait."""
    parameters = {"run": run_id, "activity": activity_id, "types": list(types)}
    ((count,),) = history.query(_KNOWN, parameters).rows
    if not count:
        raise UsageError(
            f"Run {run_id} has no {'step' if types == STEPS else 'step or wait'} {activity_id!r}. "
            "The views steps, timers and approvals list them."
        )


def as_json(value: Any) -> Any:
    """Models, dataclasses and structs as the JSON data that they stand for. Raises UsageError."""
    if hasattr(type(value), "model_dump"):
        return value.model_dump(mode="json")
    try:
        return msgspec.to_builtins(value)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{value!r:.200} is not JSON: {error}.") from error
