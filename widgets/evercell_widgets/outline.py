"""Which rows there are, and the few of them that somebody looks at. Pure.

    RunView, Look ─> Outline: lines in order, each one row or all the steps of a group
                       └─ window(first, count) ─> rows, built only for what is in sight

A cell's steps stand below it; many calls of one step are one row that opens. Without a word from
the user, a cell is open while it runs, and when something in it failed. While something is
searched, what was found is open. The cost of an outline grows with cells and groups, not with
steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from evercell_widgets.rows import (
    cell_id,
    cell_row,
    group_id,
    group_row,
    step_row,
    step_status,
    wait_row,
    workflow_id,
    workflow_row,
    workflows_id,
    workflows_row,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from evercell_widgets.rows import RowData
    from evercell_widgets.state import (
        Execution,
        RunView,
        StepGroup,
        StepView,
        Wait,
        WorkflowGroup,
    )

__all__ = ["FILTERS", "MANY", "Found", "Look", "Outline", "found_in", "outline", "parse_look"]

MANY = 4  # calls of one step, or runs of one workflow, that share a row
_MAX_ROWS = 500  # that one look gets
_LIVELY = frozenset({"running", "failed", "interrupted", "in doubt", "blocked"})

FILTERS: dict[str, frozenset[str]] = {
    "running": frozenset({"running", "retrying"}),
    "waiting": frozenset({"waiting"}),
    "failed": frozenset(
        {"failed", "interrupted", "in doubt", "canceled", "blocked", "timed out", "terminated"}
    ),
    "restored": frozenset({"restored", "recorded"}),
    "ran": frozenset({"completed"}),
}


@dataclass(frozen=True, slots=True)
class Look:
    """What somebody looks at: some rows, with some open, perhaps only those that match."""

    first: int = 0
    count: int = 40
    open: Mapping[str, bool] = field(default_factory=dict)  # row id -> what the user chose
    status: str = ""  # a key of FILTERS, or all
    search: str = ""  # in lower case
    inspect: str | None = None  # id of the row whose details are shown
    asked: int = 0  # the page's number for it

    @property
    def is_narrowed(self) -> bool:
        """Whether only matching rows are shown."""
        return bool(self.status or self.search)


def parse_look(message: Mapping[str, Any]) -> Look:
    """The look that a page's message asks for; what is wrong in it counts as not said."""
    opened = message.get("open")
    status = message.get("status")
    search = message.get("search")
    inspect = message.get("inspect")
    return Look(
        first=_number(message.get("first"), 0, 10**9),
        count=_number(message.get("count"), 40, _MAX_ROWS),
        open={str(k): v is True for k, v in opened.items()} if isinstance(opened, dict) else {},
        status=status if isinstance(status, str) and status in FILTERS else "",
        search=search.strip().lower()[:200] if isinstance(search, str) else "",
        inspect=inspect if isinstance(inspect, str) else None,
        asked=_number(message.get("asked"), 0, 10**9),
    )


def _number(value: object, default: int, most: int) -> int:
    return max(0, min(value, most)) if isinstance(value, int) else default


class _Line(NamedTuple):
    """One row, or as many as there are steps or runs in a list."""

    height: int
    row: Callable[[int], RowData]  # by its index in the line


Found = Callable[["Execution", "StepGroup", "Look"], "Sequence[StepView]"]
"""Gives a group's steps that match a look."""


@dataclass(frozen=True, slots=True)
class Outline:
    """All rows, not yet built."""

    lines: Sequence[_Line]
    total: int

    def window(self, first: int, count: int) -> list[RowData]:
        """`count` rows from `first` on, or as many as there are."""
        rows: list[RowData] = []
        for line in self.lines:
            if first >= line.height:
                first -= line.height
                continue
            last = min(line.height, first + count - len(rows))
            rows += [line.row(index) for index in range(first, last)]
            if len(rows) == count:
                break
            first = 0
        return rows


def outline(view: RunView, look: Look, found: Found) -> Outline:
    """The rows of `view`. `found` is asked only where `look` narrows (see `found_in`)."""
    lines: list[_Line] = []
    for execution in sorted(view.rows.values(), key=_place):
        lines += _cell_lines(execution, look, found)
    for group in view.groups.values():
        lines += _workflows_lines(group, look, found)
    return Outline(lines, sum(line.height for line in lines))


def _place(execution: Execution) -> tuple[int, int]:
    """Cells stand in the notebook's order where it is known, else in the order they ran."""
    index = execution.position if execution.index is None else execution.index
    return index, execution.position


def _cell_lines(execution: Execution, look: Look, found: Found) -> Iterator[_Line]:
    if look.is_narrowed:
        below = _below(execution, look, found, 1)
        if not below and not _matches_cell(execution, look):
            return
        is_open = look.open.get(cell_id(execution), True) if below else None
    else:
        default = execution.status in _LIVELY or bool(execution.failed or execution.waits)
        is_open = look.open.get(cell_id(execution), default) if _opens(execution) else None
        below = _below(execution, look, found, 1) if is_open else []
    yield _one(partial(cell_row, execution, is_open=is_open))
    if is_open:
        yield from below


def _opens(execution: Execution) -> bool:
    """Whether anything stands below it."""
    return bool(execution.groups or execution.waits or execution.children)


def _workflows_lines(group: WorkflowGroup, look: Look, found: Found) -> Iterator[_Line]:
    """Few runs of a workflow stand for themselves; many share a row. Runs that nobody opened are
    one line: there may be a hundred thousand."""
    if look.is_narrowed:
        runs: Sequence[Execution] = [
            run for run in group.runs if _matches_run(run, look) or _below(run, look, found, 1)
        ]
        if not runs:
            return
    else:
        runs = group.runs
    if len(group.runs) < MANY:
        for run in runs:
            yield from _run_lines(run, look, found, 0)
        return
    is_open = look.open.get(workflows_id(group), look.is_narrowed)
    yield _one(partial(workflows_row, group, is_open=is_open))
    if not is_open:
        return
    opened = {id_ for id_, chosen in look.open.items() if chosen and id_.startswith("w:")}
    places = [n for n, run in enumerate(runs) if workflow_id(run) in opened] if opened else []
    since = 0
    for place in places:
        yield _closed(runs, since, place)
        yield from _run_lines(runs[place], look, found, 1, among=True)
        since = place + 1
    yield _closed(runs, since, len(runs))


def _closed(runs: Sequence[Execution], since: int, until: int) -> _Line:
    def row(index: int) -> RowData:
        run = runs[since + index]
        return workflow_row(run, is_open=False if _opens(run) else None, depth=1, among=True)

    return _Line(until - since, row)


def _run_lines(
    run: Execution, look: Look, found: Found, depth: int, *, among: bool = False
) -> Iterator[_Line]:
    if look.is_narrowed:
        below = _below(run, look, found, depth + 1)
        if not below and not _matches_run(run, look):
            return
        is_open = look.open.get(workflow_id(run), True) if below else None
    else:
        lively = run.status in _LIVELY
        is_open = look.open.get(workflow_id(run), lively) if _opens(run) else None
        below = _below(run, look, found, depth + 1) if is_open else []
    yield _one(partial(workflow_row, run, is_open=is_open, depth=depth, among=among))
    if is_open:
        yield from below


def _below(execution: Execution, look: Look, found: Found, depth: int) -> list[_Line]:
    """What stands below a cell or a workflow's run: its steps, what it waits for, its children."""
    shown: list[tuple[StepGroup, Sequence[StepView]]] = [
        (group, steps)
        for group in execution.groups.values()
        if (steps := found(execution, group, look) if look.is_narrowed else group.steps)
    ]
    lines = [*_group_lines(execution, shown, look, depth)]
    lines += [
        _one(partial(wait_row, wait, depth=depth))
        for wait in execution.waits.values()
        if not look.is_narrowed or _matches_wait(wait, look)
    ]
    for child in execution.children:
        lines += _run_lines(child, look, found, depth)
    return lines


def _group_lines(
    execution: Execution,
    shown: list[tuple[StepGroup, Sequence[StepView]]],
    look: Look,
    depth: int,
) -> Iterator[_Line]:
    """In the order in which the groups began; few calls of a step stand for themselves."""
    for group, steps in sorted(shown, key=lambda pair: pair[1][0].position):
        if len(group.steps) < MANY:
            yield _steps(execution, steps, depth)
            continue
        is_open = look.open.get(group_id(execution, group), look.is_narrowed)
        yield _one(partial(group_row, execution, group, is_open=is_open, depth=depth))
        if is_open:
            yield _steps(execution, steps, depth + 1, among=True)


def _steps(
    execution: Execution, steps: Sequence[StepView], depth: int, *, among: bool = False
) -> _Line:
    def row(index: int) -> RowData:
        return step_row(execution, steps[index], depth=depth, among=among)

    return _Line(len(steps), row)


def _one(row: Callable[[], RowData]) -> _Line:
    return _Line(1, lambda _: row())


def _matches_cell(execution: Execution, look: Look) -> bool:
    if look.status and execution.status not in FILTERS[look.status]:
        return False
    return look.search in execution.source.lower()


def _matches_run(run: Execution, look: Look) -> bool:
    status = workflow_row(run, is_open=None, depth=0)["status"]
    if look.status and status not in FILTERS[look.status]:
        return False
    told = f"{run.workflow} {run.preview} {run.source} {run.result} {run.error or ''}"
    return look.search in told.lower()


def _matches_wait(wait: Wait, look: Look) -> bool:
    if look.status and wait.status not in FILTERS[look.status]:
        return False
    return look.search in f"{wait.kind} {wait.name} {wait.answer}".lower()


def found_in(execution: Execution, group: StepGroup, look: Look) -> Sequence[StepView]:
    """The group's steps that match; costs a look at each."""
    steps: Sequence[StepView] = group.steps
    if look.status:
        wanted = FILTERS[look.status]
        steps = [step for step in steps if step_status(execution, step) in wanted]
    if look.search:
        if look.search in group.name.lower():
            return steps
        text = look.search
        steps = [
            step
            for step in steps
            if text in step.arguments.lower()
            or text in step.result.lower()
            or (step.error is not None and text in step.error.lower())
        ]
    return steps
