"""Running a notebook without a frontend, on the Evercell kernel."""

from evercell.jupyter.headless.report import (
    Awaited,
    CellEnded,
    CellFailure,
    CellScheduled,
    Counted,
    KernelReady,
    Noted,
    Progress,
    Recorded,
    RunBegan,
    RunOutcome,
    Tally,
    Waits,
)
from evercell.jupyter.headless.run import run_notebook

__all__ = [
    "Awaited",
    "CellEnded",
    "CellFailure",
    "CellScheduled",
    "Counted",
    "KernelReady",
    "Noted",
    "Progress",
    "Recorded",
    "RunBegan",
    "RunOutcome",
    "Tally",
    "Waits",
    "run_notebook",
]
