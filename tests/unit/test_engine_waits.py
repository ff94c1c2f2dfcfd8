"""Cells that wait: for a time, a signal, a person; over restarts, edits and interrupts."""

from __future__ import annotations

import threading

import pytest
from waiting import BOTH, DAY, GO, NUMBER, Book, events, interrupt_at, reply, run, tell, when

import evercell
from evercell.errors import NotInKernelError, UsageError
from evercell.events import (
    ApprovalRequested,
    SignalAwaited,
    SignalTaken,
    TimerStarted,
)


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
def test_a_wrong_signal_is_refused_where_it_is_sent(book: Book, how: str) -> None:
    notebook = book.start()
    refused: list[str] = []

    def act(_: SignalAwaited) -> None:
        while not refused:  # those that come before it waits are kept
            try:
                tell(notebook, "n", "no number")
            except UsageError as error:
                refused.append(error.message)
        tell(notebook, "n", 7)

    done = when(notebook, SignalAwaited, act)
    assert run(notebook, how, NUMBER) == 7
    assert done.wait(60)
    assert refused == ["signal 'n' takes int, and 'no number' is none: Expected `int`, got `str`"]


@BOTH
def test_an_early_signal_of_another_kind_is_kept_for_who_takes_it(book: Book, how: str) -> None:
    notebook = book.start()
    tell(notebook, "n", "no number")
    tell(notebook, "n", 7)
    shell = notebook.cell(f"value = {how.format(NUMBER)}")
    assert (shell.error, notebook.live["value"]) == (None, 7)
    assert "kept for who waits for another kind" in "".join(shell.notes)
    notebook = book.start()
    notebook.cell(f"value = {how.format(NUMBER)}")
    assert run(notebook, how, "evercell.wait_signal('n', str)") == "no number"


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
    with pytest.warns(RuntimeWarning, match="never awaited"):
        shell.error.__traceback__ = None
    assert "done" not in notebook.live


@pytest.mark.parametrize(
    "asked",
    [
        "    value = await asyncio.wait_for(evercell.approval('Deploy?'), limit)\n",
        "    async with asyncio.timeout(limit): value = await evercell.approval('Deploy?')\n",
    ],
    ids=["wait_for", "timeout"],
)
def test_what_a_finished_cell_gave_up_is_over(book: Book, asked: str) -> None:
    notebook = book.start()
    notebook.live["limit"] = 0.2
    source = f"try:\n{asked}except TimeoutError: value = 'no answer'"
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
