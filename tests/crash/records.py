"""Steps written straight into a history, and read back."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from evercell import events as e

if TYPE_CHECKING:
    from evercell.history import History

RUN = "run0000001"


def begin(history: History, run: str = RUN, generation: int = 1) -> None:
    if generation == 1:
        history.append(e.RunStarted(run, 1, "notebook", "/nb.ipynb", {}, "python", "0.1.0"))
    history.commit(e.RunAttached(run, 1, generation, os.getpid(), "host", None, "/nb.ipynb"))


def record(history: History, numbers: range, run: str = RUN) -> None:
    for number in numbers:
        step = history.new_activity_id()
        result = history.put(b"%d" % number, "json")
        key = number.to_bytes(16, "big")
        history.append(e.StepStarted(run, 1, step, "cell", "id:a", "ask", key, number, "{}"))
        history.commit(e.StepCompleted(run, 1, step, 1, result))


def recorded(history: History, run: str = RUN) -> list[int]:
    return [record.ordinal for record in history.step_records(run, "id:a")]
