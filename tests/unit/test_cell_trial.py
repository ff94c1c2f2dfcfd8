"""A copy of the process that tries what comes back, and what it must not do to the process."""

from __future__ import annotations

import itertools
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from evercell import settings
from evercell.cell import trial

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere nothing is forked")


def begun(check: object) -> trial.Trial:
    found = trial.begin(check)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_the_copy_answers_for_the_values_as_they_were() -> None:
    value = [1]
    one = begun(lambda: [None if value == [1] else "changed"])
    value.append(2)
    assert one.result() == (None,)
    assert begun(lambda: [None if value == [1] else "changed"]).result() == ("changed",)


@pytest.mark.parametrize(
    "end", [lambda: os._exit(1), lambda: os.kill(os.getpid(), 9), lambda: 1 / 0]
)
def test_a_copy_that_dies_has_proven_nothing(end: object) -> None:
    assert begun(end).result() is None


def test_one_that_is_killed_has_proven_nothing() -> None:
    waits = begun(signal.pause)
    waits.kill()
    assert waits.result() is None
    waits.kill()  # it is gone: nobody else has its id


def test_no_more_than_two_at_once() -> None:
    both = [begun(signal.pause), begun(signal.pause)]
    assert trial.begin(list) is None
    for one in both:
        one.kill()
        assert one.result() is None
    assert begun(lambda: [None]).result() == (None,)


def test_what_it_prints_and_finalizes_is_seen_by_nobody(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    path = tmp_path / "kept"
    path.touch()

    class Holder:
        def __del__(self) -> None:
            path.unlink()

    holders = [Holder()]
    holders.append(holders)  # type: ignore[arg-type]
    del holders  # garbage now, which nobody has collected

    def check() -> list[str | None]:
        import gc

        print("out")
        os.write(1, b"below")
        sys.stderr.write("err")
        gc.collect()
        return [None]

    assert begun(check).result() == (None,)
    assert path.exists()
    assert capfd.readouterr() == ("", "")


def test_it_holds_no_port_and_no_lock(tmp_path: Path) -> None:
    at_work = tmp_path / "fifo"
    os.mkfifo(at_work)

    def check() -> list[str | None]:
        at_work.write_text("now")
        signal.pause()
        return [None]

    with socket.create_server(("127.0.0.1", 0)) as server:
        address = server.getsockname()
        waits = begun(check)
        assert at_work.read_text() == "now"
        server.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address, timeout=5)
        waits.kill()
        waits.result()


def test_it_leaves_an_interrupt_to_the_kernel() -> None:
    def check() -> list[str | None]:
        os.kill(os.getpid(), signal.SIGINT)
        return [None]

    assert begun(check).result() == (None,)


def test_threads_may_hold_locks() -> None:
    held, leave = threading.Event(), threading.Event()
    lock = threading.Lock()

    def hold() -> None:
        with lock:
            held.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    waits = begun(lambda: [None] if lock.acquire() else [])  # never: the thread is not there
    leave.set()
    thread.join()
    waits.kill()
    assert waits.result() is None


def test_one_that_stands_still_is_made_to_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "_STANDSTILL", 0.01)
    monkeypatch.setattr(trial, "_processor_time", lambda _: 7.0)
    assert begun(signal.pause).result() is None


def test_one_that_works_may_take_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = tmp_path / "fifo"
    os.mkfifo(go_on)
    looks = itertools.count(1)

    def worked(_pid: int) -> float:
        if (seconds := next(looks)) == 5:
            go_on.write_text("now")
        return float(seconds)

    monkeypatch.setattr(trial, "_STANDSTILL", 0.01)
    monkeypatch.setattr(trial, "_processor_time", worked)
    assert begun(lambda: [go_on.read_text()]).result() == ("now",)


def test_one_that_works_for_too_long_has_proven_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> list[str | None]:
        while True:
            pass

    monkeypatch.setattr(trial, "LIMIT", 0.01)
    assert begun(work).result() is None


def test_how_long_a_process_has_worked() -> None:
    before = time.process_time()
    found = trial._processor_time(os.getpid())
    assert before - 0.1 <= found <= time.process_time() + 0.1  # it is told in ticks
    gone = begun(list)
    gone.result()
    assert trial._processor_time(gone.pid) == 0


def test_the_copy_has_less_of_a_processor_than_a_cell() -> None:
    assert begun(lambda: [str(os.nice(0))]).result() == (str(min(19, os.nice(0) + 5)),)


_DIES = """
import os, signal, sys
from evercell.cell import trial

def check():
    with open(sys.argv[1], "w") as pipe:
        pipe.write(str(os.getpid()))
    signal.pause()

trial.begin(check)
signal.pause()
"""


def test_a_copy_goes_with_its_kernel(tmp_path: Path) -> None:
    tells = tmp_path / "fifo"
    os.mkfifo(tells)
    kernel = subprocess.Popen([sys.executable, "-c", _DIES, tells])
    copy = os.pidfd_open(int(tells.read_text()))
    kernel.kill()
    kernel.wait()
    ended = select.poll()
    ended.register(copy, select.POLLIN)
    assert ended.poll(60_000), "it is still there"
    os.close(copy)


def test_nothing_is_forked_where_its_user_does_not_want_it() -> None:
    settings.change(verify_in_fork=False)
    try:
        assert trial.begin(list) is None
    finally:
        settings.reset()


def test_nothing_is_forked_where_it_does_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    thread = threading.Thread(target=lambda: found.append(trial.begin(list)))
    thread.start()
    thread.join()
    assert found == [None]
    monkeypatch.setitem(sys.modules, "jax", sys)
    assert trial.begin(list) is None
    monkeypatch.undo()
    former = signal.signal(signal.SIGCHLD, lambda *_: None)
    try:
        assert trial.begin(list) is None
    finally:
        signal.signal(signal.SIGCHLD, former)


def test_a_python_that_raises_at_a_fork_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fork() -> int:
        raise DeprecationWarning("This process is multi-threaded")

    monkeypatch.setattr(trial, "_refused", False)  # and put back afterwards
    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", fork)
        assert trial.begin(list) is None
    assert trial.begin(list) is None
