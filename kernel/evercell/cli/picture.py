"""A run's picture on a terminal, from the same view state as the widget's. Pure.

    name ● running   3 min 05 s · about 2 min left
    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╸━━━━━  52 / 58 steps
    22 restored · 29 ran · 6 running · 1 failed · 9 450 tokens · saved 36.0 s
    [3] ↺ restored     4 ms   6 / 6    pages = [fetch(p) for p in topics]
    [5] ● running      12 s   46 / 52  answers = await ask.map(questions)
          ✗ ask  What does page 19 say?  openai.BadRequestError: too long

What has no room is left out: first finished cells, then the steps of the others.
"""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell_widgets.words import (
    cell_label,
    duration,
    facts,
    mark,
    number,
    progress,
    run_line,
    spent,
    step_counts,
    ticking,
)

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.text import Text

    from evercell_widgets.counts import Counts
    from evercell_widgets.snapshot import CellData, Snapshot, StepData

__all__ = ["cell_lines", "cell_text", "picture"]

STYLES = {
    "running": "green",
    "retrying": "yellow",
    "completed": "green",
    "restored": "cyan",
    "recorded": "dim",
    "failed": "red",
    "interrupted": "red",
    "in doubt": "yellow",
    "canceled": "dim",
}
_NOTEWORTHY = {"running", "retrying", "failed", "in doubt"}
_NARROW = 70  # columns below which a cell's steps are not counted beside it


def picture(snapshot: Snapshot, *, width: int, height: int) -> RenderableType:
    """The whole picture in at most `height` lines of `width` columns."""
    from rich.console import Group

    head = _head(snapshot, width)[:height]
    return Group(*head, *_fitting(snapshot, width, height - len(head)))


def _head(snapshot: Snapshot, width: int) -> list[Text]:
    header = snapshot["header"]
    state = header["state"]
    line = _line()
    line.append(header["name"], style="bold")
    line.append(f"  {mark(state)} ", style=STYLES.get(state, "dim"))
    line.append(state)
    line.append(f"   {' · '.join(spent(header))}", style="dim")
    others = [*filter(None, [step_counts(header["steps"])]), *facts(header)]
    lines = [line]
    if header["steps"]["total"]:
        lines.append(_bar(header["steps"], width))
    for facts_of_line in _packed(others, width):
        line = _line()
        line.append(facts_of_line, style="dim")
        lines.append(line)
    return lines


def _packed(facts: list[str], width: int) -> list[str]:
    """The facts in as few lines of `width` columns as hold them; none is cut where it fits."""
    lines: list[str] = []
    for fact in facts:
        if lines and len(lines[-1]) + 3 + len(fact) <= width:
            lines[-1] += f" · {fact}"
        else:
            lines.append(fact)
    return lines


def _bar(counts: Counts, width: int) -> Text:
    """What became of the steps, in proportion."""
    label = f"  {progress(counts)} steps"
    columns = max(10, min(60, width - len(label)))
    whole = counts["planned"] or counts["total"]
    bar = _line()
    kinds = (("restored", "cyan"), ("completed", "green"), ("failed", "red"),
             ("in_doubt", "yellow"), ("canceled", "dim"))  # fmt: skip
    done = drawn = 0
    for kind, style in kinds:
        done += counts[kind]  # type: ignore[literal-required]
        until = columns * done // whole
        bar.append("━" * (until - drawn), style=style)
        drawn = until
    bar.append("━" * (columns - drawn), style="bright_black")
    bar.append(label)
    return bar


def _fitting(snapshot: Snapshot, width: int, room: int) -> list[Text]:
    """The cells' lines, the earliest finished cells left out where there is no room."""
    if room <= 0:
        return []
    cells = snapshot["cells"]
    now = snapshot["header"]["now"]
    blocks = [cell_lines(cell, now, width) for cell in cells]
    others = _others(snapshot)[:room]
    room -= len(others)
    needed = sum(map(len, blocks))
    if needed <= room:
        return [*(line for block in blocks for line in block), *others]
    keep: list[int] = []
    left = room - 1  # a line says what is left out
    wanted = sorted(range(len(cells)), key=lambda n: (cells[n]["status"] not in _NOTEWORTHY, -n))
    for n in wanted:
        if left <= 0:
            break
        blocks[n] = blocks[n][:left]
        left -= len(blocks[n])
        keep.append(n)
    hidden = len(cells) - len(keep)
    more = _line()
    more.append(f"… {number(hidden)} more cells" if hidden else "…", style="dim")
    return [more, *(line for n in sorted(keep) for line in blocks[n]), *others][
        : room + len(others)
    ]


def _others(snapshot: Snapshot) -> list[Text]:
    """What people are asked, and the workflows' runs."""
    lines = []
    for prompt in snapshot["approvals"]:
        line = _line()
        line.append(f"  waiting for you: {prompt}", style="bold yellow")
        lines.append(line)
    for workflow in snapshot["workflows"]:
        line = _line()
        line.append(f"  {workflow['name']}", style="bold")
        line.append(f"  {step_counts(workflow['counts'])}", style="dim")
        lines.append(line)
        lines += [_note(run_line(run)) for run in workflow["shown"]]
    return lines


def cell_lines(cell: CellData, now: int, width: int) -> list[Text]:
    """The cell's line, and below it what is worth a line in it."""
    lines = [cell_text(cell, now, width)]
    if cell["status"] in _NOTEWORTHY and len(cell["groups"]) > 1:
        lines += [_note(f"{it['name']}: {step_counts(it['counts'])}") for it in cell["groups"]]
    lines += [_step(step, now) for step in cell["shown"] if step["status"] in _NOTEWORTHY]
    if cell["error"]:
        lines.append(_note(cell["error"], style="red"))
    return lines


def cell_text(cell: CellData, now: int, width: int) -> Text:
    """One line about the cell."""
    status = cell["status"]
    going_on = status == "running"
    took = ticking(now - cell["started_at"]) if going_on else duration(cell["duration"])
    line = _line()
    line.append(f"[{cell['execution_count']}]".rjust(5), style="dim")
    line.append(f" {mark(status)} ", style=STYLES.get(status, ""))
    line.append(f"{cell_label(cell):<11}")
    line.append(f"{took:>12}  ", style="dim")
    if width >= _NARROW:
        steps = progress(cell["steps"]) if cell["steps"]["total"] else ""
        line.append(f"{steps:<12} ", style="dim")
    line.append(cell["preview"])
    return line


def _step(step: StepData, now: int) -> Text:
    status = step["status"]
    line = _line()
    line.append(f"        {mark(status)} ", style=STYLES.get(status, ""))
    line.append(f"{step['name']}  ")
    line.append(step["arguments"], style="dim")
    if status == "retrying" and step["retry_at"] is not None:
        line.append(f"  attempt {step['attempts'] + 1} in {ticking(step['retry_at'] - now)}")
    elif status == "running":
        line.append(f"  {ticking(now - step['started_at'])}")
    if step["error"] and status != "running":
        line.append(f"  {step['error']}", style="red")
    return line


def _note(text: str, style: str = "dim") -> Text:
    line = _line()
    line.append(f"        {text}", style=style)
    return line


def _line() -> Text:
    from rich.text import Text

    return Text(no_wrap=True, overflow="ellipsis")
