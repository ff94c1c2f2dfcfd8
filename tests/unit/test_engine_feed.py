"""Feeds: a run that this process records, one of another process, and a workflow's."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from sessions import Notebook

import evercell
from evercell.engine.feed import Branch, RecordedFeed, RunFeed, feed_of
from evercell.errors import UsageError
from evercell.events import CellStarted, RunStarted, StepCompleted
from evercell.history import History
from evercell_widgets.actions import parse_action
from evercell_widgets.desk import CommandDesk
from evercell_widgets.snapshot import header_of
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evercell.events import Event

DEFINE = """
from evercell import step, workflow

@step
def double(n: int) -> int:
    return 2 * n

@workflow
async def one(n: int) -> int:
    return await double(n)

@workflow
async def many(n: int) -> list[int]:
    return [await one.start(k) for k in range(n)]
"""


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    notebook = Notebook(tmp_path)
    notebook.cell(DEFINE)
    notebook.cell("handle = many.start(2); handle.result(30); one.start(7).result(30)")
    yield notebook
    notebook.close()


def test_a_workflow_is_seen_with_its_children_and_without_the_rest(notebook: Notebook) -> None:
    session, run_id = notebook.session, notebook.live["handle"].run_id
    feed, subject = feed_of(session.history, run_id[:7], session.feed())
    assert isinstance(feed, Branch)
    assert subject == run_id
    events = list(feed.events_so_far())
    assert not any(isinstance(it, CellStarted) for it in events)
    started = [it.workflow for it in events if isinstance(it, RunStarted) and it.start]
    assert sorted(started) == ["many", "one", "one"]
    view = RunView(subject=subject)
    apply_all(view, events)
    header = header_of(view, now=0)
    assert (header["name"], header["state"], header["steps"]["completed"]) == (
        "many",
        "completed",
        2,
    )


def test_the_notebooks_own_run_is_seen_as_it_records(notebook: Notebook) -> None:
    session = notebook.session
    feed, subject = feed_of(session.history, session.run_id, session.feed())
    assert (type(feed), subject, feed.is_over()) == (RunFeed, "", False)


def test_another_processs_run_is_read_on_until_it_lets_go(notebook: Notebook) -> None:
    session = notebook.session
    beside = History(session.history.folder)
    feed, _ = feed_of(beside, session.run_id, None)
    beside.close()
    assert isinstance(feed, RecordedFeed)
    assert any(isinstance(it, CellStarted) for it in feed.events_so_far())
    heard: list[Event] = []
    over, stepped = threading.Event(), threading.Event()

    def hear(events: tuple[Event, ...]) -> None:
        heard.extend(events)
        if any(isinstance(it, StepCompleted) for it in events):
            stepped.set()
        if not events:
            over.set()

    leave = feed.subscribe(hear)
    assert not feed.is_over()
    notebook.cell("double(20)")
    assert stepped.wait(20)
    session.close()
    assert over.wait(20)
    assert feed.is_over()
    leave()


def test_show_needs_a_run_that_there_is(notebook: Notebook) -> None:
    shell = notebook.cell("import evercell; evercell.show('nowhere')")
    assert isinstance(shell.error, evercell.errors.RunNotFoundError)
    shell = notebook.cell("evercell.show(handle)")
    assert shell.error is None, shell.error
    printed = "".join(it.content["text"] for it in shell.shown)
    assert "many  completed" in printed
    assert "double" not in printed.splitlines()[0]


def test_a_workflow_goes_on_from_a_step_with_another_result(notebook: Notebook) -> None:
    notebook.cell(
        """
@workflow
async def chain(n: int) -> list[int]:
    first = await double(n)
    return [first, await double(first)]

chained = chain.start(1)
chained.result(30)"""
    )
    session, run_id = notebook.session, notebook.live["chained"].run_id
    done = [it for it in session.history.events(run_id) if isinstance(it, StepCompleted)]
    desk = CommandDesk(session.history, session.commands, notebook.live)

    def forked(step: str, value: str | None) -> str:
        """What the fork returned that began with this result of the step."""
        asked = {"deed": "fork", "run": run_id, "activity": step, "value": value}
        desk.act(parse_action(asked), lambda _: None)
        newest = session.history.runs()[-1]
        notebook.live["forked"] = evercell.WorkflowHandle(newest.run_id)
        shell = notebook.cell("print(forked.result(30))")
        assert shell.error is None, shell.error
        return str(shell.shown[0].content["text"])

    assert forked(done[0].activity_id, "50") == "[50, 100]\n"
    assert forked(done[1].activity_id, "7") == "[2, 7]\n"  # no step came after it
    with pytest.raises(UsageError, match="needs a step"):
        forked(done[0].activity_id, None)
