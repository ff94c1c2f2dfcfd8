"""What a row's details say: its code, arguments, result, attempts and errors. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, TypedDict

from evercell_widgets.actions import ActionData, of_execution, of_step, of_wait
from evercell_widgets.rows import (
    cell_id,
    group_id,
    group_row,
    run_counts,
    step_status,
    workflow_row,
    workflows_row,
)
from evercell_widgets.texts import cut
from evercell_widgets.words import (
    cell_word,
    duration,
    moment,
    money,
    number,
    step_counts,
    step_word,
)

if TYPE_CHECKING:
    from evercell_widgets.state import (
        Execution,
        RunView,
        StepGroup,
        StepView,
        Wait,
        WorkflowGroup,
    )

__all__ = ["Details", "details_of"]

_TEXT = 4000  # characters of each text
_LINES = 200


class Text(TypedDict):
    """A text under its title; `code` is in a fixed width."""

    title: str
    text: str


class Details(TypedDict):
    """Everything about one row, ready to be shown."""

    id: str
    title: str
    status: str
    facts: list[list[str]]  # name, value
    texts: list[Text]
    error: str | None
    actions: list[ActionData]


def details_of(view: RunView, row_id: str) -> Details | None:
    """The details of the row with this id; None where there is no such row (any more)."""
    kind, _, name = row_id.partition(":")
    match kind:
        case "s":
            step = view.steps.get(name.rpartition(":")[2])
            return None if step is None else _of_step(row_id, step, view.run_id)
        case "w":
            run = view.workflows.get(name)
            return None if run is None else _of_workflow(row_id, run)
        case "f":
            runs = view.groups.get(name)
            return None if runs is None else _of_workflows(row_id, runs)
        case "t":
            return _of_wait_named(view, row_id, name)
        case "c" | "g":
            return _within(view, row_id)
        case _:
            return None


def _within(view: RunView, row_id: str) -> Details | None:
    for execution in (*view.rows.values(), *view.workflows.values()):
        if cell_id(execution) == row_id:
            return _of_cell(row_id, execution)
        for group in execution.groups.values():
            if group_id(execution, group) == row_id:
                return _of_group(row_id, execution, group)
    return None


def _of_wait_named(view: RunView, row_id: str, activity_id: str) -> Details | None:
    if (wait := view.waits.get(activity_id)) is not None:
        return _of_wait(row_id, wait)
    for execution in (*view.rows.values(), *view.workflows.values()):
        if (wait := execution.waits.get(activity_id)) is not None:
            return _of_wait(row_id, wait)
    return None


def _of_step(row_id: str, step: StepView, run_id: str) -> Details:
    status = step_status(step.execution, step) if step.execution else step.status
    times = "once" if step.restored == 1 else f"{number(step.restored)} times"
    tries = [f"{tried.attempt}. {moment(tried.at)}  {tried.error}" for tried in step.tries]
    return {
        "id": row_id,
        "title": step.name,
        "status": status,
        "facts": _told(
            ("State", step_word(status)),
            ("Started", moment(step.started_at)),
            ("Took", duration(step.duration) if step.duration else ""),
            ("Attempts", number(step.attempts) if step.attempts > 1 else ""),
            ("Next attempt", "" if step.retry_at is None else moment(step.retry_at)),
            ("Result", step.reason),
            ("From the history", times if step.restored else ""),
            ("Tokens", number(step.tokens) if step.tokens else ""),
            ("Cost", money(step.cost) if step.cost else ""),
            ("Id", step.activity_id),
        ),
        "texts": _texts(
            ("Arguments", _pretty(step.arguments)),
            ("Result", _pretty(step.result)),
            ("Failed attempts", "\n".join(tries)),
        ),
        "error": step.error,
        "actions": of_step(_carrier(step, run_id), step),
    }


def _carrier(step: StepView, run_id: str) -> str:
    """The run that takes commands for the step. The notebook's `run_id` also where it only shares
    the step: what it was forked from has its own kernel."""
    execution = step.execution
    return run_id if execution is None or execution.workflow is None else execution.run_id


def _of_group(row_id: str, execution: Execution, group: StepGroup) -> Details:
    row = group_row(execution, group, is_open=False)
    counts = row["counts"]
    facts = [["Calls", step_counts(counts)]] if counts else []
    if group.first_at:
        facts.append(["First began", moment(group.first_at)])
    failed = [step for step in execution.failed.values() if step.name == group.name]
    texts: list[Text] = []
    if failed:
        lines = [f"{cut(step.arguments, 80)}  {step.error or step.status}" for step in failed]
        texts.append({"title": "Failed or in doubt", "text": _lines(lines)})
    return {
        "id": row_id,
        "title": group.name,
        "status": row["status"],
        "facts": facts,
        "texts": texts,
        "error": row["error"],
        "actions": [],
    }


def _of_cell(row_id: str, execution: Execution) -> Details:
    return {
        "id": row_id,
        "title": execution.preview,
        "status": execution.status,
        "facts": _told(
            ("State", cell_word(execution.status, execution.decision)),
            ("Why", execution.reason),
            ("Started", moment(execution.started_at)),
            ("Took", duration(execution.duration) if execution.duration else ""),
            ("Saved", duration(execution.saved) if execution.saved else ""),
            ("Tokens", number(execution.tokens) if execution.tokens else ""),
            ("Cost", money(execution.cost) if execution.cost else ""),
            ("Id", execution.activity_id),
        ),
        "texts": _texts(
            ("Code", _lines(execution.source.splitlines())),
            ("Traceback", cut(execution.traceback, _TEXT)),
        ),
        "error": execution.error,
        "actions": of_execution(execution),
    }


def _of_workflow(row_id: str, run: Execution) -> Details:
    row = workflow_row(run, is_open=None, depth=0)
    canceling = run.canceling and row["ended_at"] is None
    waits = [f"{it.kind}: {it.name}" for it in run.waits.values() if it.status == "waiting"]
    return {
        "id": row_id,
        "title": run.workflow or "",
        "status": row["status"],
        "facts": _told(
            ("State", row["status"]),
            ("Cancellation", "asked for" if canceling else ""),
            ("Started", moment(run.started_at)),
            ("Took", duration(run.duration) if run.duration else ""),
            ("Why", run.reason),
            ("Signals", number(run.signals) if run.signals else ""),
            ("Tokens", number(run.tokens) if run.tokens else ""),
            ("Cost", money(run.cost) if run.cost else ""),
            ("Workflow id", run.preview),
            ("Run", run.run_id),
        ),
        "texts": _texts(
            ("Arguments", _pretty(run.source)),
            ("Result", _pretty(run.result)),
            ("Waits for", _lines(waits)),
            ("Traceback", cut(run.traceback, _TEXT)),
        ),
        "error": run.error,
        "actions": of_execution(run),
    }


def _of_workflows(row_id: str, group: WorkflowGroup) -> Details:
    row = workflows_row(group, is_open=False)
    return {
        "id": row_id,
        "title": group.name,
        "status": row["status"],
        "facts": [["Runs", step_counts(run_counts(group))]],
        "texts": [],
        "error": None,
        "actions": [],
    }


def _of_wait(row_id: str, wait: Wait) -> Details:
    due = "" if wait.due is None else moment(wait.due)
    return {
        "id": row_id,
        "title": wait.name,
        "status": wait.status,
        "facts": _told(
            ("State", wait.status),
            ("Since", moment(wait.started_at)),
            ("Fires" if wait.kind == "timer" else "Gives up", due),
            ("Answered by", wait.by or ""),
            ("Id", wait.activity_id),
        ),
        "texts": _texts(("Answer", _pretty(wait.answer))),
        "error": None,
        "actions": of_wait(wait),
    }


def _told(*facts: tuple[str, str]) -> list[list[str]]:
    """Those that say something."""
    return [[name, value] for name, value in facts if value]


def _texts(*texts: tuple[str, str]) -> list[Text]:
    return [{"title": title, "text": text} for title, text in texts if text]


def _pretty(text: str) -> str:
    """JSON in lines, a text as it is; what was cut off as it is, too."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _lines(lines: list[str]) -> str:
    more = [f"… {number(len(lines) - _LINES)} more"] if len(lines) > _LINES else []
    return cut("\n".join([*lines[:_LINES], *more]), _TEXT)
