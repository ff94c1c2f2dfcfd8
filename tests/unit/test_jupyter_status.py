from pathlib import Path

from evercell.events import CellFailed, CellRestored, CellStarted, ErrorInfo
from evercell.jupyter.status import Status, count_cells


def started(activity, decision="executed"):
    return CellStarted("r", 0, activity, "s", 0, None, "", b"", 0, decision, "", 1)


def test_cells_are_counted_by_what_became_of_them():
    events = [
        started("a"),
        CellFailed("r", 0, "a", 1, ErrorInfo("E", "m")),
        started("b", "volatile"),
        CellRestored("r", 0, "c", "o", "s", 0, None, "", b"", 0, "", 1, 1, 1),
        CellRestored("r", 0, "d", "o", "s", 0, None, "", b"", 0, "", 1, 1, 1),
    ]
    assert count_cells(events) == {"failed": 1, "restored": 2, "unfinished": 1}


def test_text():
    text = Status("abc", Path("/h"), {"executed": 1234}, {}).text()
    assert text.splitlines() == [
        "run      abc",
        "cells    1,234 executed",
        "steps    none yet",
        "history  /h",
    ]
