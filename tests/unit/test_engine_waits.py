"""Cells that wait: for a time, a signal, a person; over restarts, edits and interrupts."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest
from sessions import Notebook

import evercell
from evercell.engine import commands as c
from evercell.engine.receiver import interrupt_main_thread
from evercell.errors import NotInKernelError, StepCanceledError, UsageError
from evercell.events import (
    ApprovalRequested,
    CellStarted,
    SignalAwaited,
    SignalTaken,
    StepStarted,
    TimerStarted,
)
from evercell.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from evercell.events import Event

DAY = 86_400


class Book:
    """One notebook's history over the lives of its kernels."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.open: Notebook | None = None

    def start(self) -> Notebook:
        """Another kernel; the one before died, or let go."""
        self.stop()
        self.open = Notebook(self.folder, clock=self.clock)
        exec("import asyncio, gc, threading, evercell", self.open.live)
        return self.open

    def stop(self) -> None:
        if self.open is not None:
            self.open.session.close()
            self.open = None

    def die(self) -> None:
        """The kernel ends in the midst of its cell, as far as the history can tell."""
        assert self.open is not None
        session = self.open.session
        session.history.append(
            CellStarted(session.run_id, 1, "dead", "id:c1", 0, "c1", "", b"", 0, "executed", "", 1)
        )


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    book = Book(tmp_path / ".evercell")
    handler = signal.getsignal(signal.SIGINT)
    yield book
    signal.signal(signal.SIGINT, handler)
    book.stop()


def when(
    notebook: Notebook, kind: type[Event], act: Callable[[Any], None], after: int = 0
) -> threading.Event:
    """Have `act` called on a thread of its own at the event of this kind, behind `after` others."""
    seen: list[Event] = []
    done = threading.Event()

    def run(event: Event) -> None:
        act(event)
        done.set()

    def listen(events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, kind):
                seen.append(event)
                if len(seen) == after + 1:
                    threading.Thread(target=run, args=(event,)).start()

    notebook.session.history.subscribe(listen)
    return done


def interrupt_at(notebook: Notebook, kind: type[Event]) -> None:
    """Break the cell off at an event of this kind, so that the history knows of no end of it."""
    signal.signal(signal.SIGINT, lambda *_: signal.default_int_handler(signal.SIGINT, None))
    when(notebook, kind, lambda _: interrupt_main_thread())


def tell(notebook: Notebook, name: str, *args: object) -> str:
    session = notebook.session
    payload, view = (None, None) if not args else c.enclosed(session.history, [list(args), {}], {})
    return session.commands.submit(c.Signal(session.run_id, name, payload, view, "me"))


def reply(notebook: Notebook, activity_id: str, approved: bool, form: object = None) -> None:
    session = notebook.session
    payload, view = (None, None) if form is None else c.enclosed(session.history, form, {})
    session.commands.submit(
        c.Answer(session.run_id, activity_id, approved, payload, view, "me", session.clock.now())
    )


def events(notebook: Notebook, kind: type[Event]) -> list[Any]:
    found = notebook.session.history.events(notebook.session.run_id)
    return [event for event in found if isinstance(event, kind)]


GO, NUMBER, SLEEP = (
    "evercell.wait_signal('go')",
    "evercell.wait_signal('n', int)",
    "evercell.sleep('3d')",
)
BOTH = pytest.mark.parametrize("how", ["{}", "await {}"])


def run(notebook: Notebook, how: str, call: str, before: str = "") -> object:
    """The value of a wait in a cell of its own; its error is raised."""
    source = f"{before}\nvalue = {how.format(call)}"
    shell = notebook.cell(source)
    if shell.error is not None:
        raise shell.error
    return notebook.live["value"]


@BOTH
def test_a_timer_fires_at_its_time(book: Book, how: str) -> None:
    notebook = book.start()
    when(notebook, TimerStarted, lambda _: book.clock.advance(3 * DAY))
    assert run(notebook, how, "evercell.sleep('3d')") is None
    status = "SELECT status, name, date_diff('day', started_at, fires_at) FROM timers"
    assert notebook.session.history.query(status).rows == [("fired", "sleep", 3)]


@BOTH
def test_a_restarted_cell_sleeps_on_until_the_same_time(book: Book, how: str) -> None:
    notebook = book.start()
    interrupt_at(notebook, TimerStarted)
    with pytest.raises(KeyboardInterrupt):
        run(notebook, "{}", "evercell.sleep('3d')")
    book.die()
    book.clock.advance(2 * DAY)
    notebook = book.start()
    when(notebook, TimerStarted, lambda _: book.clock.advance(DAY))
    run(notebook, how, "evercell.sleep('3d')")
    first, again = events(notebook, TimerStarted)
    assert first.activity_id == again.activity_id
    assert first.fire_at == again.fire_at == first.at + 3 * DAY * 1_000_000_000
    assert first.cell != again.cell
    assert len(notebook.session.history.query("FROM timers").rows) == 1


@BOTH
def test_what_fell_due_meanwhile_returns_at_once(book: Book, how: str) -> None:
    notebook = book.start()
    interrupt_at(notebook, TimerStarted)
    with pytest.raises(KeyboardInterrupt):
        run(notebook, "{}", "evercell.sleep('3d')")
    book.die()
    book.clock.advance(4 * DAY)
    assert run(book.start(), how, "evercell.sleep('3d')") is None


@BOTH
def test_signals_are_taken_in_order_early_or_late(book: Book, how: str) -> None:
    notebook = book.start()
    tell(notebook, "go", 1)
    tell(notebook, "other", "x")
    tell(notebook, "go", 2)
    assert run(notebook, how, "evercell.wait_signal('go', int)") == 1
    assert run(notebook, how, "evercell.wait_signal('go')") == 2
    when(notebook, SignalAwaited, lambda _: tell(notebook, "go", 3, 4))
    assert run(notebook, how, "evercell.wait_signal('go')") == (3, 4)
    assert run(notebook, how, "evercell.wait_signal('other')") == "x"
    assert len({event.signal_id for event in events(notebook, SignalTaken)}) == 4


@BOTH
def test_a_signal_is_taken_once_over_restarts(book: Book, how: str) -> None:
    notebook = book.start()
    for word in "abc":
        tell(notebook, "go", word)
    assert run(notebook, how, "evercell.wait_signal('go')") == "a"
    book.die()
    notebook = book.start()
    two = f"first = {how.format(GO)}\n"
    assert run(notebook, how, "evercell.wait_signal('go')", two) == "b"
    assert notebook.live["first"] == "a"
    assert run(notebook, how, "evercell.wait_signal('go')", "third = 1") == "c"


@BOTH
def test_a_wait_for_a_signal_ends_at_its_time_limit(book: Book, how: str) -> None:
    notebook = book.start()
    when(notebook, SignalAwaited, lambda _: book.clock.advance(DAY))
    call = "evercell.wait_signal('go', timeout='1d')"
    with pytest.raises(TimeoutError, match="'go'"):
        run(notebook, how, call)
    book.die()
    tell(notebook, "go", "late")
    notebook = book.start()
    with pytest.raises(TimeoutError):  # a resumed cell goes the way that it went
        run(notebook, how, call)
    shell = notebook.again(f"value = {how.format(call)}")  # its user runs it once more
    assert (shell.error, notebook.live["value"]) == (None, "late")


def test_a_longer_time_limit_counts_from_the_beginning(book: Book) -> None:
    notebook = book.start()
    interrupt_at(notebook, SignalAwaited)
    with pytest.raises(KeyboardInterrupt):
        run(notebook, "{}", "evercell.wait_signal('go', timeout='1d')")
    book.die()
    book.clock.advance(2 * DAY)
    notebook = book.start()
    when(notebook, SignalAwaited, lambda _: tell(notebook, "go", "in time"))
    assert run(notebook, "{}", "evercell.wait_signal('go', timeout='3d')") == "in time"
    first, again = events(notebook, SignalAwaited)
    assert again.expires_at - first.at == 3 * DAY * 1_000_000_000


@BOTH
def test_a_wrong_signal_fails_the_cell_and_the_next_one_is_taken(book: Book, how: str) -> None:
    notebook = book.start()
    tell(notebook, "n", "no number")
    with pytest.raises(UsageError, match="takes int"):
        run(notebook, how, "evercell.wait_signal('n', int)")
    tell(notebook, "n", 7)
    shell = notebook.again(f"value = {how.format(NUMBER)}")
    assert (shell.error, notebook.live["value"]) == (None, 7)


def test_a_wait_that_code_gave_up_takes_no_signal(book: Book) -> None:
    notebook = book.start()
    source = (
        "try:\n"
        "    await asyncio.wait_for(evercell.wait_signal('go'), 0.01)\n"
        "except TimeoutError:\n"
        "    tell()\n"
        "value = await evercell.wait_signal('go')"
    )
    notebook.live["tell"] = lambda: tell(notebook, "go", "for the second")
    assert notebook.cell(source).error is None
    assert notebook.live["value"] == "for the second"


def test_many_wait_at_once_in_the_order_in_which_they_began_to(book: Book) -> None:
    notebook = book.start()
    when(
        notebook,
        SignalAwaited,
        lambda _: [tell(notebook, "go", n) for n in range(20)],
        after=19,
    )
    source = "value = await asyncio.gather(*(evercell.wait_signal('go') for _ in range(20)))"
    assert notebook.cell(source).error is None
    assert notebook.live["value"] == list(range(20))


@BOTH
@pytest.mark.parametrize("approved", [True, False])
def test_a_question_is_answered(book: Book, how: str, approved: bool) -> None:
    notebook = book.start()
    when(notebook, ApprovalRequested, lambda it: reply(notebook, it.activity_id, approved))
    assert run(notebook, how, "evercell.approval('Deploy?')") is approved
    book.die()
    notebook = book.start()
    assert run(notebook, how, "evercell.approval('Deploy?')") is approved
    view = "SELECT prompt, status, answered_by FROM approvals"
    assert notebook.session.history.query(view).rows == [
        ("Deploy?", "approved" if approved else "rejected", "me")
    ]


FORM = "import pydantic\nclass Form(pydantic.BaseModel):\n    env: str\n    n: int = 1"
ASK = "evercell.approval('Which?', Form, timeout='3d')"


@BOTH
def test_a_form_is_checked_before_it_is_recorded(book: Book, how: str) -> None:
    notebook = book.start()
    notebook.cell(FORM)
    refused: list[str] = []

    def answer(asked: ApprovalRequested) -> None:
        for wrong in ({"n": 2}, {"env": 3}, None):
            with pytest.raises(UsageError, match="form") as error:
                reply(notebook, asked.activity_id, True, wrong)
            refused.append(str(error.value))
        reply(notebook, asked.activity_id, True, {"env": "prod"})
        with pytest.raises(UsageError, match="over already"):
            reply(notebook, asked.activity_id, True, {"env": "prod"})

    done = when(notebook, ApprovalRequested, answer)
    form: Any = run(notebook, how, ASK)
    assert (type(form).__name__, form.env, form.n) == ("Form", "prod", 1)
    assert done.wait(30)
    assert "'env' is a required property" in refused[0]
    assert "at 'env'" in refused[1]


def test_a_form_can_be_rejected(book: Book) -> None:
    notebook = book.start()
    notebook.cell(FORM)
    when(notebook, ApprovalRequested, lambda it: reply(notebook, it.activity_id, False))
    assert run(notebook, "{}", ASK) is None


@BOTH
def test_what_the_models_own_validator_refuses_is_asked_again(book: Book, how: str) -> None:
    notebook = book.start()
    notebook.cell(
        f"{FORM}\n    @pydantic.field_validator('env')\n    @classmethod\n"
        "    def known(cls, value):\n        assert value in {'prod', 'test'}\n        return value"
    )
    when(
        notebook, ApprovalRequested, lambda it: reply(notebook, it.activity_id, True, {"env": "x"})
    )
    when(
        notebook,
        ApprovalRequested,
        lambda it: reply(notebook, it.activity_id, True, {"env": "test"}),
        after=1,
    )
    shell = notebook.cell(f"value = {how.format(ASK)}")
    assert (shell.error, notebook.live["value"].env) == (None, "test")
    assert "asks again" in shell.notes[0]
    assert len(notebook.session.history.query("FROM approvals").rows) == 1


def test_an_answer_that_came_too_late_is_refused(book: Book) -> None:
    notebook = book.start()
    interrupt_at(notebook, ApprovalRequested)
    with pytest.raises(KeyboardInterrupt):
        run(notebook, "{}", "evercell.approval('Deploy?', timeout='3d')")
    book.die()
    (asked,) = events(notebook, ApprovalRequested)
    book.clock.advance(4 * DAY)
    notebook = book.start()
    with pytest.raises(UsageError, match="too late"):
        reply(notebook, asked.activity_id, True)
    with pytest.raises(TimeoutError, match=r"Deploy\?"):
        run(notebook, "{}", "evercell.approval('Deploy?', timeout='3d')")


def test_an_answer_in_time_counts_though_no_kernel_lived(book: Book) -> None:
    notebook = book.start()
    interrupt_at(notebook, ApprovalRequested)
    with pytest.raises(KeyboardInterrupt):
        run(notebook, "{}", "evercell.approval('Deploy?', timeout='3d')")
    book.die()
    (asked,) = events(notebook, ApprovalRequested)
    run_id, history = notebook.session.run_id, notebook.session.history
    letter = c.Answer(run_id, asked.activity_id, True, by="me", at=book.clock.now())
    notebook.session._leave_run()  # it holds the run no more, as a dead one
    c.send(history, letter)
    book.clock.advance(4 * DAY)
    assert run(book.start(), "{}", "evercell.approval('Deploy?', timeout='3d')") is True


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


def test_steps_are_cancelled_skipped_and_hurried_by_command(book: Book) -> None:
    notebook = book.start()
    session = notebook.session
    value, view = c.enclosed(session.history, 42, {})
    notebook.cell(
        "@evercell.step\n"
        "async def slow(x):\n"
        "    await asyncio.Event().wait()\n"
        "@evercell.step(retry=evercell.RetryPolicy(initial_interval='3d'))\n"
        "async def flaky(seen=[]):\n"
        "    seen.append(1)\n"
        "    if len(seen) < 2: raise ValueError('once')\n"
        "    return 'hurried'"
    )

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


def test_waits_outside_of_a_recorded_cell_say_so() -> None:
    for call in (
        lambda: evercell.sleep(1),
        lambda: evercell.wait_signal("go"),
        lambda: evercell.approval("Deploy?"),
    ):
        with pytest.raises(NotInKernelError, match="a cell has to be recorded"):
            call()


def test_a_wait_that_nobody_waits_for_warns(book: Book) -> None:
    notebook = book.start()
    with pytest.warns(RuntimeWarning, match="never awaited"):
        notebook.cell("evercell.sleep('3d'); gc.collect(); await asyncio.sleep(0)")


def test_a_wait_can_be_asked_twice_and_says_who_it_is(book: Book) -> None:
    notebook = book.start()
    tell(notebook, "go", 5)
    shell = notebook.cell(
        "wait = evercell.wait_signal('go')\n"
        "value = [wait.result(), await wait, wait.run_id == evercell.run_id(), repr(wait)]\n"
        "del wait"
    )
    assert shell.error is None
    assert notebook.live["value"] == [
        5,
        5,
        True,
        "<wait_signal('go'): await it>",
    ]


def test_a_new_run_ends_the_waits_of_the_one_before(book: Book) -> None:
    notebook = book.start()
    session = notebook.session
    seen: list[str] = []
    notebook.live["seen"] = seen
    waiting = threading.Event()
    when(notebook, SignalAwaited, lambda _: waiting.set())
    notebook.cell(
        "def wait():\n"
        "    try:\n"
        "        evercell.wait_signal('go')\n"
        "    except evercell.errors.StepCanceledError as error:\n"
        "        seen.append(str(error))\n"
        "thread = threading.Thread(target=wait)\nthread.start()"
    )
    thread = notebook.live["thread"]
    assert waiting.wait(30)
    while not session.cells.run.waits._lines.get("go"):  # until it blocks
        pass
    session.new_run()
    thread.join(30)
    assert "its run was left" in seen[0]


WHERE = {
    "a helper, in an async cell": (
        "def ask(n): return evercell.wait_signal('go')\n"
        "value = await asyncio.gather(*map(ask, range(2)))"
    ),
    "a helper, in a sync cell": (
        "def ask(n): return evercell.wait_signal('go')\nvalue = [ask(1), ask(2)]"
    ),
    "a coroutine": (
        "async def ask(n): return await evercell.wait_signal('go')\n"
        "value = [await ask(1), await ask(2)]"
    ),
    "a lambda": "value = [await ask() for ask in [lambda: evercell.wait_signal('go')] * 2]",
    "a step's body, from an async cell": (
        "@evercell.step\n"
        "def ask(n): return evercell.wait_signal('go')\n"
        "await asyncio.sleep(0)\n"
        "value = [ask(1), ask(2)]"
    ),
    "a thread": (
        "def ask(n): return evercell.wait_signal('go')\n"
        "value = [await asyncio.to_thread(ask, n) for n in range(2)]"
    ),
}


@pytest.mark.parametrize("where", WHERE)
def test_sync_code_blocks_and_async_code_awaits(book: Book, where: str) -> None:
    notebook = book.start()
    tell(notebook, "go", 1)
    tell(notebook, "go", 2)
    assert notebook.cell(WHERE[where]).error is None
    assert notebook.live["value"] == [1, 2]


def test_a_forgotten_await_is_no_yes(book: Book) -> None:
    notebook = book.start()
    shell = notebook.cell("await asyncio.sleep(0)\nif evercell.approval('Deploy?'): done = True\n")
    assert isinstance(shell.error, TypeError)
    assert "write `await`" in str(shell.error)
    assert "done" not in notebook.live


def test_what_a_finished_cell_gave_up_is_over(book: Book) -> None:
    notebook = book.start()
    notebook.live["limit"] = 0.2
    source = (
        "try: value = await asyncio.wait_for(evercell.approval('Deploy?'), limit)\n"
        "except TimeoutError: value = 'no answer'"
    )
    status = "SELECT status FROM approvals ORDER BY requested_at"
    assert notebook.cell(source).error is None
    assert notebook.live["value"] == "no answer"
    assert notebook.session.history.query(status).rows == [("canceled",)]
    (asked,) = events(notebook, ApprovalRequested)
    with pytest.raises(UsageError, match="over already"):
        reply(notebook, asked.activity_id, True)
    book.clock.advance(1)
    notebook = book.start()
    when(notebook, ApprovalRequested, lambda it: reply(notebook, it.activity_id, True))
    notebook.live["limit"] = 30
    assert notebook.cell(source).error is None
    assert notebook.live["value"] is True
    assert notebook.session.history.query(status).rows == [("canceled",), ("approved",)]


def test_an_edit_that_asks_no_more_closes_the_question(book: Book) -> None:
    notebook = book.start()
    interrupt_at(notebook, ApprovalRequested)
    with pytest.raises(KeyboardInterrupt):
        run(notebook, "{}", "evercell.approval('Deploy?')")
    book.die()
    notebook = book.start()
    status = "SELECT status FROM approvals"
    assert notebook.session.history.query(status).rows == [("pending",)]
    assert notebook.cell("value = True").error is None
    assert notebook.session.history.query(status).rows == [("canceled",)]


def test_a_question_asked_in_one_cell_is_awaited_in_another(book: Book) -> None:
    notebook = book.start()
    notebook.cell("await asyncio.sleep(0)\nquestion = evercell.approval('Deploy?')")
    (asked,) = events(notebook, ApprovalRequested)
    reply(notebook, asked.activity_id, True)
    assert notebook.cell("value = await question").error is None
    assert notebook.live["value"] is True
