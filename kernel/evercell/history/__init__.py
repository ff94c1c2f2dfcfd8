"""Durable event history: journals for writing, DuckDB for reading. `History` is the way in."""

from evercell.history.costs import Cost
from evercell.history.keys import key_file
from evercell.history.locks import RunLock
from evercell.history.machines import user_name
from evercell.history.parameters import bind
from evercell.history.queries import (
    KnownRun,
    RunRecord,
    RunStatus,
    StepRecord,
    StepStatus,
    Table,
    same_parameters,
)
from evercell.history.schema import own_paths
from evercell.history.steps import StepTable
from evercell.history.store import History, Listener

__all__ = [
    "Cost",
    "History",
    "KnownRun",
    "Listener",
    "RunLock",
    "RunRecord",
    "RunStatus",
    "StepRecord",
    "StepStatus",
    "StepTable",
    "Table",
    "bind",
    "key_file",
    "own_paths",
    "same_parameters",
    "user_name",
]
