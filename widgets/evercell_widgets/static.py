"""The run as a table that needs no kernel and no script: for saved notebooks, nbconvert, GitHub.

Styles are inline and set no colours but translucent ones, because the page may be light or dark;
GitHub drops them and still shows a plain table. Everything that comes from a run is escaped.
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from evercell_widgets.words import (
    cell_label,
    duration,
    mark,
    number,
    run_line,
    step_counts,
    summary,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evercell_widgets.snapshot import CellData, Snapshot, StepData, WorkflowData

__all__ = ["html_table", "text_table"]

_NOTEWORTHY = {"running", "retrying", "failed", "in doubt", "canceled"}
_MONO = "font-family:var(--jp-code-font-family,ui-monospace,monospace);font-size:.95em"
_SOURCE = f"{_MONO};width:45%;min-width:9em;overflow-wrap:anywhere"
_ROW = "text-align:left;padding:3px 14px 3px 0;border:0;vertical-align:baseline"
_FAINT = "opacity:.72"
_LINE = "border-top:1px solid rgba(128,128,128,.28)"
_ASK = "border-left:3px solid rgba(245,124,0,.9);margin-top:4px;padding-left:8px"
_TABLE = (
    "table-layout:auto;border:0;border-collapse:collapse;margin:0;width:100%;"
    "max-width:960px;font-size:13px"
)


def html_table(snapshot: Snapshot) -> str:
    """The picture as an HTML fragment, safe to insert anywhere."""
    header = snapshot["header"]
    facts = " · ".join(escape(fact) for fact in summary(header))
    rows = "".join(row for cell in snapshot["cells"] for row in _cell_rows(cell))
    rows += "".join(row for flow in snapshot["workflows"] for row in _workflow_rows(flow))
    asks = "".join(
        f'<div style="{_ASK}">waiting for you: {escape(prompt)}</div>'
        for prompt in snapshot["approvals"]
    )
    return (
        f'<div style="font-size:13px;line-height:1.45;margin:2px 0 6px">'
        f"<strong>{escape(header['name'])}</strong> {escape(header['state'])}"
        f'<br><span style="{_FAINT}">{facts}</span>{asks}</div>'
        f'<div style="overflow-x:auto"><table style="{_TABLE}"><thead><tr>'
        + "".join(
            f'<th scope="col" style="{_ROW};font-weight:600;{_FAINT}">{name}</th>'
            for name in ("Cell", "", "State", "Steps", "Time")
        )
        + f"</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _cell_rows(cell: CellData) -> Iterator[str]:
    label = f"{mark(cell['status'])} {cell_label(cell)}"
    time = "" if cell["status"] == "running" else duration(cell["duration"])
    note = f" (was {duration(cell['saved'])})" if cell["decision"] == "restored" else ""
    count = f"[{cell['execution_count']}]"
    yield (
        f'<tr style="background:none;{_LINE}">'
        f'<td style="{_ROW};{_MONO};{_FAINT};white-space:nowrap">{escape(count)}</td>'
        f'<td style="{_ROW};{_SOURCE}">{escape(cell["preview"])}</td>'
        f'<td style="{_ROW};white-space:nowrap" title="{escape(cell["reason"])}">'
        f"{escape(label)}</td>"
        f'<td style="{_ROW}">{escape(step_counts(cell["steps"]))}</td>'
        f'<td style="{_ROW};white-space:nowrap">{escape(time)}'
        f'<span style="{_FAINT}">{escape(note)}</span></td></tr>'
    )
    if cell["error"]:
        yield _note_row(cell["error"])
    if len(cell["groups"]) > 1:
        for group in cell["groups"]:
            yield _note_row(f"{group['name']}: {step_counts(group['counts'])}")
    for step in cell["shown"]:
        if step["status"] in _NOTEWORTHY:
            yield _note_row(_step_line(step))


def _workflow_rows(workflow: WorkflowData) -> Iterator[str]:
    counts = workflow["counts"]
    yield (
        f'<tr style="background:none;{_LINE}"><td style="{_ROW}"></td>'
        f'<td style="{_ROW};{_SOURCE}">{escape(workflow["name"])}</td>'
        f'<td style="{_ROW};white-space:nowrap">{number(counts["total"])} runs</td>'
        f'<td style="{_ROW}">{escape(step_counts(workflow["steps"]))}</td>'
        f'<td style="{_ROW}">{escape(step_counts(counts))}</td></tr>'
    )
    for run in workflow["shown"]:
        yield _note_row(run_line(run))


def _note_row(text: str) -> str:
    """A line under a cell, in step with its source."""
    return (
        f'<tr style="background:none"><td style="{_ROW}"></td>'
        f'<td colspan="4" style="{_ROW};padding-top:0;{_FAINT};overflow-wrap:anywhere">'
        f"{escape(text)}</td></tr>"
    )


def _step_line(step: StepData) -> str:
    words = [f"{mark(step['status'])} {step['name']}", step["arguments"], step["status"]]
    if step["attempts"] > 1:
        words.append(f"attempt {step['attempts']}")
    if step["error"]:
        words.append(step["error"])
    return " · ".join(word for word in words if word)


def text_table(snapshot: Snapshot, width: int = 100) -> str:
    """The picture as lines of at most `width` characters."""
    header = snapshot["header"]
    lines = [f"{header['name']}  {header['state']}", "  " + " · ".join(summary(header))]
    for cell in snapshot["cells"]:
        label = f"{mark(cell['status'])} {cell_label(cell)}"
        time = "" if cell["status"] == "running" else duration(cell["duration"])
        steps = step_counts(cell["steps"])
        lines.append(
            f"  [{number(cell['execution_count']):>3}] {label:<13} {time:>9}"
            f"  {cell['preview'][:48]:<48}  {steps}".rstrip()
        )
        lines += [
            f"        {_step_line(step)}" for step in cell["shown"] if step["status"] in _NOTEWORTHY
        ]
        if cell["error"]:
            lines.append(f"        {cell['error']}")
    for prompt in snapshot["approvals"]:
        lines.append(f"  waiting for you: {prompt}")
    for flow in snapshot["workflows"]:
        lines.append(f"  {flow['name']}: {step_counts(flow['counts'])}")
        lines += [f"        {run_line(run)}" for run in flow["shown"]]
    return "\n".join(_cut(line, width) for line in lines)


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: width - 1] + "…"
