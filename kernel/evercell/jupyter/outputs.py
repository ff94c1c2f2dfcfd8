"""Everything that a cell publishes, as recorded messages in the order of the wire.

All IOPub messages - from the shell, from threads, from the streams, from forked children through
ipykernel's pipe - end in one place, `IOPubThread.send_multipart`, and leave in the order in which
the IOPub thread takes them from its queue. There each one whose parent is the running cell is
kept, as bytes (kept.py); they are decoded when the cell has ended.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

from jupyter_client.session import DELIM

from evercell import settings
from evercell.cell.outputs import VIEW_PREFIX, Message

from .kept import Kept, is_about_request, shortened
from .snapshots import static_widgets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ipykernel.iostream import IOPubThread
    from jupyter_client.session import Session

__all__ = ["OutputCapture", "join_streams"]

SEND_LIMIT = 10.0
"""Seconds after which a thread that sends nothing is not waited for."""

_VIEW = f'"{VIEW_PREFIX}'.encode()


class OutputCapture:
    """Keeps what is published with one request as its parent, between `begin` and `end`."""

    def __init__(self, session: Session, thread: IOPubThread) -> None:
        self._session = session
        self._thread = thread
        self._pid = os.getpid()
        self._parent: bytes | None = None
        self._limit: int | None = None  # bytes
        self._kept = Kept(None)
        self._under_way: deque[None] = deque()  # one for each that may count and was not sent yet
        self.left_out = 0
        """Bytes of the last cell's outputs that are not recorded."""
        self.uncaptured = _Uncaptured(thread)
        # All ways to the frontend lead through this method of this one object.
        vars(thread)["send_multipart"] = self._send_multipart

    def begin(self, msg_id: str) -> None:
        """Keep from now on what has the message `msg_id` as its parent."""
        self._limit = settings.current().output_limit
        self._kept = Kept(self._limit)
        self._parent = msg_id.encode()

    def end(self, *, flushing: bool = True) -> tuple[Message, ...]:
        """Stop, and give what was kept. There must have been a fence (streams.py) before;
        `flushing` is what it said."""
        # In this order: a text is under way before a stream says that it has none.
        if flushing or self._under_way:
            self._wait_for_thread()
        self._parent = None
        kept, self._kept = self._kept, Kept(None)
        self.left_out = kept.left_out
        messages = join_streams(static_widgets(kept.messages(self._decode)))
        return tuple(map(self._shortened, messages))

    def _shortened(self, message: Message) -> Message:
        short, cut = shortened(message, self._limit)
        self.left_out += cut
        return short

    def _wait_for_thread(self) -> None:
        """Until the IOPub thread has sent what it was given, and what became of the texts that it
        was to flush."""
        thread = self._thread
        reached = threading.Event()

        def follow() -> None:
            """On the IOPub thread: what was flushed stands behind this in its queue."""
            if thread._events:
                thread.schedule(reached.set)
            else:
                reached.set()

        thread.schedule(follow)
        reached.wait(SEND_LIMIT)

    def _send_multipart(self, frames: list[bytes], *args: Any, **kwargs: Any) -> None:
        if is_about_request(frames):
            self._thread.schedule(lambda: self._thread._really_send(frames, *args, **kwargs))
            return
        self._under_way.append(None)
        self._thread.schedule(lambda: self._deliver(frames, *args, **kwargs))

    def _deliver(self, frames: list[bytes], *args: Any, **kwargs: Any) -> None:
        """On the IOPub thread. A forked child hands its messages to its parent, where they pass
        here once more and are recorded."""
        parent = self._parent
        try:
            if (
                parent is not None
                and os.getpid() == self._pid
                and _has_parent(frames, parent)
                and not _shows_own_view(frames)
            ):
                self._kept.add(frames)
            self._thread._really_send(frames, *args, **kwargs)
        finally:
            self._under_way.popleft()

    def _decode(self, frames: list[bytes]) -> Message:
        unpack: Callable[[bytes], Any] = self._session.unpack
        at = frames.index(DELIM) + 2
        header, _parent, metadata, content = (unpack(frame) for frame in frames[at : at + 4])
        buffers = tuple(bytes(buffer) for buffer in frames[at + 4 :])
        return Message(header["msg_type"], content, metadata, buffers)


class _Uncaptured:
    """A socket to publish through what belongs to no cell's recorded outputs."""

    def __init__(self, thread: IOPubThread) -> None:
        self.send_multipart = thread.send_multipart


def _has_parent(frames: list[bytes], msg_id: bytes) -> bool:
    at = frames.index(DELIM) + 3
    return msg_id in bytes(frames[at])


def _shows_own_view(frames: list[bytes]) -> bool:
    """Whether a live view of Evercell's own is shown, or redrawn by whatever cell runs now: it is
    no result of the cell, and nothing stands behind it in another kernel."""
    at = frames.index(DELIM) + 2
    header = bytes(frames[at])
    shows = b'"update_display_data"' in header or b'"display_data"' in header
    return shows and _VIEW in bytes(frames[at + 3])


def join_streams(messages: Iterable[Message]) -> tuple[Message, ...]:
    """Neighbouring texts of one stream as one message, as frontends and nbclient join them."""
    joined: list[Message] = []
    texts: list[str] = []  # of the stream message that ends `joined`

    def close() -> None:
        if texts:
            last = joined.pop()
            content = {**last.content, "text": "".join(texts)}
            joined.append(Message("stream", content, last.metadata, last.buffers))
            texts.clear()

    for message in messages:
        if message.msg_type != "stream":
            close()
            joined.append(message)
            continue
        if not texts or message.content["name"] != joined[-1].content["name"]:
            close()
            joined.append(message)
        texts.append(message.content["text"])
    close()
    return tuple(joined)
