"""What comes of a step's end is found out while the disk writes it, and shows only behind that."""

from __future__ import annotations

import errno
import itertools
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from evercell import step, workflow
from evercell.clock import SystemClock
from evercell.engine.workflow.ahead import Ahead
from evercell.errors import HistoryWriteError
from evercell.history import segments
from evercell.testing import Replayer, WorkflowEnvironment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

STEPS = 16
ASYNC = sys.version_info < (3, 14)  # there, no task's code may run within another's
THREADS = pytest.mark.parametrize("threads", [False, True] if ASYNC else [True])
_log: list[tuple[str, int]] = []
_gate = threading.Event()
_reached = threading.Event()


class Disk:
    """The journal's: each sync is logged; `fails` says whether the next one does."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fails: Callable[[], bool] = lambda: False
        self.failures = 0
        self._made = threading.Condition()
        real = segments.sync

        def sync(fd: int) -> None:
            if self.fails():
                self.failures += 1
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            real(fd)
            with self._made:
                _log.append(("synced", 0))
                self._made.notify_all()

        monkeypatch.setattr(segments, "sync", sync)

    def wait_for_sync(self, body: int) -> None:
        """Return when there was a sync behind this body."""
        with self._made:
            assert self._made.wait_for(
                lambda: ("synced", 0) in _log[_log.index(("body", body)) :], 60
            )


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """One that counts as quick, with a journal's writer that is always up."""
    monkeypatch.setattr("evercell.history.journal_files.QUICK", 3600.0)
    monkeypatch.setattr("evercell.history.journal.LINGER", 3600.0)
    _log.clear()
    _gate.clear()
    _reached.clear()
    return Disk(monkeypatch)


@pytest.fixture
def environment(tmp_path: Path, disk: Disk) -> Iterator[WorkflowEnvironment]:
    """On real time: a worker that is asked for what is next would not leave it to others."""
    with WorkflowEnvironment(tmp_path, clock=SystemClock()) as environment:
        yield environment
        disk.fails = lambda: False


@step
async def number(n: int) -> int:
    _log.append(("body", n))
    return n


@step
def number_on_a_thread(n: int) -> int:
    _log.append(("body", n))
    return n


@workflow
async def counts(steps: int, *, threads: bool) -> int:
    total = 0

    @workflow.query
    def total_now() -> int:
        return total

    for n in range(steps):
        total += await (number_on_a_thread if threads else number)(n)
        _log.append(("code", n))
    return total


def ahead_of(log: list[tuple[str, int]]) -> list[int]:
    """The steps whose result the code had before it was synced."""
    synced, found, ended = 0, [], {}
    for kind, n in log:
        if kind == "synced":
            synced += 1
        elif kind == "body":
            ended[n] = synced
        elif ended[n] == synced:
            found.append(n)
    return found


@THREADS
def test_the_next_body_begins_when_the_result_before_it_is_synced(
    environment: WorkflowEnvironment, *, threads: bool
) -> None:
    handle = counts.start(STEPS, threads=threads)
    assert handle.result(60) == sum(range(STEPS))

    assert ahead_of(_log), "nothing was found out ahead"
    bodies = [at for at, (kind, _) in enumerate(_log) if kind == "body"]
    for before, after in itertools.pairwise(bodies):
        assert ("synced", 0) in _log[before:after]
    environment.restart()
    assert handle.result(60) == sum(range(STEPS))


class Failing:
    """Lets the syncs fail that follow a turn of the code that was taken ahead: the first `times`
    of them, or all until `end`."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, disk: Disk, times: int, after: int = STEPS // 2
    ) -> None:
        self.went = threading.Event()
        self._left = 0
        go = Ahead.go

        def gone(ahead: Ahead, settle: Callable[[], None]) -> None:
            if sum(kind == "body" for kind, _ in _log) > after and not self.went.is_set():
                self._left = times
                self.went.set()
            go(ahead, settle)

        monkeypatch.setattr(Ahead, "go", gone)
        disk.fails = self._fail

    def _fail(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def end(self) -> None:
        self._left = 0


@THREADS
def test_a_sync_that_fails_once_is_made_again(
    environment: WorkflowEnvironment,
    monkeypatch: pytest.MonkeyPatch,
    disk: Disk,
    *,
    threads: bool,
) -> None:
    Failing(monkeypatch, disk, times=1)
    handle = counts.start(STEPS, threads=threads)
    assert handle.result(60) == sum(range(STEPS))
    assert disk.failures == 1
    assert [n for kind, n in _log if kind == "body"] == list(range(STEPS))
    environment.restart()
    assert handle.result(60) == sum(range(STEPS))


@THREADS
def test_while_syncs_fail_nothing_of_it_shows(
    environment: WorkflowEnvironment,
    monkeypatch: pytest.MonkeyPatch,
    disk: Disk,
    tmp_path: Path,
    *,
    threads: bool,
) -> None:
    failing = Failing(monkeypatch, disk, times=1_000_000)
    handle = counts.start(STEPS, threads=threads)
    shown: list[str] = []
    environment.history.subscribe(lambda events: shown.extend(type(it).__name__ for it in events))
    with pytest.raises(HistoryWriteError):
        handle.result(60)  # told by the outage, which begins when the sync has failed
    assert failing.went.is_set()

    with pytest.raises(HistoryWriteError):
        handle.query("total_now")
    *_, (kind, last), (code, same) = _log
    assert (kind, code, last) == ("body", "code", same), "the code has it, and no body began"
    assert shown[-1] == "StepCompleted", "that the next one was asked for is not shown"

    failing.end()
    assert handle.result(60) == sum(range(STEPS))
    assert [n for kind, n in _log if kind == "body"] == list(range(STEPS))
    assert shown.count("StepStarted") == shown.count("StepCompleted")
    (replayed,) = Replayer(counts).replay_folder(tmp_path, [handle.run_id])
    assert replayed.error is None


def _show(n: int) -> int:
    _log.append(("shown", n))
    return n


@workflow
async def shows(steps: int, how: str) -> int:
    total = 0
    for n in range(steps):
        total += await (number if ASYNC else number_on_a_thread)(n)
        match how:
            case "unsafe":
                with workflow.unsafe():
                    _show(n)
            case "side effect":
                workflow.side_effect(lambda n=n: _show(n))
            case _:
                print(Shown(n))
    return total


class Shown:
    """Logs that it is printed."""

    def __init__(self, n: int) -> None:
        self._n = n

    def __str__(self) -> str:
        return str(_show(self._n))


HOW = pytest.mark.parametrize("how", ["unsafe", "side effect", "print"])


@HOW
def test_what_shows_waits_for_the_sync(environment: WorkflowEnvironment, how: str) -> None:
    assert shows.start(STEPS, how).result(60) == sum(range(STEPS))
    for n in range(STEPS):
        body, shown = _log.index(("body", n)), _log.index(("shown", n))
        assert ("synced", 0) in _log[body:shown]


@HOW
def test_what_shows_does_not_where_the_sync_fails(
    environment: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, disk: Disk, how: str
) -> None:
    """The code stops there; the run goes on from its history."""
    failing = Failing(monkeypatch, disk, times=1_000_000)
    handle = shows.start(STEPS, how)
    with pytest.raises(HistoryWriteError):
        handle.result(60)
    assert _log[-1][0] == "body"
    failing.end()
    assert handle.result(60) == sum(range(STEPS))
    assert [n for kind, n in _log if kind == "body"] == list(range(STEPS))
    assert {n for kind, n in _log if kind == "shown"} == set(range(STEPS))


@workflow
async def stays_in_its_turn() -> int:
    total = 0
    for n in range(STEPS):
        total += await number(n)
    _reached.set()
    _gate.wait(60)
    return total + await number(STEPS)


@pytest.mark.parametrize("why", ["somebody commits", "time has passed"])
def test_code_that_takes_long_keeps_no_record_from_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, disk: Disk, why: str
) -> None:
    """Nor anybody else's commits."""
    if why == "time has passed":
        monkeypatch.setattr("evercell.history.journal.LINGER", 0.01)
    with WorkflowEnvironment(tmp_path, clock=SystemClock()) as environment:
        handle = stays_in_its_turn.start()
        assert _reached.wait(60)
        if why == "somebody commits":
            environment.history.commit()
        disk.wait_for_sync(STEPS - 1)
        _gate.set()
        assert handle.result(60) == sum(range(STEPS + 1))


@workflow
async def reads_its_history() -> int:
    counted = 0
    for n in range(3):
        await number(n)
        rows = reads_here.query("select count(*) from steps where status = 'completed'").rows
        counted += rows[0][0]
    return counted


reads_here: Any = None


def test_code_that_reads_the_history_sees_what_it_follows_from(
    environment: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(globals(), "reads_here", environment.history)
    assert reads_its_history.start().result(60) == 1 + 2 + 3


@workflow
async def goes_on_in_a_lenient_block() -> int:
    total = 0
    with workflow.unsafe():
        for n in range(STEPS):
            total += await number(n)
            _log.append(("code", n))
    return total


def test_code_that_may_do_anything_has_only_what_is_durable(
    environment: WorkflowEnvironment,
) -> None:
    assert goes_on_in_a_lenient_block.start().result(60) == sum(range(STEPS))
    assert ahead_of(_log) == []


@workflow
async def ends_badly(how: str) -> int:
    await number(1)
    if how == "raises":
        raise ValueError(how)
    return len(list(Path().iterdir()))  # noqa: ASYNC240 - it is refused


@pytest.mark.parametrize(("how", "error"), [("raises", "raises"), ("looks", "is open and can't")])
def test_what_the_code_does_wrong_is_told_as_ever(
    environment: WorkflowEnvironment, how: str, error: str
) -> None:
    with pytest.raises(Exception, match=error):
        ends_badly.start(how).result(60)
