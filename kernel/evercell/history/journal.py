"""The journal's writer: from any thread or event loop to bytes that stay.

    append / commit / commit_async ─ queue ─> writer thread:
        drain ─ pack one frame ─ pwrite ─ sync ─ wake everybody whose events it held

Group commit comes by itself: what arrives during a sync is the next batch. What is only appended
waits a moment for a commit to go with, so that a short step's start and end cost one sync.
Positions are the order of the queue. A failed write keeps its frame, tells everyone who waits, and
refuses new events until the same bytes went to the same place; nothing that was accepted is
dropped.

A commit that is interrupted (Ctrl-C) still waits for its events to be durable, and raises then:
a result that was paid for is not lost to impatience.
"""

from __future__ import annotations

import asyncio
import atexit
import errno
import os
import socket
import threading
import weakref
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from evercell.errors import HistoryError, HistoryWriteError
from evercell.history import failpoints
from evercell.history.disk import make_folder, write_error
from evercell.history.entries import Awaiting, Blocked, Entry, Told, settle
from evercell.history.frames import EVENT_OVERHEAD, FRAME_OVERHEAD, pack_frame
from evercell.history.keys import UserKey
from evercell.history.locks import FileLock
from evercell.history.schema import RELEASE, SCHEMA
from evercell.history.segments import SegmentHeader, SegmentWriter
from evercell.threads import OwnThread

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from blake3 import blake3

    from evercell.clock import Clock

__all__ = ["Journal"]

QUEUE_LIMIT = 64 << 20  # bytes that `append` lets wait before it waits itself
BATCH_LIMIT = 1 << 20  # bytes of a frame, unless a single entry is larger
LINGER = 0.01  # seconds that events which nobody waits for may wait for others, to share a sync
RETRY_INTERVAL = 1.0  # seconds between two tries while writing fails


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
        self.written = 0  # events that are durable
        self._clock = clock
        self._key = key or UserKey()
        self._queue_limit = queue_limit
        self._queue: deque[Entry] = deque()
        self._queued = 0  # bytes, about: an interrupt may skew it until the next drain
        self._lock = threading.Lock()
        self._space = threading.Condition(self._lock)
        self._wake = threading.Lock()
        self._wake.acquire()
        self._thread: threading.Thread | None = None
        self._running = threading.Lock()  # held by the writer while it works
        self._pid = os.getpid()
        self._closing = False
        self._urgent = False  # somebody waits for what is in the queue
        self._idle = False  # the writer sleeps until it is woken
        self._failure: str | None = None  # why writing does not work, in full
        self._unwritten: list[Entry] = []  # the batch that could not be written
        self._batch = 0
        self._alive = FileLock(folder / f"{writer}.lock")
        self._segment: SegmentWriter | None = None
        self._seal: blake3 | None = None  # tags the segment's frames

    # -- callers' side ------------------------------------------------------------------------

    def append(self, events: Sequence[bytes]) -> None:
        """Queue `events`. Raises HistoryWriteError while the journal can't be written."""
        self._admit()
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
        self._admit()
        self._submit(events)

    async def commit_async(self, events: Sequence[bytes] = ()) -> None:
        """`commit` for a coroutine; cancelling it does not take the events back."""
        if self._failure is not None:
            await self._queue_awaited(())
        await self._queue_awaited(events)

    def commit_then(self, events: Sequence[bytes], tell: Callable[[str | None], None]) -> None:
        """Queue `events` and return; `tell(None)` is called, on the writer's thread, when they are
        durable, or `tell(why)` when they can't be written at the time: they stay queued and are
        the next to be written. It must be quick and must not raise."""
        self._enqueue(Entry(events, Told(tell)))

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
            with self._running:
                self._release()

    def _admit(self) -> None:
        """After a failure: let the writer try again now, and raise what it meets."""
        if self._failure is not None:
            self._submit(())

    def _submit(self, events: Sequence[bytes]) -> None:
        waiter = Blocked()
        entry = Entry(events, waiter)
        interrupted: KeyboardInterrupt | None = None
        while not waiter.done:
            try:
                if not entry.queued:
                    self._enqueue(entry)
                self._signal()
                waiter.wait()
            except KeyboardInterrupt as interrupt:  # wherever it struck, go on
                interrupted = interrupt
        if interrupted is not None:
            raise interrupted
        if waiter.failure is not None:
            raise HistoryWriteError(waiter.failure)

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
            while due and (self._queue or self._unwritten):
                due = self._write_batch() and self._urgent
            if self._closing and (not self._queue or self._failure is not None):
                return

    def _await_work(self) -> None:
        """Return when somebody waits for events, or those that nobody waits for had their time."""
        if self._failure is not None:
            self._wake.acquire(timeout=RETRY_INTERVAL)
            return
        while not (self._urgent or self._closing):
            if self._wake.acquire(timeout=LINGER):
                continue
            with self._lock:
                self._idle = not self._queue
            if not self._idle:
                return
            self._wake.acquire()
            self._idle = False

    def _write_batch(self) -> bool:
        batch = self._unwritten or self._drain()
        events = [event for entry in batch for event in entry.events]
        try:
            if events:
                self._write(events)
        except Exception as error:  # noqa: BLE001 - those who wait are told, whatever it was
            self._fail(batch, error)
            return False
        self._unwritten = []
        self._failure = None
        self.written += len(events)
        failpoints.reach("acknowledge")
        settle([entry.waiter for entry in batch], None)
        return True

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

    def _fail(self, batch: list[Entry], error: Exception) -> None:
        """Keep `batch` for the next try and tell everybody who waits, for it or behind it."""
        if isinstance(error, OSError):
            error = write_error(self.folder, error)
        with self._lock:
            self._failure = error.message if isinstance(error, HistoryError) else repr(error)
            self._unwritten = batch
            waiters = [entry.waiter for entry in (*batch, *self._queue)]
            for entry in (*batch, *self._queue):
                entry.waiter = None
            self._space.notify_all()
        settle(waiters, self._failure)

    def _write(self, events: list[bytes]) -> None:
        length = FRAME_OVERHEAD + sum(map(len, events)) + EVENT_OVERHEAD * len(events)
        if self._segment is None or not self._segment.fits(length):
            self._segment = self._next_segment(length)
            self._seal = self._segment.header.seal(self._key)
        frame = pack_frame(self._batch + 1, events, self._segment.header.salt, self._seal)
        failpoints.reach("append")
        self._segment.write(frame)
        self._batch += 1

    def _next_segment(self, room: int) -> SegmentWriter:
        previous = self._segment
        if previous is None:
            make_folder(self.folder)
            # Whoever looks whether this writer lives holds the lock for a moment only.
            if not self._alive.held and not self._alive.take(since=self._clock.now(), wait=5.0):
                raise BlockingIOError(errno.EAGAIN, f"{self._alive.path} is locked")
        header = SegmentHeader(
            schema=SCHEMA,
            evercell=RELEASE,
            writer=self.writer,
            segment=0 if previous is None else previous.header.segment + 1,
            batch=self._batch,
            position=self.written,
            created=self._clock.now(),
            pid=os.getpid(),
            host=socket.gethostname(),
            key=self._key.id,
        )
        segment = SegmentWriter(self.folder, header, room)
        if previous is not None:
            previous.close()
        return segment

    def _release(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None
        self._alive.release()


def _close_at_exit(reference: weakref.ref[Journal]) -> None:
    journal = reference()
    if journal is not None and not journal.closed:
        journal.close()
