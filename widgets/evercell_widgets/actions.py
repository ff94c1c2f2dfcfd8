"""What a person can do to a run from the widget: which actions fit, what each costs, what it says.

    page ── {type: "act", ...} ──> parse_action ──> Desk.act (durable) ──> answer to the page

An action is carried out by a `Desk`, which the widget is given; without one nothing can be done.
It is shown as done only when its event has come, and as accepted when it is durable.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypedDict, get_args

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evercell_widgets.state import Execution, StepView, Wait

__all__ = [
    "Action",
    "ActionData",
    "Deed",
    "Desk",
    "of_execution",
    "of_step",
    "of_wait",
    "parse_action",
]

Deed = Literal["approve", "reject", "signal", "cancel", "terminate", "retry", "skip", "fork"]
_LONGEST = 1_000_000  # characters of a value


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that a person wants done."""

    deed: Deed
    run_id: str
    activity_id: str | None = None  # None: the whole run
    name: str = ""  # of a signal
    value: Any = None  # JSON: an approval's answer, a signal's argument, a step's result
    has_value: bool = False
    accepted: bool = False  # the person gave their word for what was refused without it
    asked: str = ""  # names the ask, which a page that had no answer repeats to the next kernel


class Desk(Protocol):
    """Who carries out actions."""

    def takes(self, run_id: str) -> bool:
        """Whether anything can be done to the run now. Quick, from any thread."""
        ...

    def act(self, action: Action, pending: Callable[[str], Wait | None]) -> str | None:
        """Have it carried out; durable on return. From any thread; must not wait for user code.
        `pending` gives the approval with an activity's id, if it is pending. Returns what the
        person should know besides.

        Raises EvercellError, whose message is for the person.
        """
        ...


class ActionData(TypedDict):
    """An action that fits now, for a page to offer. `run` and `activity` come back with it."""

    deed: Deed
    run: str
    activity: str | None
    label: str
    ask: str | None  # what to ask before it is done, because it costs or can't be undone
    form: str | None  # "value" for any JSON, "signal" for a name and JSON, or a JSON schema
    name: str  # of the signal that is waited for
    value: str  # what stands in the form at first, JSON


def parse_action(message: Mapping[str, Any]) -> Action:
    """The action that a page's message asks for. Raises ValueError, saying what is wrong."""
    run, activity = message.get("run"), message.get("activity")
    deed = next((deed for deed in get_args(Deed) if deed == message.get("deed")), None)
    if deed is None or not isinstance(run, str):
        raise ValueError("This action is unknown; load the page again.")
    if activity is not None and not isinstance(activity, str):
        raise ValueError("This action has no activity; load the page again.")
    name, text = message.get("name", ""), message.get("value")
    if deed == "signal" and not (isinstance(name, str) and name.strip()):
        raise ValueError("A signal needs a name.")
    word = message.get("accepted") is True
    page, request = message.get("page"), message.get("request")
    asked = f"{page} {request}" if page and request else ""
    has_value = text is not None and text != ""
    value = _value(text) if has_value else None
    return Action(deed, run, activity, str(name).strip(), value, has_value, word, asked)


def _value(text: object) -> Any:
    if not isinstance(text, str) or len(text) > _LONGEST:
        raise ValueError("The value is too long, or no JSON.")
    try:
        return json.loads(text)
    except ValueError as error:
        raise ValueError(f"The value is no JSON: {error}. A text needs quotation marks.") from None


def of_step(run_id: str, step: StepView) -> list[ActionData]:
    """What can be done about a step."""
    here = run_id, step.activity_id
    is_workflows = step.execution is not None and step.execution.workflow is not None
    if step.status in ({"completed"} if is_workflows else {"completed", "restored", "failed"}):
        ask = _FORKS_WORKFLOW if is_workflows else _FORKS_NOTEBOOK
        fork = _action("fork", here, "Override and fork…", ask, form="value")
        return [{**fork, "value": _whole(step.result)}]
    if step.status not in {"running", "retrying"}:
        return []
    actions = []
    if step.status == "retrying":
        ask = "The next attempt calls the step's function now, which may cost money."
        actions.append(_action("retry", here, "Retry now", ask))
    ask = "What the attempt has cost so far stays paid, and the next call of it runs again."
    actions += [
        _action("skip", here, "Skip with a value…", None, form="value"),
        _action("cancel", here, "Cancel step", ask),
    ]
    return actions


_FORKS_WORKFLOW = (
    "A new run begins, which shares all up to this step and takes your result for its own. "
    "What comes after runs again, which may cost money."
)
_FORKS_NOTEBOOK = (
    "A new run of the notebook begins, in which this step has your result. Its cell and what "
    "depends on it run again, which may cost money; all else comes back. This run stays as it is."
)


def _whole(result: str) -> str:
    """The result as JSON to be edited; empty where only a part of it is known."""
    try:
        json.loads(result)
    except ValueError:
        return ""
    return result


def of_execution(execution: Execution) -> list[ActionData]:
    """What can be done about a cell, or a workflow's run."""
    here = execution.run_id, None
    if execution.workflow is None:
        if execution.status != "running":
            return []
        ask = "The cell is interrupted. Steps that have ended stay recorded; what runs now is lost."
        return [_action("cancel", here, "Cancel cell", ask)]
    if execution.status not in {"running", "stopped", "blocked"}:
        return []
    return [
        _action("signal", here, "Send signal…", None, form="signal"),
        _action("cancel", here, "Cancel run", "The workflow's code may clean up, then it ends."),
        _action("terminate", here, "Terminate", "The run ends at once; its code is not asked."),
    ]


def of_wait(wait: Wait) -> list[ActionData]:
    """What can be done about something that is waited for."""
    if wait.status != "waiting":
        return []
    here = wait.run_id, wait.activity_id
    if wait.kind == "approval":
        return [
            _action("approve", here, "Approve", None, form=wait.schema),
            _action("reject", here, "Reject", None),
        ]
    ask = "The code that waits goes on with an error of cancellation."
    actions = []
    if wait.execution.workflow is None:  # a workflow's code is cancelled as a whole
        actions.append(_action("cancel", here, f"Cancel {wait.kind}", ask))
    if wait.kind == "signal":
        send = _action("signal", (wait.run_id, None), "Send signal…", None, form="signal")
        actions.insert(0, {**send, "name": wait.name})
    return actions


def _action(
    deed: Deed, here: tuple[str, str | None], label: str, ask: str | None, form: str | None = None
) -> ActionData:
    return {
        "deed": deed,
        "run": here[0],
        "activity": here[1],
        "label": label,
        "ask": ask,
        "form": form,
        "name": "",
        "value": "",
    }
