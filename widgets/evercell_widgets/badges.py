"""What became of each cell, and of the run: the few facts that a notebook shows beside its cells.

`Badges` remembers what it has given, so that a page gets only the cells that changed since.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    from evercell_widgets.state import Execution, RunView

__all__ = ["Badge", "Badges", "RunFacts", "badge_of", "facts_of"]


class Badge(TypedDict):
    """A cell's latest execution or restore. Times are nanoseconds; steps are counts."""

    slot: str
    cell_id: str | None  # nbformat's, where the frontend sent it
    status: str
    decision: str
    reason: str
    duration: int
    saved: int
    saved_tokens: int
    saved_cost: float
    tokens: int
    cost: float
    error: str | None
    steps: int  # that the cell called, as far as it came
    ended: int  # of those, how many have ended, well or not
    restored: int  # of those, how many the history answered
    failed: int


class RunFacts(TypedDict):
    """A run as a whole."""

    run_id: str
    notebook: str | None
    state: str
    generation: int
    tokens: int
    cost: float


def badge_of(execution: Execution) -> Badge:
    """The badge of a cell."""
    counts: dict[str, int] = {}
    for group in execution.groups.values():
        for status, number in group.counts.items():
            counts[status] = counts.get(status, 0) + number
    steps = sum(counts.values())
    unended = sum(counts.get(status, 0) for status in ("running", "retrying", "in doubt"))
    return {
        "slot": execution.slot,
        "cell_id": execution.cell_id,
        "status": execution.status,
        "decision": execution.decision,
        "reason": execution.reason,
        "duration": execution.duration,
        "saved": execution.saved,
        "saved_tokens": execution.saved_tokens,
        "saved_cost": execution.saved_cost,
        "tokens": execution.tokens,
        "cost": execution.cost,
        "error": execution.error,
        "steps": steps,
        "ended": steps - unended,
        "restored": counts.get("restored", 0),
        "failed": counts.get("failed", 0),
    }


def facts_of(view: RunView) -> RunFacts:
    """The run as a whole."""
    return {
        "run_id": view.run_id,
        "notebook": view.notebook,
        "state": view.state,
        "generation": view.generation,
        "tokens": view.input_tokens + view.output_tokens,
        "cost": view.cost,
    }


class Badges:
    """The badges of one view as somebody has got them."""

    def __init__(self) -> None:
        self._given: dict[str, Badge] = {}

    def changed(self, view: RunView) -> list[Badge]:
        """The badges that differ from those given before; they count as given."""
        found = []
        for slot, execution in view.rows.items():
            badge = badge_of(execution)
            if self._given.get(slot) != badge:
                self._given[slot] = badge
                found.append(badge)
        return found
