"""Schedules as cells use them: what a cell triggered is not triggered again when it runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from waiting import Book

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FLOW = """
@evercell.workflow
async def tick():
    return "ticked"
"""
SET = "schedule = tick.schedule('ticks', every='1d', overlap='allow_all')"


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / "history")
    yield book
    book.stop()


def test_a_cell_that_runs_again_triggers_once_for_each_call(book: Book) -> None:
    notebook = book.start()
    notebook.cell(FLOW)
    notebook.cell(SET)
    shell = notebook.cell("schedule.trigger()\nschedule.trigger()\nraise ValueError('later')")
    assert isinstance(shell.error, ValueError)
    assert notebook.again("schedule.trigger()\nschedule.trigger()").error is None
    assert len(notebook.live["schedule"].describe().recent) == 2
    notebook.again("for _ in range(3): schedule.trigger()")
    assert len(notebook.live["schedule"].describe().recent) == 3
