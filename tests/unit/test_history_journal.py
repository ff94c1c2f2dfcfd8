"""The journal's writer: order, durability, failures that lose nothing."""

from __future__ import annotations

import asyncio
import errno
import os
import queue
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from evercell.clock import SystemClock
from evercell.errors import HistoryError, HistoryWriteError
from evercell.history import journal as journal_module
from evercell.history import segments as segment_module
from evercell.history.journal import Journal
from evercell.history.locks import is_held
from evercell.history.segments import SegmentWriter, read_header, segments
from support.journals import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

WRITER = "writer0001"


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    journal = Journal(tmp_path / "journal", WRITER, SystemClock())
    yield journal
    journal.close()


class Disk:
    """Makes the journal's writes fail, or wait, when a test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.error: OSError | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        real: Callable[[SegmentWriter, bytes], None] = SegmentWriter.write

        def write(segment: SegmentWriter, frame: bytes) -> None:
            self.entered.set()
            self.gate.wait()
            if self.error is not None:
                raise self.error
            real(segment, frame)

        monkeypatch.setattr(SegmentWriter, "write", write)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    disk = Disk(monkeypatch)
    yield disk
    disk.error = None
    disk.gate.set()


def test_nothing_is_made_before_the_first_event(journal: Journal) -> None:
    assert not journal.folder.exists()
    journal.flush()
    assert not journal.folder.exists()


def test_what_commit_returned_from_is_in_the_file(journal: Journal) -> None:
    journal.append([b"one", b"two"])
    journal.commit([b"three"])

    assert recorded(journal.folder) == [b"one", b"two", b"three"]
    assert journal.written == 3


def test_a_start_goes_with_the_commit_that_follows(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal_module, "LINGER", 3600.0)
    frames: list[bytes] = []
    real: Callable[[SegmentWriter, bytes], None] = SegmentWriter.write

    def write(segment: SegmentWriter, frame: bytes) -> None:
        frames.append(frame)
        real(segment, frame)

    monkeypatch.setattr(SegmentWriter, "write", write)
    for number in range(3):
        journal.append([b"start %d" % number])
        journal.commit([b"end %d" % number])
    assert len(frames) == 3


def test_what_nobody_waits_for_is_written_by_itself(journal: Journal, disk: Disk) -> None:
    for _ in range(2):  # while the writer sleeps, and while it is up
        disk.entered.clear()
        journal.append([b"alone"])
        assert disk.entered.wait(60)


def test_the_writer_holds_its_lock_until_it_is_closed(journal: Journal) -> None:
    journal.commit([b"one"])
    lock = journal.folder / f"{WRITER}.lock"
    assert is_held(lock)
    journal.close()
    assert not is_held(lock)


def test_each_threads_events_keep_their_order(journal: Journal) -> None:
    def record(thread: int) -> None:
        for number in range(50):
            journal.commit([b"%d:%d" % (thread, number)])

    threads = [threading.Thread(target=record, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    events = recorded(journal.folder)
    assert len(events) == 400
    for n in range(8):
        own = [event for event in events if event.startswith(b"%d:" % n)]
        assert own == [b"%d:%d" % (n, number) for number in range(50)]


def test_event_loops_of_several_threads_commit(journal: Journal) -> None:
    async def many(thread: int) -> None:
        await asyncio.gather(*(journal.commit_async([b"%d:%d" % (thread, n)]) for n in range(100)))

    threads = [threading.Thread(target=lambda n=n: asyncio.run(many(n))) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(recorded(journal.folder))) == 300


def test_a_cancelled_commit_keeps_its_event(journal: Journal, disk: Disk) -> None:
    async def cancelled() -> None:
        disk.gate.clear()
        task = asyncio.create_task(journal.commit_async([b"paid for"]))
        await asyncio.to_thread(disk.entered.wait)
        task.cancel()
        disk.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    journal.flush()
    assert recorded(journal.folder) == [b"paid for"]


def test_an_interrupt_waits_for_the_event(journal: Journal, disk: Disk) -> None:
    journal.commit([b"first"])
    disk.entered.clear()
    disk.gate.clear()

    def interrupt() -> None:
        disk.entered.wait()
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        disk.gate.set()

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        journal.commit([b"paid for"])
    assert journal.written == 2
    thread.join()

    assert recorded(journal.folder) == [b"first", b"paid for"]


def test_segments_follow_each_other(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segment_module, "FIRST_SIZE", 2000)
    monkeypatch.setattr(segment_module, "LATER_SIZE", 3000)
    events = [b"%04d" % number * 20 for number in range(100)]
    for event in events:
        journal.commit([event])
    journal.commit([bytes(10_000)])

    assert recorded(journal.folder) == [*events, bytes(10_000)]
    files = segments(journal.folder)[WRITER]
    assert len(files) > 3
    assert [read_header(path).segment for _, path in files] == list(range(len(files)))


def test_a_full_disk_reaches_everybody_and_loses_nothing(journal: Journal, disk: Disk) -> None:
    journal.commit([b"before"])
    disk.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(HistoryWriteError, match=r"No space left on device\. Free some disk space"):
        journal.commit([b"accepted"])
    with pytest.raises(HistoryWriteError):
        journal.append([b"refused"])
    with pytest.raises(HistoryWriteError):
        journal.commit([b"refused"])
    with pytest.raises(HistoryWriteError):
        asyncio.run(journal.commit_async([b"refused"]))

    disk.error = None
    journal.commit([b"after"])  # the writer tries again at once

    assert recorded(journal.folder) == [b"before", b"accepted", b"after"]


def test_whoever_left_a_function_is_told_when_it_is_durable(journal: Journal, disk: Disk) -> None:
    told: queue.Queue[tuple[str | None, list[bytes]]] = queue.Queue()

    def tell(failure: str | None) -> None:
        told.put((failure, recorded(journal.folder)))

    journal.commit_then([b"a"], tell)
    assert told.get(timeout=10) == (None, [b"a"])
    disk.error = OSError(errno.ENOSPC, "no space")
    journal.commit_then([b"b"], tell)
    failure, there = told.get(timeout=10)
    assert failure is not None
    assert "no space" in failure
    assert there == [b"a"]
    disk.error = None
    journal.commit([b"c"])
    assert recorded(journal.folder) == [b"a", b"b", b"c"]


def test_those_who_wait_behind_a_failing_batch_are_told(journal: Journal, disk: Disk) -> None:
    journal.commit([b"before"])
    disk.entered.clear()
    disk.gate.clear()
    disk.error = OSError(errno.EIO, os.strerror(errno.EIO))
    errors: list[HistoryWriteError] = []

    def commit(event: bytes) -> None:
        try:
            journal.commit([event])
        except HistoryWriteError as error:
            errors.append(error)

    first = threading.Thread(target=commit, args=(b"first",))
    first.start()
    disk.entered.wait()
    second = threading.Thread(target=commit, args=(b"second",))
    second.start()
    while not journal._queue:
        pass
    disk.gate.set()
    first.join()
    second.join()
    assert len(errors) == 2

    disk.error = None
    journal.flush()
    journal.commit([b"after"])
    assert recorded(journal.folder) == [b"before", b"first", b"second", b"after"]


def test_the_writer_tries_again_by_itself(
    journal: Journal, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evercell.history.journal.RETRY_INTERVAL", 0.01)
    disk.error = OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))
    with pytest.raises(HistoryWriteError):
        journal.commit([b"accepted"])
    disk.error = None
    disk.entered.clear()
    assert disk.entered.wait(10)
    journal.close()

    assert recorded(journal.folder) == [b"accepted"]


def test_closing_on_a_full_disk_says_so(tmp_path: Path, disk: Disk) -> None:
    journal = Journal(tmp_path / "journal", WRITER, SystemClock())
    disk.error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    journal.append([b"lost"])
    with pytest.raises(HistoryWriteError):
        journal.close()
    assert not is_held(journal.folder / f"{WRITER}.lock")


def test_append_waits_when_too_much_is_queued(tmp_path: Path, disk: Disk) -> None:
    journal = Journal(tmp_path / "journal", WRITER, SystemClock(), queue_limit=1000)
    disk.gate.clear()
    journal.append([b"in the writer's hands"])
    disk.entered.wait()
    journal.append([bytes(2000)])  # over the limit from here on
    thread = threading.Thread(target=journal.append, args=([b"blocked"],))
    thread.start()
    thread.join(0.05)
    assert thread.is_alive()

    disk.gate.set()
    thread.join()
    journal.close()
    assert recorded(journal.folder)[-1] == b"blocked"


def test_a_closed_journal_refuses(journal: Journal) -> None:
    journal.commit([b"one"])
    journal.close()
    with pytest.raises(HistoryError, match="closed"):
        journal.append([b"two"])
    journal.close()
