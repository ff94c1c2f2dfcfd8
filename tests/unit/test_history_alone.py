"""Commits that the calling thread writes itself, because nobody else writes or waits."""

from __future__ import annotations

import asyncio
import errno
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest

from evercell.clock import SystemClock
from evercell.errors import HistoryWriteError
from evercell.history import journal as journal_module
from evercell.history import journal_files
from evercell.history.journal import Journal
from evercell.history.segments import SegmentWriter
from support.journals import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

FILES = (journal_module.__file__, journal_files.__file__)


class Writes:
    """The threads that wrote, in order; `error` is what the next writes raise."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.threads: list[str] = []
        self.error: Exception | None = None
        self.before: Callable[[], None] = lambda: None
        real: Callable[[SegmentWriter, bytes], None] = SegmentWriter.write

        def write(segment: SegmentWriter, frame: bytes) -> None:
            self.threads.append(threading.current_thread().name)
            self.before()
            if self.error is not None:
                raise self.error
            real(segment, frame)

        monkeypatch.setattr(SegmentWriter, "write", write)


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> Writes:
    return Writes(monkeypatch)


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writes: Writes) -> Iterator[Journal]:
    """A journal on a disk that counts as quick, its first segment made."""
    monkeypatch.setattr(journal_module, "LINGER", 3600.0)
    monkeypatch.setattr(journal_files, "QUICK", 3600.0)
    journal = Journal(tmp_path / "journal", "writer0001", SystemClock())
    journal.commit([b"first"])
    assert writes.threads == ["evercell-journal"]
    writes.threads.clear()
    yield journal
    writes.error = None
    journal.close()


def test_a_thread_that_commits_alone_writes_itself(journal: Journal, writes: Writes) -> None:
    journal.append([b"start"])
    journal.commit([b"end"])

    assert writes.threads == ["MainThread"]
    assert recorded(journal.folder) == [b"first", b"start", b"end"]


def test_what_others_commit_meanwhile_is_the_writers_next_batch(
    journal: Journal, writes: Writes
) -> None:
    others = [threading.Thread(target=journal.commit, args=([b"other"],)) for _ in range(4)]

    def begin() -> None:
        writes.before = lambda: None
        for other in others:
            other.start()
        while len(journal._queue) < len(others):
            pass

    writes.before = begin
    journal.commit([b"mine"])
    for other in others:
        other.join()

    assert writes.threads == ["MainThread", "evercell-journal"]
    assert recorded(journal.folder) == [b"first", b"mine", *[b"other"] * 4]


def test_a_coroutine_whose_loop_has_nothing_else_to_do_writes_itself(
    journal: Journal, writes: Writes
) -> None:
    async def one_after_another() -> None:
        for number in range(3):
            await journal.commit_async([b"%d" % number])

    asyncio.run(one_after_another())
    assert writes.threads == ["MainThread"] * 3
    assert recorded(journal.folder) == [b"first", b"0", b"1", b"2"]


def test_tasks_that_are_ready_together_leave_it_to_the_writer(
    journal: Journal, writes: Writes
) -> None:
    async def together() -> None:
        await asyncio.gather(*(journal.commit_async([b"%d" % n]) for n in range(100)))

    asyncio.run(together())
    assert "MainThread" not in writes.threads[:1]
    assert sorted(recorded(journal.folder)) == sorted([b"first", *(b"%d" % n for n in range(100))])


def test_commits_in_a_row_let_the_loops_other_callbacks_go_on(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "STRETCH", 0.0)

    async def commit_until(told: list[str]) -> None:
        asyncio.get_running_loop().call_later(0.0, told.append, "other")
        while not told:
            await journal.commit_async([b"mine"])

    asyncio.run(commit_until([]))  # for ever, if nobody else had a turn


def test_an_event_loop_does_not_wait_for_a_slow_disk(
    journal: Journal, writes: Writes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_files, "QUICK", 0.0)
    asyncio.run(journal.commit_async([b"one"]))
    assert writes.threads == ["evercell-journal"]


@pytest.mark.parametrize("here", [True, False])
def test_who_wrote_tells(journal: Journal, writes: Writes, *, here: bool) -> None:
    told: list[tuple[str | None, str]] = []
    done = threading.Event()

    def tell(failure: str | None) -> None:
        told.append((failure, threading.current_thread().name))
        done.set()

    if here:
        assert journal.commit_here([b"one"], tell)
    else:
        journal.commit_then([b"one"], tell)
    assert done.wait(60)
    assert told == [(None, "MainThread" if here else "evercell-journal")]
    assert writes.threads == [told[0][1]]


def test_a_write_that_fails_is_the_writers(journal: Journal, writes: Writes) -> None:
    writes.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(HistoryWriteError, match="No space left"):
        journal.commit([b"accepted"])
    with pytest.raises(HistoryWriteError, match="No space left"):
        asyncio.run(journal.commit_async([b"refused"]))
    assert writes.threads[:2] == ["MainThread", "evercell-journal"]

    writes.error = None
    journal.commit([b"after"])
    assert recorded(journal.folder) == [b"first", b"accepted", b"after"]


def test_whoever_is_told_of_a_failure_is_told_by_the_writer(
    journal: Journal, writes: Writes
) -> None:
    failures: list[str | None] = []
    told = threading.Event()

    def tell(failure: str | None) -> None:
        failures.append(failure)
        told.set()

    writes.error = OSError(errno.EIO, os.strerror(errno.EIO))
    assert not journal.commit_here([b"accepted"], tell)
    assert told.wait(60)
    assert failures[0] is not None

    writes.error = None
    journal.commit()
    assert len(failures) == 1
    assert recorded(journal.folder) == [b"first", b"accepted"]


def _interrupt_behind(number: int) -> Callable[..., None]:
    """A profile function that raises KeyboardInterrupt at the n-th call, or end of one, of the
    journal's own code: where Python looks for signals."""
    left = number

    def look(frame: Any, kind: str, _argument: object) -> None:
        nonlocal left
        if frame.f_code.co_filename in FILES and kind != "c_call" and _submitting(frame):
            left -= 1
            if left == 0:
                raise KeyboardInterrupt

    return look


def _submitting(frame: Any) -> bool:
    """Whether the commit has begun to hold its events."""
    while frame is not None:
        if frame.f_code is Journal._submit.__code__:
            return "tried" in frame.f_locals
        frame = frame.f_back
    return False


@pytest.mark.skipif(
    sys.version_info >= (3, 14),
    reason="a lock that an interrupt meets may stay taken: CPython's issue 148874",
)
def test_an_interrupt_behind_any_call_neither_loses_nor_repeats(journal: Journal) -> None:
    expected, interrupted = [b"first"], True
    number = 0
    while interrupted:
        number += 1
        journal.append([b"start %d" % number])
        sys.setprofile(_interrupt_behind(number))
        try:
            journal.commit([b"end %d" % number])
        except KeyboardInterrupt:
            pass
        else:
            interrupted = False
        finally:
            sys.setprofile(None)
        expected += [b"start %d" % number, b"end %d" % number]
        assert recorded(journal.folder) == expected, number
    assert number > 20
    assert journal.written == len(expected)
