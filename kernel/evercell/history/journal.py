"""The journal's writer: from any thread or event loop to bytes that stay.

    append / commit / commit_async ─┬─ queue ─> writer thread:
                                    │    drain ─ pack one frame ─ pwrite ─ sync ─ wake all it held
                                    └─ alone ─> the same, by the thread that commits

Whoever commits while nobody writes or waits does it itself: waking another thread, and being woken,
takes as long as a quick disk's sync. What arrives meanwhile is the writer's next batch, so group
commit comes by itself. What is only appended waits a moment for a commit to go with, so that a
short step's start and end cost one sync. Positions are the order of the queue. A failed write keeps
its frame, tells everyone who waits, and refuses new events until the same bytes went to the same
place; nothing that was accepted is dropped.

A commit that is interrupted (Ctrl-C) still waits for its events to be durable, and raises then:
a result that was paid for is not lost to impatience.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
import weakref
from collections import deque
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from evercell.errors import HistoryError, HistoryWriteError
from evercell.history import failpoints
from evercell.history.disk import write_error
from evercell.history.entries import Awaiting, Blocked, Entry, Told, settle
from evercell.history.journal_files import QUICK, JournalFiles
from evercell.history.keys import UserKey
from evercell.threads import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from evercell.clock import Clock
    from evercell.history.entries import Meanwhile, Tell

__all__ = ["Journal"]

QUEUE_LIMIT = 64 << 20  # bytes that `append` lets wait before it waits itself
BATCH_LIMIT = 1 << 20  # bytes of a frame, unless a single entry is larger
LINGER = 0.01  # seconds that events which nobody waits for may wait for others, to share a sync
RETRY_INTERVAL = 1.0  # seconds between two tries while writing fails
STRETCH = 0.005  # seconds in which an event loop's commits may go without its other callbacks


class Journal:
    """This process's journal under `folder`; its files are made when the first event comes."""

    def __init__(
        self,
        folder: Path,
        writer: str,
        clock: Clock,
        *,
        key: UserKey | None = None,
        queue_limit: int = QUEUE_LIMIT,
    ) -> None:
        self.folder = folder
        self.writer = writer
        self._files = JournalFiles(folder, writer, clock, key or UserKey())
        self._queue_limit = queue_limit
        self._queue: deque[Entry] = deque()
        self._queued = 0  # bytes, about: an interrupt may skew it until the next drain
        self._lock = threading.Lock()
        self._space = threading.Condition(self._lock)
        self._wake = threading.Lock()
        self._wake.acquire()
        self._thread: threading.Thread | None = None
        self._running = threading.Lock()  # held by the writer's thread while it works
        self._turn = threading.Lock()  # held by whoever writes a batch
        self._pid = os.getpid()
        self._closing = False
        self._urgent = False  # somebody waits for what is in the queue
        self._idle = False  # the writer sleeps until it is woken
        self._since = 0.0  # when something was queued behind nothing
        self._yielded = 0.0  # when a commit last let the others of its event loop go on
        self._failure: str | None = None  # why writing does not work, in full

    @property
    def written(self) -> int:
        """How many events are durable."""
        return self._files.written

    # -- callers' side ------------------------------------------------------------------------

    def append(self, events: Sequence[bytes]) -> None:
        """Queue `events`. Raises HistoryWriteError while the journal can't be written."""
        if self._failure is not None:
            self._submit(())  # the writer is to try again now, and what it meets is raised
        if self._queued > self._queue_limit:
            with self._lock:
                while self._queued > self._queue_limit and self._failure is None:
                    self._space.wait()
        if self._failure is not None:
            raise HistoryWriteError(self._failure)
        self._enqueue(Entry(events, None))

    def commit(self, events: Sequence[bytes] = ()) -> None:
        """Return when `events`, and all that were queued before, are durable.

        Raises HistoryWriteError.
        """
        if self._failure is not None:
            self._submit(())  # as in `append`
        self._submit(events)

    async def commit_async(self, events: Sequence[bytes] = ()) -> None:
        """`commit` for a coroutine; cancelling it does not take the events back."""
        if self._failure is not None:
            await self._queue_awaited(())
        entry = Entry(events, None)
        # Other tasks that are ready may have events for the same sync.
        nobody = not getattr(asyncio.get_running_loop(), "_ready", True)
        if nobody and self._files.quick and self._write_alone(entry):
            if monotonic() > self._yielded + STRETCH:
                await asyncio.sleep(0)
                self._yielded = monotonic()
        else:
            await self._queue_awaited(() if entry.queued else events)

    def commit_then(self, events: Sequence[bytes], tell: Tell) -> None:
        """Queue `events` and return; `tell(None)` is called, by the thread that writes them, when
        they are durable, or `tell(why)` when they can't be written at the time: they stay queued
        and are the next to be written. It must be quick and must not raise."""
        self._enqueue(Entry(events, Told(tell)))

    def commit_here(
        self, events: Sequence[bytes], tell: Tell, meanwhile: Meanwhile | None = None
    ) -> bool:
        """`commit_then` by the calling thread, if that is likely to be quick, after a batch that is
        just being written: whether it told. Not for the main thread, where an interrupt may keep it
        from telling. `meanwhile(settle)` may be called while the disk writes: nobody is to see what
        it does before it is told, as when `settle()` returns. It may take as long as it likes: if
        somebody else commits, or after `LINGER`, the writer syncs."""
        told = Told(tell)
        entry = Entry(events, told)
        if self._files.quick:
            if self._turn.locked() and self._turn.acquire(timeout=QUICK):
                self._turn.release()
            if self._write_alone(entry, sync=meanwhile is None):
                if meanwhile is not None and not told.done:
                    settle_now = partial(self._settle, entry, told)
                    try:
                        meanwhile(settle_now)
                    finally:
                        settle_now()
                return True
        if not entry.queued:
            self._enqueue(entry)
        return False

    def flush(self) -> None:
        """Wait for what was queued. Raises HistoryWriteError."""
        if self._thread is not None:
            self.commit()

    @property
    def closed(self) -> bool:
        """Whether `close` was called."""
        return self._closing

    def close(self) -> None:
        """Make everything durable and end the writer. Raises HistoryWriteError if that fails."""
        thread = self._thread
        if self._closing:
            return
        if thread is None or self._pid != os.getpid():
            self._closing = True
            return
        try:
            self._submit(())
        finally:
            self._closing = True
            self._signal()
            thread.join()
            with self._running, self._turn:
                self._files.release()

    def _submit(self, events: Sequence[bytes]) -> None:
        entry = Entry(events, None)
        waiter: Blocked | None = None
        last: Entry | None = None  # what is waited for
        interrupted: KeyboardInterrupt | None = None
        tried = False
        while waiter is None or not waiter.done:
            try:
                if not tried:
                    tried = True
                    if self._write_alone(entry):
                        break
                if waiter is None:
                    waiter = Blocked()
                if last is None:
                    last = Entry((), waiter) if entry.queued else entry
                    last.waiter = waiter
                if not last.queued:
                    self._enqueue(last)
                self._signal()
                waiter.wait()
            except KeyboardInterrupt as interrupt:  # wherever it struck, go on
                interrupted = interrupt
        if interrupted is not None:
            raise interrupted
        if waiter is not None and waiter.failure is not None:
            raise HistoryWriteError(waiter.failure)

    def _write_alone(self, entry: Entry, *, sync: bool = True) -> bool:
        """Write `entry`, behind what nobody waits for, on the calling thread. False where somebody
        else writes or waits, or a new segment is due: then it is to be queued, unless it is so:
        after a failure, and an interrupt, the batch stays in hand, and the writer goes on with it.
        Without `sync`, that is left to `_settle`, if the writer is up to do it otherwise."""
        if self._urgent or self._turn.locked() or self._pid != os.getpid():
            return False
        try:
            with self._turn:
                if not self._take_all(entry):
                    return False
                try:
                    if sync or self._idle:
                        self._write_batch(self._files.write)
                    else:
                        self._files.start()
                except Exception:  # noqa: BLE001 - the writer meets it again, and tells of it
                    return False
                return True
        finally:
            if self._files.batch and self._files.started is None:
                self._signal()

    def _settle(self, entry: Entry, told: Told) -> None:
        """Sync what was written for `entry`, unless the writer did; return when it was told."""
        if told.done:
            return
        with self._turn:
            try:
                if self._files.started is entry:
                    self._write_batch(self._files.sync)
            except Exception:  # noqa: BLE001, S110 - as in `_write_alone`
                pass
        if not told.done:
            with suppress(HistoryError):
                self._submit(())

    def _take_all(self, entry: Entry) -> bool:
        """Take what is queued and `entry` in hand, if that can be written without ado."""
        files = self._files
        with self._lock:
            batch = [*self._queue, entry]
            size = sum([queued.size for queued in batch])
            behind: deque[Entry] = deque()
            if self._urgent or self._closing or self._failure is not None or files.batch:
                return False
            if size > BATCH_LIMIT or self._queued > self._queue_limit or not files.fits(size):
                return False
            # From here no call, and so no interrupt: all of it is taken, or nothing.
            files.batch = batch
            self._queue = behind
            self._queued = 0
            entry.queued = True
        return True

    def _queue_awaited(self, events: Sequence[bytes]) -> asyncio.Future[None]:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._enqueue(Entry(events, Awaiting(loop, future)))
        return future

    def _enqueue(self, entry: Entry) -> None:
        if self._pid != os.getpid():
            raise HistoryError(
                "A forked child process can't record in its parent's history. Start worker "
                "processes with the spawn method, or call steps in the parent."
            )
        if self._closing:
            raise HistoryError("This history is closed. Open it again to record.")
        with self._lock:
            if self._thread is None:
                self._start()
            if entry.waiter is not None or self._queued > BATCH_LIMIT:
                self._urgent = True
            if not self._queue:
                self._since = monotonic()
            self._queue.append(entry)
            entry.queued = True
            self._queued += entry.size
            if not (self._urgent or self._idle):
                return  # the writer looks by itself soon
        self._signal()

    def _start(self) -> None:
        atexit.register(_close_at_exit, weakref.ref(self))
        thread = OwnThread(self._run, "evercell-journal")
        thread.start()
        self._thread = thread

    def _signal(self) -> None:
        if self._wake.locked():
            with suppress(RuntimeError):  # another caller was faster; the writer is awake
                self._wake.release()

    # -- writer's side ------------------------------------------------------------------------

    def _run(self) -> None:
        if self._running.acquire(blocking=False):  # else an interrupt made start() be called twice
            try:
                self._work()
            finally:
                self._running.release()

    def _work(self) -> None:
        while True:
            self._await_work()
            due = True
            while due and (self._queue or self._files.batch):
                due = self._write_queued() and self._urgent
            if self._closing and (not self._queue or self._failure is not None):
                return

    def _await_work(self) -> None:
        """Return when somebody waits for events, or those that nobody waits for had their time."""
        if self._failure is not None:
            self._wake.acquire(timeout=RETRY_INTERVAL)
            return
        files = self._files
        while not (self._urgent or self._closing or (files.batch and files.started is None)):
            left = self._since + LINGER - monotonic()
            if left > 0:
                self._wake.acquire(timeout=left)
                continue
            with self._lock:
                self._idle = not (self._queue or files.batch)
            if not self._idle:
                return
            self._wake.acquire()
            self._idle = False

    def _write_queued(self) -> bool:
        with self._turn:
            self._files.batch = self._files.batch or self._drain()
            try:
                self._write_batch(self._files.write)
            except Exception as error:  # noqa: BLE001 - those who wait are told, whatever it was
                self._fail(error)
                return False
        return True

    def _write_batch(self, write: Callable[[], None]) -> None:
        """Have `write` make the batch in hand durable, and tell those who wait. Raises OSError,
        HistoryError."""
        waiters = [entry.waiter for entry in self._files.batch if entry.waiter is not None]
        write()
        self._failure = None
        failpoints.reach("acknowledge")
        if waiters:
            settle(waiters, None)

    def _drain(self) -> list[Entry]:
        batch: list[Entry] = []
        size = 0
        with self._lock:
            self._urgent = False
            while self._queue and (not batch or size + self._queue[0].size <= BATCH_LIMIT):
                entry = self._queue.popleft()
                if not entry.taken:
                    entry.taken = True
                    batch.append(entry)
                    size += entry.size
            self._urgent |= bool(self._queue)
            self._queued = self._queued - size if self._queue else 0
            self._space.notify_all()
        return batch

    def _fail(self, error: Exception) -> None:
        """Keep the batch for the next try and tell everybody who waits, for it or behind it."""
        if isinstance(error, OSError):
            error = write_error(self.folder, error)
        with self._lock:
            self._failure = error.message if isinstance(error, HistoryError) else repr(error)
            told = (*self._files.batch, *self._queue)
            waiters = [entry.waiter for entry in told]
            for entry in told:
                entry.waiter = None
            self._space.notify_all()
        settle(waiters, self._failure)


def _close_at_exit(reference: weakref.ref[Journal]) -> None:
    journal = reference()
    if journal is not None and not journal.closed:
        journal.close()
