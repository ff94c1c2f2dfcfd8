"""A run at a glance, in words: computed from the history, nothing is kept."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from evercell.events import CellCompleted, CellFailed, CellRestored, CellStarted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from evercell.events import Event
    from evercell.history import History

__all__ = ["Status", "count_cells", "read_status"]


@dataclass(frozen=True, slots=True)
class Status:
    """How a run stands."""

    run_id: str
    folder: Path
    cells: Mapping[str, int]  # by decision, or "failed", "unfinished"
    steps: Mapping[str, int]  # by status

    def text(self) -> str:
        """Four lines for people."""
        return "\n".join(
            [
                f"run      {self.run_id}",
                f"cells    {_counts(self.cells)}",
                f"steps    {_counts(self.steps)}",
                f"history  {self.folder}",
            ]
        )


def read_status(history: History, run_id: str) -> Status:
    """The status of a run. Raises what `History.query` raises."""
    table = history.query(
        "SELECT status, count(*) FROM steps WHERE run_id = $run_id GROUP BY status",
        {"run_id": run_id},
    )
    steps = {str(status): int(str(count)) for status, count in table.rows}
    return Status(run_id, history.folder, count_cells(history.cell_events(run_id)), steps)


def count_cells(events: list[Event]) -> dict[str, int]:
    """Cell activities by what became of them."""
    open_activities: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for event in events:
        match event:
            case CellStarted():
                open_activities[event.activity_id] = event.decision
            case CellCompleted():
                counts[open_activities.pop(event.activity_id, "executed")] += 1
            case CellFailed():
                open_activities.pop(event.activity_id, None)
                counts["failed"] += 1
            case CellRestored():
                counts["restored"] += 1
            case _:
                pass
    if open_activities:
        counts["unfinished"] = len(open_activities)
    return dict(counts)


def _counts(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in counts.items()) or "none yet"
