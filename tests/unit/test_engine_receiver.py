"""Commands for a notebook's run: who waits, steps under way, its cell."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any

import pytest
from waiting import BOTH, DAY, SLEEP, Book, events, run, tell, when

import evercell
from evercell.clock import SystemClock
from evercell.engine import commands as c
from evercell.errors import StepCanceledError, UsageError
from evercell.events import (
    ApprovalRequested,
    AttemptFailed,
    CancelRequested,
    SignalAwaited,
    StepStarted,
    TimerStarted,
)
from evercell_widgets.actions import Action
from evercell_widgets.desk import CommandDesk
from evercell_widgets.state import RunView
from evercell_widgets.view import apply_all

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from sessions import Notebook


@BOTH
def test_a_wait_is_cancelled_by_command(book: Book, how: str) -> None:
    notebook = book.start()
    session = notebook.session

    def cancel(begun: TimerStarted) -> None:
        session.commands.submit(c.CancelActivity(session.run_id, begun.activity_id, "no use"))

    when(notebook, TimerStarted, cancel)
    with pytest.raises(StepCanceledError, match="no use"):
        run(notebook, how, "evercell.sleep('3d')")
    book.die()
    notebook = book.start()
    with pytest.raises(StepCanceledError, match="no use"):
        run(notebook, how, "evercell.sleep('3d')")
    when(notebook, TimerStarted, lambda _: book.clock.advance(3 * DAY))
    assert notebook.again(how.format(SLEEP)).error is None
    assert [e.fire_at - e.at for e in events(notebook, TimerStarted)] == [3 * DAY * 10**9] * 2


def test_a_timer_can_be_skipped_and_a_wait_for_a_signal_not(book: Book) -> None:
    notebook = book.start()
    session = notebook.session
    value, _ = c.enclosed(session.history, None, {})

    def skip(begun: Any) -> None:
        session.commands.submit(c.Skip(session.run_id, begun.activity_id, value, by="me"))

    when(notebook, TimerStarted, skip)
    assert run(notebook, "{}", "evercell.sleep('3d')") is None

    def refused(begun: Any) -> None:
        with pytest.raises(UsageError, match="send it one"):
            skip(begun)
        tell(notebook, "go")

    done = when(notebook, SignalAwaited, refused)
    assert run(notebook, "{}", "evercell.wait_signal('go')") is None
    assert done.wait(30)


STEPS = """
seen = []
@evercell.step
async def slow(x):
    await asyncio.Event().wait()
@evercell.step(retry=evercell.RetryPolicy(initial_interval='3d'))
def flaky(x):
    seen.append(1)
    if len(seen) < 2: raise ValueError('once')
    return 'hurried'
"""


def test_steps_are_cancelled_and_skipped_by_command(book: Book) -> None:
    notebook = book.start()
    session = notebook.session
    value, view = c.enclosed(session.history, 42, {})
    notebook.cell(STEPS)

    def act(begun: StepStarted) -> None:
        make = {
            '{"x":1}': c.CancelActivity(session.run_id, begun.activity_id, "no use"),
            '{"x":2}': c.Skip(session.run_id, begun.activity_id, value, view, "me"),
        }
        session.commands.submit(make[begun.arguments])

    for after in (0, 1):
        when(notebook, StepStarted, act, after=after)
    shell = notebook.cell(
        "try:\n    await slow(1)\nexcept evercell.errors.StepCanceledError as error:\n"
        "    said = str(error)\nvalue = await slow(2)"
    )
    assert (shell.error, notebook.live["value"]) == (None, 42)
    assert "no use" in notebook.live["said"]
    rows = session.history.query("SELECT status, reason FROM steps").rows
    assert rows == [("canceled", "no use"), ("completed", "skipped by me")]


def test_commands_that_fit_nothing_are_refused_and_leave_nothing(book: Book) -> None:
    notebook = book.start()
    session = notebook.session
    before = len(session.history.events(session.run_id))
    value, _ = c.enclosed(session.history, 1, {})
    for command in (
        c.Answer(session.run_id, "x-1", True),
        c.CancelActivity(session.run_id, "x-1"),
        c.RetryNow(session.run_id, "x-1"),
        c.Skip(session.run_id, "x-1", value),
        c.CancelRun(session.run_id),
        c.Terminate(session.run_id),
    ):
        with pytest.raises(UsageError):
            session.commands.submit(command)
    assert len(session.history.events(session.run_id)) == before


def test_a_command_that_comes_twice_is_carried_out_once(book: Book) -> None:
    notebook = book.start()
    session = notebook.session
    payload, view = c.enclosed(session.history, [["once"], {}], {})
    for _ in range(2):
        session.commands.submit(c.Signal(session.run_id, "go", payload, view), "sameid")
    notebook = book.start()
    notebook.session.commands.submit(c.Signal(session.run_id, "go", payload, view), "sameid")
    tell(notebook, "go", "next")
    two = "first = evercell.wait_signal('go')\n"
    assert run(notebook, "{}", "evercell.wait_signal('go')", two) == "next"


def test_a_cell_tells_its_own_run_and_no_second_time(book: Book) -> None:
    notebook = book.start()
    source = (
        "evercell.signal(evercell.run_id(), 'go', n=1)\n"
        "value = evercell.wait_signal('go', timeout='1d')"
    )
    assert notebook.cell(source).error is None
    assert notebook.live["value"] == (1,)
    notebook.again(source)
    assert len(session_signals(notebook)) == 1


def session_signals(notebook: Notebook) -> list[Any]:
    return notebook.session.history.query("FROM signals").rows


@pytest.fixture
def real(tmp_path: Path) -> Iterator[Book]:
    """On the wall clock: a test's lets three days pass at once."""
    book = Book(tmp_path / ".evercell", SystemClock())
    yield book
    book.stop()


def test_the_same_from_python_by_name(real: Book) -> None:
    notebook = real.start()
    run_id = notebook.session.run_id
    notebook.cell(STEPS)

    def refused(begun: StepStarted) -> None:
        for call, why in (
            (lambda: evercell.skip(run_id, "slo", 1), r"no open step or timer 'slo'"),
            (lambda: evercell.answer(run_id), "no open approval"),
            (lambda: evercell.retry_now(run_id, "slow"), "does not wait for its next attempt"),
            (lambda: evercell.terminate(run_id), "only a workflow's"),
        ):
            with pytest.raises(UsageError, match=why):
                call()
        evercell.skip(run_id, "slow", [1, 2])

    done = when(notebook, StepStarted, refused)
    assert run(notebook, "await {}", "slow(1)") == [1, 2]
    assert done.wait(30)
    when(notebook, AttemptFailed, lambda _: evercell.retry_now(run_id, "flaky"))
    assert run(notebook, "{}", "flaky(2)") == "hurried"

    def cancel(begun: StepStarted) -> None:
        evercell.cancel(run_id, begun.activity_id, reason="enough")

    when(notebook, StepStarted, cancel)
    with pytest.raises(StepCanceledError, match="enough"):
        run(notebook, "await {}", "slow(3)")


def test_a_cell_is_cancelled(book: Book) -> None:
    notebook = book.start()
    session = notebook.session
    signal.signal(signal.SIGINT, lambda *_: signal.default_int_handler(signal.SIGINT, None))
    when(notebook, SignalAwaited, lambda _: evercell.cancel(session.run_id))
    with pytest.raises(KeyboardInterrupt):
        notebook.cell("evercell.wait_signal('go')")
    (asked,) = [e for e in session.history.events(session.run_id) if isinstance(e, CancelRequested)]
    assert asked.activity_id is None
    assert session.history.query("SELECT kind, name FROM waits").rows == [("signal", "go")]


def test_the_widgets_actions_reach_cells(book: Book) -> None:
    notebook = book.start()
    session = notebook.session
    desk = CommandDesk(session.history, session.commands, notebook.live)
    run_id = session.run_id
    assert desk.takes(run_id)
    notebook.cell(STEPS)

    def act(*actions: Action) -> None:
        view = RunView()
        apply_all(view, session.history.events(run_id))
        for action in actions:
            desk.act(action, view.approvals.get)

    def approve(asked: ApprovalRequested) -> None:
        act(Action("approve", run_id, asked.activity_id, value={"n": 2}, has_value=True))

    when(notebook, ApprovalRequested, approve)
    form = "{'type': 'object', 'properties': {'n': {'type': 'integer'}}}"
    assert run(notebook, "{}", f"evercell.approval('Which?', {form})") == {"n": 2}
    send = Action("signal", run_id, name="go", value="x", has_value=True)
    when(notebook, SignalAwaited, lambda _: act(send))
    assert run(notebook, "{}", "evercell.wait_signal('go')") == "x"
    when(notebook, TimerStarted, lambda it: act(Action("cancel", run_id, it.activity_id)))
    with pytest.raises(StepCanceledError):
        run(notebook, "await {}", "evercell.sleep('3d')")
    skip: Any = {"value": [1], "has_value": True}
    when(notebook, StepStarted, lambda it: act(Action("skip", run_id, it.activity_id, **skip)))
    assert run(notebook, "await {}", "slow(1)") == [1]
