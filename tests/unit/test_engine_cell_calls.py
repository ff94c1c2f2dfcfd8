"""What cells ask of schedules and runs is asked once, also where a cell runs again."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from waiting import Book

import evercell
from evercell.engine import commands as c
from evercell.engine.workflow.definition import DEFINED
from evercell.errors import WorkflowBlockedError
from evercell.events import ApprovalRequested
from evercell.history import History

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


def test_a_run_goes_on_with_the_edited_code_of_the_cell_that_starts_it(book: Book) -> None:
    notebook = book.start()
    notebook.cell("import asyncio, time\nfrom evercell import workflow")
    source = (
        "@workflow\nasync def flow():\n    return now()\n"
        "handle = flow.start()\nresult = handle.result(30)"
    )
    shell = notebook.cell(source.replace("now()", "time.time()"))
    assert isinstance(shell.error, WorkflowBlockedError)
    blocked = notebook.live["handle"].run_id
    assert notebook.again(source.replace("now()", "workflow.time()")).error is None
    assert notebook.live["handle"].run_id == blocked
    assert notebook.live["result"] > 0


WAITS = """
@evercell.workflow
async def waits():
    await evercell.wait_signal("go")
    return "before"
"""
ASKS = {
    "a handle's signal": "handle.signal('go')",
    "a command": "evercell.signal(handle.run_id, 'go')",
}


@pytest.mark.parametrize("ask", ASKS.values(), ids=ASKS)
def test_a_definition_counts_from_where_its_cell_asks_for_its_run(book: Book, ask: str) -> None:
    notebook = book.start()
    notebook.cell(WAITS)
    notebook.cell("waits.start(id='w')")
    edited = f"{WAITS}\nhandle = evercell.workflow.get_handle('w')\n{ask}\nend = handle.result(30)"
    assert notebook.cell(edited.replace("before", "after")).error is None
    assert notebook.live["end"] == "after"


def test_a_cell_that_defines_a_workflow_and_asks_for_its_run_does_so_in_another_kernel(
    book: Book,
) -> None:
    book.start().cell(f"{WAITS}\nwaits.start(id='w')")
    shell = book.start().cell(
        f"{WAITS}\nhandle = evercell.workflow.get_handle('w')\nstatus = handle.status\n"
        "handle.signal('go')\nend = handle.result(30)"
    )
    assert shell.error is None
    assert book.open is not None
    assert (book.open.live["status"], book.open.live["end"]) == ("running", "before")


ASKED = """
@evercell.workflow
async def asks():
    return await evercell.approval("Go on?")
"""


def test_an_answer_waits_for_the_code_of_its_run(book: Book) -> None:
    """Given while no kernel lived, it is there before the definition is, and before it fits."""
    notebook = book.start()
    notebook.cell(f"{ASKED}\nasks.start(id='a')")
    [run] = [it.run_id for it in notebook.session.history.runs() if it.workflow == "asks"]
    notebook.session.workflows.call(lambda: None).result(30)
    [asked] = [
        it for it in notebook.session.history.events(run) if isinstance(it, ApprovalRequested)
    ]
    book.stop()
    history = History(book.folder)
    c.send(history, c.Answer(run, asked.activity_id, True, by="me"))
    history.close()

    DEFINED.clear()
    notebook = book.start()
    for source in ("", ASKED.replace("Go on?", "Anything else?"), ASKED):
        notebook.cell(source)
        assert notebook.session.workflows.knows(run)
        notebook.session.commands.deliver()
    notebook.cell("answer = evercell.workflow.get_handle('a').result(30)")
    assert notebook.live["answer"] is True


class Falls(evercell.Interceptor):
    """Ends the first attempts of forks when they have done their work, before that is recorded."""

    def __init__(self) -> None:
        self.fell = 0

    @contextmanager
    def step(self, info: Any) -> Iterator[None]:
        yield
        if info.name.startswith("fork") and info.attempt == 1:
            self.fell += 1
            raise ConnectionError("the process died here")


def test_a_cell_whose_process_died_before_it_knew_of_its_fork_gets_it(book: Book) -> None:
    notebook = book.start()
    notebook.cell(
        "@evercell.step\nasync def pay(x): return x\n"
        "@evercell.workflow\nasync def flow(): return await pay('a')"
    )
    notebook.cell("first = flow.start()\nfirst.result(30)")
    falls = Falls()
    evercell.configure(interceptors=[falls])
    source = "second = first.fork(at='pay')\nresult = second.result(30)"
    assert isinstance(notebook.cell(source).error, ConnectionError)
    assert notebook.again(source).error is None
    assert (falls.fell, notebook.live["result"]) == (1, "a")
    forks = notebook.session.history.query(
        "SELECT run_id FROM runs WHERE forked_from IS NOT NULL"
    ).rows
    assert len(forks) == 1
