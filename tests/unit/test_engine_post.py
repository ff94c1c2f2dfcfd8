"""Commands reach who has the run: once, in order, whoever sends them and whenever."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from evercell.engine import commands as c
from evercell.engine.post import Post
from evercell.errors import HistoryWriteError, NotStorableError, UsageError
from evercell.events import SignalReceived
from evercell.history import History
from evercell.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator

RUN, OTHER = "r000000001", "r000000002"
PACKAGES = [Path(__file__).parents[2] / name for name in ("kernel", "widgets")]


@dataclass
class Records:
    """Takes signals as a run does: recorded once, by id."""

    history: History
    taken: list[str] = field(default_factory=list)
    fails: Exception | None = None
    arrived: threading.Event = field(default_factory=threading.Event)

    def receive(self, command_id: str, command: c.Command) -> None:
        if self.fails is not None:
            raise self.fails
        if not isinstance(command, c.Signal):
            raise UsageError("only signals here.")
        known = {
            event.signal_id
            for event in self.history.wait_events(command.run_id)
            if isinstance(event, SignalReceived)
        }
        if command_id not in known:
            payload = None if command.payload is None else c.opened(self.history, command.payload)
            self.history.commit(
                SignalReceived(command.run_id, 1, command_id, command.name, payload)
            )
            self.taken.append(command.name)
        self.arrived.set()


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = History(tmp_path / "h")
    yield opened
    opened.close()


@pytest.fixture
def post(history: History) -> Iterator[Post]:
    opened = Post(history, ManualClock())
    yield opened
    opened.close()


@pytest.mark.parametrize(
    "command",
    [
        c.Signal(RUN, "go"),
        c.Signal(RUN, "go", by="me"),
        c.Answer(RUN, "a-1", approved=False, by="me"),
        c.CancelRun(RUN, "enough"),
        c.CancelActivity(RUN, "a-1"),
        c.RetryNow(RUN, "a-1", "me"),
        c.Terminate(RUN),
    ],
)
def test_commands_come_back_from_their_bytes(command: c.Command) -> None:
    assert c.decode_command(c.encode_command(command)) == command


def test_a_value_travels_whole_whatever_its_size(history: History) -> None:
    for value in ([[1, "x"], {"n": 2.5}], [[b"bytes", (1,)], {}], [["x" * 200_000], {}]):
        payload, _ = c.enclosed(history, value, {})
        command = c.decode_command(c.encode_command(c.Signal(RUN, "go", payload)))
        assert isinstance(command, c.Signal)
        assert command.payload is not None
        kept = c.opened(history, command.payload)
        args, kwargs = c.arguments(history, kept, {})
        assert [list(args), kwargs] == value
        assert kept.data is None or kept.size <= 64 * 1024


def test_a_value_that_can_not_travel_is_refused_at_once(history: History) -> None:
    with pytest.raises(NotStorableError):
        c.enclosed(history, [[threading.Lock()], {}], {})
    with pytest.raises(UsageError, match="too large to send"):
        c.enclosed(history, os.urandom(17 << 20).hex(), {})


def test_a_command_for_a_run_of_this_process_is_recorded_on_return(
    post: Post, history: History, tmp_path: Path
) -> None:
    records = Records(history)
    post.register(RUN, records)
    identity = post.submit(c.Signal(RUN, "go"))
    (event,) = history.wait_events(RUN)
    assert isinstance(event, SignalReceived)
    assert (event.signal_id, event.name) == (identity, "go")
    assert not (tmp_path / "h" / "inbox").exists()


def test_commands_wait_until_somebody_has_the_run(post: Post, history: History) -> None:
    for name in "abc":
        post.submit(c.Signal(RUN, name))
    post.submit(c.Signal(OTHER, "not yours"))
    records = Records(history)
    post.register(RUN, records)
    post.deliver()
    post.deliver()
    assert records.taken == ["a", "b", "c"]
    assert [letter.run_id for letter in history.inbox.for_runs({RUN, OTHER})] == [OTHER]


def test_who_left_gets_nothing_more(post: Post, history: History) -> None:
    first, second = Records(history), Records(history)
    leave = post.register(RUN, first)
    post.register(RUN, second)()
    leave()  # was replaced: must not take the successor's place away
    post.register(RUN, second)
    leave()
    post.submit(c.Signal(RUN, "go"))
    assert (first.taken, second.taken) == ([], ["go"])


def test_a_command_that_does_not_fit_is_told_to_who_sent_it_or_to_the_user(
    post: Post, history: History
) -> None:
    post.submit(c.Terminate(RUN))
    post.register(RUN, Records(history))
    with pytest.raises(UsageError, match="only signals"):
        post.submit(c.Terminate(RUN))
    post.deliver()
    assert history.take_notices() == [f"A command for run {RUN} was refused: only signals here."]
    assert history.inbox.for_runs({RUN}) == []


def test_what_can_not_be_recorded_now_stays(post: Post, history: History) -> None:
    post.submit(c.Signal(RUN, "go"))
    records = Records(history, fails=HistoryWriteError("disk full"))
    post.register(RUN, records)
    with pytest.raises(HistoryWriteError):
        post.deliver()
    assert history.inbox.may_have_changed()
    records.fails = None
    post.deliver()
    assert records.taken == ["go"]


def test_a_fault_in_a_receiver_costs_neither_the_letter_nor_the_next_one(
    post: Post, history: History
) -> None:
    post.submit(c.Signal(RUN, "go"))
    records = Records(history, fails=ZeroDivisionError("fault"))
    post.register(RUN, records)
    post.deliver()
    assert "ZeroDivisionError: fault" in history.take_notices()[0]
    records.fails = None
    post.submit(c.Signal(RUN, "next"))
    post.deliver()
    assert records.taken == ["next"]
    assert len(history.inbox.for_runs({RUN})) == 1  # for another process, or release


def test_an_unknown_command_waits_for_a_newer_release(post: Post, history: History) -> None:
    history.inbox.put(RUN, b"\x81\xa4type\xa6Unseen")
    post.register(RUN, Records(history))
    post.deliver()
    assert "newer one" in history.take_notices()[0]
    assert len(history.inbox.for_runs({RUN})) == 1


def test_the_thread_finds_letters_of_other_processes(post: Post, history: History) -> None:
    records = Records(history)
    post.register(RUN, records)
    post.start()
    code = (
        "import sys, pathlib\n"
        "from evercell.engine import commands as c\n"
        "from evercell.history import History\n"
        "history = History(pathlib.Path(sys.argv[1]))\n"
        f"payload, view = c.enclosed(history, [[7], {{}}], {{}})\n"
        f"print(c.send(history, c.Signal({RUN!r}, 'go', payload, view)))\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, PACKAGES))}
    sent = subprocess.run(
        [sys.executable, "-c", code, str(history.folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert records.arrived.wait(30)
    (event,) = history.wait_events(RUN)
    assert isinstance(event, SignalReceived)
    assert event.signal_id == sent.stdout.strip()
    assert c.arguments(history, event.payload, {}) == ((7,), {})


@pytest.mark.parametrize("place", ["letter", "acknowledge"])
def test_killed_between_recording_and_removing_it_is_carried_out_once(
    tmp_path: Path, place: str
) -> None:
    sender = History(tmp_path / "h")
    for name in "ab":
        c.send(sender, c.Signal(RUN, name))
    sender.close()
    code = (
        "import sys, pathlib\n"
        f"sys.path[:0] = {[str(Path(__file__).parents[1])]!r}\n"
        "from unit.test_engine_post import Records, RUN\n"
        "from evercell.clock import SystemClock\n"
        "from evercell.engine.post import Post\n"
        "from evercell.history import History\n"
        "history = History(pathlib.Path(sys.argv[1]))\n"
        "post = Post(history, SystemClock())\n"
        "post.register(RUN, Records(history))\n"
        "post.deliver()\n"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, PACKAGES)),
        "EVERCELL_FAILPOINT": place,
    }
    killed = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "h")], env=environment, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    history = History(tmp_path / "h")
    records = Records(history)
    post = Post(history, ManualClock())
    post.register(RUN, records)
    post.deliver()
    names = [it.name for it in history.wait_events(RUN) if isinstance(it, SignalReceived)]
    assert names == ["a", "b"]
    assert records.taken == ["b"]
    assert history.inbox.for_runs({RUN}) == []
    history.close()


def test_deadlines_ring_in_order_once_and_not_when_prevented(history: History) -> None:
    clock = ManualClock()
    post = Post(history, clock)
    rung: list[str] = []
    now = clock.now()
    post.call_at(now + 2_000_000_000, lambda: rung.append("second"))
    post.call_at(now + 1_000_000_000, lambda: rung.append("first"))
    prevent = post.call_at(now + 1_500_000_000, lambda: rung.append("prevented"))
    post.ring()
    assert rung == []
    prevent()
    clock.advance(1)
    post.ring()
    assert rung == ["first"]
    clock.advance(3 * 86_400)  # a laptop that slept
    post.ring()
    post.ring()
    assert rung == ["first", "second"]


def test_the_thread_rings_when_the_clock_is_set(history: History) -> None:
    clock = ManualClock()
    post = Post(history, clock)
    post.start()
    rung = threading.Event()
    post.call_at(clock.now() + 86_400_000_000_000, rung.set)
    clock.advance(86_400)
    assert rung.wait(30)
    post.close()
