"""Running a notebook without a frontend, on the Evercell kernel."""

from evercell.jupyter.headless.report import (
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
)
from evercell.jupyter.headless.run import run_notebook

__all__ = [
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
    "run_notebook",
]
