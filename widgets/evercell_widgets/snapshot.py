"""What a view sends or prints: JSON-ready data, bounded however long the run is.

`snapshot` is a whole picture, `delta` what changed since a revision. A cell is always sent whole
(its counts and at most `limit` steps), so merging a delta is replacing cells, and merging it twice
does no harm. `static/run.js` repeats these types in JSDoc.
"""

from __future__ import annotations

import json
import re
from itertools import islice
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell_widgets.view import Execution, RunView, StepGroup, StepView

__all__ = ["CellData", "Counts", "GroupData", "Header", "Snapshot", "StepData", "delta", "snapshot"]


_OPENING = re.compile(r'^\{"\w+": ?"?')


class Counts(TypedDict):
    """How many steps are in which state; `total` are those known so far."""

    total: int
    completed: int
    restored: int
    running: int  # retrying ones included
    retrying: int
    failed: int
    canceled: int
    in_doubt: int


class Header(TypedDict):
    """The run as a whole. Times are nanoseconds; `*_at` and `now` since the epoch."""

    run_id: str
    notebook: str | None
    state: str
    generation: int
    now: int
    busy: int  # time spent in finished cells since the kernel attached
    running_since: int | None
    steps: Counts
    cells: int
    cells_restored: int
    input_tokens: int
    output_tokens: int
    cost: float
    saved: int
    saved_tokens: int
    saved_cost: float


class StepData(TypedDict):
    """One step worth a line."""

    id: str
    name: str
    ordinal: int
    status: str
    attempts: int
    restored: int
    started_at: int
    duration: int
    retry_at: int | None
    error: str | None
    arguments: str


class GroupData(TypedDict):
    """All calls of one step function in a cell."""

    name: str
    counts: Counts


class CellData(TypedDict):
    """One cell of the run."""

    slot: str
    index: int | None
    position: int
    execution_count: int
    preview: str
    status: str
    decision: str
    reason: str
    started_at: int
    duration: int
    saved: int
    tokens: int
    error: str | None
    steps: Counts
    groups: list[GroupData]
    shown: list[StepData]


class Snapshot(TypedDict):
    """A picture of the run at `revision`: whole when `since` is 0, else the cells that changed."""

    revision: int
    since: int
    header: Header
    cells: list[CellData]


def snapshot(view: RunView, *, now: int, limit: int = 12) -> Snapshot:
    """The whole picture, with at most `limit` steps per cell. `now`: wall clock in ns."""
    return delta(view, 0, now=now, limit=limit)


def delta(view: RunView, since: int, *, now: int, limit: int = 12) -> Snapshot:
    """The header, and the cells that changed after revision `since`."""
    changed = [row for row in view.rows.values() if row.revision > since or since == 0]
    changed.sort(key=_place)
    return {
        "revision": view.revision,
        "since": since,
        "header": _header(view, now),
        "cells": [_cell(row, limit) for row in changed],
    }


def _place(row: Execution) -> tuple[int, int]:
    """Cells stand in the notebook's order where it is known, else in the order they ran."""
    return (row.position if row.index is None else row.index, row.position)


def _header(view: RunView, now: int) -> Header:
    rows = view.rows.values()
    started = [row.started_at for row in rows if row.status == "running"]
    return {
        "run_id": view.run_id,
        "notebook": view.notebook,
        "state": view.state,
        "generation": view.generation,
        "now": now,
        "busy": view.busy,
        "running_since": min(started, default=None),
        "steps": _counts(group for row in rows for group in row.groups.values()),
        "cells": len(rows),
        "cells_restored": sum(row.status == "restored" for row in rows),
        "input_tokens": view.input_tokens,
        "output_tokens": view.output_tokens,
        "cost": view.cost,
        "saved": sum(row.saved for row in rows),
        "saved_tokens": sum(row.saved_tokens for row in rows),
        "saved_cost": sum(row.saved_cost for row in rows),
    }


def _cell(row: Execution, limit: int) -> CellData:
    return {
        "slot": row.slot,
        "index": row.index,
        "position": row.position,
        "execution_count": row.execution_count,
        "preview": row.preview,
        "status": row.status,
        "decision": row.decision,
        "reason": row.reason,
        "started_at": row.started_at,
        "duration": row.duration,
        "saved": row.saved,
        "tokens": row.tokens,
        "error": row.error,
        "steps": _counts(row.groups.values()),
        "groups": [
            {"name": group.name, "counts": _counts([group])} for group in row.groups.values()
        ],
        "shown": [_step(row, step) for step in _worth_showing(row, limit)],
    }


def _worth_showing(row: Execution, limit: int) -> list[StepView]:
    """What runs, then what failed, then what ended last; in the order in which they began."""
    chosen: dict[str, StepView] = {}
    for steps in (row.running.values(), reversed(row.failed.values()), reversed(row.recent)):
        for step in islice(steps, limit - len(chosen)):
            chosen[step.activity_id] = step
    return sorted(chosen.values(), key=lambda step: step.position)


def _step(row: Execution, step: StepView) -> StepData:
    came_with_its_cell = row.decision == "restored" and step.status == "completed"
    return {
        "id": step.activity_id,
        "name": step.name,
        "ordinal": step.ordinal,
        "status": "restored" if came_with_its_cell else step.status,
        "attempts": step.attempts,
        "restored": step.restored,
        "started_at": step.started_at,
        "duration": step.duration,
        "retry_at": step.retry_at,
        "error": step.error,
        "arguments": call_text(step.arguments),
    }


def call_text(arguments: str) -> str:
    """A JSON object of arguments as values, with names only where there are several."""
    try:
        values = json.loads(arguments) if arguments else {}
    except ValueError:  # cut off: it is only shown
        return _OPENING.sub("", arguments) + "…"
    if not isinstance(values, dict):
        return arguments
    shown = {k: v if isinstance(v, str) else json.dumps(v) for k, v in values.items()}
    if len(shown) == 1:
        return next(iter(shown.values()))
    return ", ".join(f"{name}: {value}" for name, value in shown.items())


def _counts(groups: Iterable[StepGroup]) -> Counts:
    counts: Counts = {
        "total": 0,
        "completed": 0,
        "restored": 0,
        "running": 0,
        "retrying": 0,
        "failed": 0,
        "canceled": 0,
        "in_doubt": 0,
    }
    for group in groups:
        by_status = group.counts
        counts["completed"] += by_status.get("completed", 0)
        counts["restored"] += by_status.get("restored", 0)
        counts["retrying"] += by_status.get("retrying", 0)
        counts["running"] += by_status.get("running", 0) + by_status.get("retrying", 0)
        counts["failed"] += by_status.get("failed", 0)
        counts["canceled"] += by_status.get("canceled", 0)
        counts["in_doubt"] += by_status.get("in doubt", 0)
        counts["total"] += sum(by_status.values())
    return counts
