"""stdout and stderr with a fence: a moment from which on everything written before is published.

    print           -> buffer ───────────────────────────────────────┐
    subprocess, C   -> stdio buffer -> fd 1 -> pipe -> reader thread ─┴> buffer -> IOPub thread

ipykernel gives a cell's process output to a reader thread and does not wait for it, so that a
cell's last lines may reach the frontend with the next cell, or after the reply. A fence empties
C's stdio buffers, writes a token into the pipe itself (fd 1 may point elsewhere, if the user
redirected it), and waits until the reader thread has met the token. Most cells write nothing there:
where the pipe is empty and its reader has nothing in hand, there is nothing to wait for.
"""

from __future__ import annotations

import codecs
import ctypes
import os
import secrets
import select
import sys
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from ipykernel.iostream import OutStream

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["FENCE_LIMIT", "FencedOutStream", "fence"]

FENCE_LIMIT = 10.0
"""Seconds after which a fence is given up: a pipe whose reader died must not hang the kernel."""

_READ_SIZE = 65_536


def fence(streams: Iterable[object]) -> bool:
    """Have all that was written to `streams` before on its way to the IOPub thread's socket.

    Returns whether the IOPub thread has yet to make messages of some of it, which it does before
    what is put into its queue from here on. After `FENCE_LIMIT` seconds, and for a stream without a
    pipe of its own, only what Python code wrote is certain to be on its way.
    """
    streams = tuple(streams)
    flush_c_streams()
    fenced = [stream for stream in streams if isinstance(stream, FencedOutStream)]
    full = [stream for stream in fenced if not stream.is_drained()]
    deadline = time.monotonic() + FENCE_LIMIT
    tickets = [(stream, stream.write_token(deadline)) for stream in full]
    for stream, ticket in tickets:
        stream.wait_token(ticket, deadline)
    flushed = [_flush_soon(stream) for stream in streams]
    return any(flushed)


def _flush_soon(stream: object) -> bool:
    if isinstance(stream, FencedOutStream):
        return stream.flush_soon()
    flush = getattr(stream, "flush", None)
    if flush is not None:
        flush()
    return flush is not None


class FencedOutStream(OutStream):
    """ipykernel's stream; its reader of the process's output recognises fence tokens, and a flush
    of nothing costs nothing."""

    _fence_fd: int | None = None
    _flushing = False  # text is neither in the buffers nor in the IOPub thread's queue

    def _setup_stream_redirects(self, name: str) -> None:
        """Point fd 1 or 2 to a pipe that a thread reads; called by `OutStream.__init__`."""
        self._original_stdstream_fd = getattr(sys, name).fileno()
        self._original_stdstream_copy = os.dup(self._original_stdstream_fd)
        self.redirect()

    def redirect(self) -> None:
        """Begin a pipe and its reader. Processes that hold an earlier pipe keep their reader."""
        self._fid, self._fence_fd = os.pipe()
        os.dup2(self._fence_fd, self._original_stdstream_fd)
        self._exc = None
        self._in_hand = False  # the reader has taken something, or is about to
        self._unread = select.poll()
        self._unread.register(self._fid, select.POLLIN)
        # Unguessable, so that no program's output can pass for it.
        self._token = b"\0evercell-fence-" + secrets.token_hex(16).encode() + b"\0"
        self._tokens_written = 0
        self._tokens_read = 0
        self._lost_fence = False
        self._token_met = threading.Condition()
        self.watch_fd_thread = threading.Thread(target=self._watch_pipe_fd, daemon=True)
        self.watch_fd_thread.start()

    @classmethod
    def upgrade(cls, stream: object) -> bool:
        """Make a running ipykernel's own stream a fenced one, in place: users hold references to
        it. False if it is something else, or has no pipe."""
        if isinstance(stream, cls):
            return True
        if type(stream) is not OutStream or not getattr(stream, "_should_watch", False):
            return False
        stream.__class__ = cls
        cast("FencedOutStream", stream).redirect()
        return True

    def flush(self) -> None:
        """Have the text that was written before in the queue of the IOPub thread on return."""
        if self._has_text():
            super().flush()  # type: ignore[no-untyped-call]

    def flush_soon(self) -> bool:
        """Have the IOPub thread flush, behind what is in its queue; whether there is a need."""
        if not self._has_text():
            return False
        if not self.closed:
            self.pub_thread.schedule(self._flush)
        return True

    def _has_text(self) -> bool:
        # In this order: what has left the buffers is on its way until it is no longer flushing.
        return bool(self._buffers) or self._flushing or self.echo is not None

    def _flush(self) -> None:
        self._flushing = True
        try:
            super()._flush()  # type: ignore[no-untyped-call]
        finally:
            self._flushing = False

    def is_drained(self) -> bool:
        """Whether all that was written into the pipe before is in the buffers or further."""
        if self._fence_fd is None or os.getpid() != self._master_pid or self.closed:
            return False
        if not self.watch_fd_thread.is_alive() or self._unread.poll(0):
            return False
        # In this order: what has left the pipe is in hand until it is in the buffers.
        return not self._in_hand

    def write_token(self, deadline: float) -> int | None:
        """Put a token into the pipe; its ticket, or None where there is nothing to wait for."""
        if self._fence_fd is None or os.getpid() != self._master_pid or self.closed:
            return None
        if not self.watch_fd_thread.is_alive():
            return None
        poll = select.poll()
        poll.register(self._fence_fd, select.POLLOUT)  # a full pipe: wait for its reader
        if not poll.poll(self._patience(deadline) * 1000):
            self._lost_fence = True
            return None
        self._tokens_written += 1
        os.write(self._fence_fd, self._token)  # shorter than PIPE_BUF: never torn or mixed
        return self._tokens_written

    def wait_token(self, ticket: int | None, deadline: float) -> bool:
        """Wait until the reader met the token; False if it did not before `deadline`."""
        if ticket is None:
            return False
        with self._token_met:
            met = self._token_met.wait_for(
                lambda: self._tokens_read >= ticket, self._patience(deadline)
            )
        self._lost_fence = not met
        return met

    def _patience(self, deadline: float) -> float:
        """Seconds to wait; none once a fence was lost, so that a fault costs the limit once."""
        return 0.0 if self._lost_fence else max(0.0, deadline - time.monotonic())

    def _watch_pipe_fd(self) -> None:
        """The reader thread: everything from the pipe to the frontend and to the real stream."""
        pipe, token = cast("int", self._fid), self._token
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        held = b""
        readable = select.poll()
        readable.register(pipe, select.POLLIN)
        try:
            while True:
                self._in_hand = bool(held)
                readable.poll()
                self._in_hand = True  # before the pipe is empty
                data = os.read(pipe, _READ_SIZE)
                if not data or not self._should_watch:
                    break
                *parts, held = (held + data).split(token)
                for part in parts:
                    self._publish(part, decoder.decode(part, final=True))
                    self._count_token()
                kept = _possible_start(held, token)
                part, held = held[: len(held) - kept], held[len(held) - kept :]
                self._publish(part, decoder.decode(part))
        except Exception:  # noqa: BLE001 - a thread's fault is shown when the stream is closed
            self._exc = sys.exc_info()

    def _publish(self, data: bytes, text: str) -> None:
        if text:
            self.write(text)
        if data:
            # The real stream may be gone, as with a closed terminal; the frontend has the text.
            with suppress(OSError):
                os.write(self._original_stdstream_copy, data)

    def _count_token(self) -> None:
        with self._token_met:
            self._tokens_read += 1
            self._token_met.notify_all()


def _possible_start(data: bytes, token: bytes) -> int:
    """How many bytes at the end of `data` might be a token cut by the read's end."""
    for size in range(min(len(data), len(token) - 1), 0, -1):
        if data.endswith(token[:size]):
            return size
    return 0


class _CStreams:
    """C's stdout and stderr. Only these two: flushing all streams would wait for a thread that
    sits in a C-level read of stdin."""

    def __init__(self) -> None:
        library = ctypes.CDLL(None)
        self._flush: Any = library.fflush
        self._flush.argtypes = [ctypes.c_void_p]
        self._files = [
            file for name in ("stdout", "stderr") if (file := _c_file(library, name)) is not None
        ]
        # Keeps the GIL, which a flush lets go: other threads are quick to take it.
        self._pending: Any = getattr(ctypes.PyDLL(None), "__fpending", None)  # glibc and musl
        if self._pending is not None:
            self._pending.argtypes = [ctypes.c_void_p]
            self._pending.restype = ctypes.c_size_t

    def flush(self) -> None:
        for file in self._files:
            if self._pending is None or self._pending(file):
                self._flush(file)


def _c_file(library: ctypes.CDLL, name: str) -> ctypes.c_void_p | None:
    for symbol in (name, f"__{name}p"):  # glibc and musl, macOS
        try:
            return ctypes.c_void_p.in_dll(library, symbol)
        except ValueError:
            continue
    return None


_c_streams: _CStreams | None = None


def flush_c_streams() -> None:
    """Empty the stdio buffers of C code in this process, such as `printf` in an extension."""
    global _c_streams  # noqa: PLW0603 - looked up once
    if _c_streams is None:
        _c_streams = _CStreams()
    _c_streams.flush()
