"""A cell's published messages, within a number of bytes: the first half and the last.

message ─> first half full? no ─> first
                  └ yes ─> last ─> too large? its oldest leave: a later update stands in for them,
                                              or they count as left out, which a notice says
clear_output ─> what it clears no longer counts, once there is much of it
"""

from __future__ import annotations

import re
from collections import Counter, deque
from typing import TYPE_CHECKING

from jupyter_client.session import DELIM

from evercell.cell.outputs import Message

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Kept", "is_about_request", "shortened"]

Frames = list[bytes]
_KIND = re.compile(rb'"msg_type":\s*"(\w+)"')
_DISPLAY_ID = re.compile(rb'"display_id":\s*"([^"]*)"')
_WAIT = re.compile(rb'"wait":\s*true')
_OUTPUT_WIDGET = re.compile(rb'"msg_id":\s*"([^"]*)"')  # in the state that a widget is given
_RECORDED = frozenset(
    {
        "stream",
        "display_data",
        "update_display_data",
        "execute_result",
        "error",
        "clear_output",
    }
)
_ABOUT_REQUEST = frozenset({"status", "execute_input"})


def is_about_request(frames: Frames) -> bool:
    """Whether it is one of the messages that every cell has and no cell's outputs: nobody needs to
    wait until it was sent."""
    return _kind(frames) in _ABOUT_REQUEST


class Kept:
    """What of a cell's messages is kept while it runs. For the IOPub thread alone."""

    def __init__(self, limit: int | None) -> None:
        self._half = None if limit is None else limit // 2
        self._clears_next = False  # a clear_output that waits for the next output
        self._diverted = False  # an Output widget shows what comes
        self._reset()

    def _reset(self) -> None:
        self._first: list[Frames] = []
        self._last: deque[Frames] = deque()
        self._sizes = [0, 0]  # bytes of the two
        self._updates: Counter[bytes] = Counter()  # by display id, in the last half
        self.left_out = 0  # bytes

    def add(self, frames: Frames) -> None:
        """Keep the message, if it is one that frontends show."""
        kind = _kind(frames)
        if kind not in _RECORDED and not self._is_about_widgets(kind, frames):
            return
        if self._clears_next and kind in _RECORDED and kind != "clear_output":
            self._forget()
        self._append(frames, kind)
        if kind == "clear_output" and not self._diverted and self._is_much():
            if _WAIT.search(_content(frames)):
                self._clears_next = True
            else:
                self._forget()
                self._append(frames, kind)

    def messages(self, decode: Callable[[Frames], Message]) -> list[Message]:
        """All that was kept, in order, with a notice where something was left out."""
        found = [decode(frames) for frames in self._first]
        if self.left_out:
            found.append(_notice(self.left_out))
        return found + [decode(frames) for frames in self._last]

    def _append(self, frames: Frames, kind: str) -> None:
        number = sum(map(len, frames))
        if not self._last and (self._half is None or self._sizes[0] + number <= self._half):
            self._first.append(frames)
            self._sizes[0] += number
            return
        self._last.append(frames)
        self._sizes[1] += number
        if kind == "update_display_data":
            self._updates[_display_id(frames)] += 1
        while self._half is not None and self._sizes[1] > self._half and len(self._last) > 1:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        frames = self._last.popleft()
        number = sum(map(len, frames))
        self._sizes[1] -= number
        if _kind(frames) == "update_display_data":
            display_id = _display_id(frames)
            self._updates[display_id] -= 1
            if self._updates[display_id]:
                return  # a later one stands in for it
        self.left_out += number

    def _is_much(self) -> bool:
        return self._half is not None and sum(self._sizes) > self._half

    def _forget(self) -> None:
        """What was shown so far is cleared; updates of displays elsewhere are not."""
        kept = [f for f in (*self._first, *self._last) if _kind(f) not in _CLEARED]
        self._clears_next = False
        self._reset()
        for frames in kept:
            self._append(frames, _kind(frames))

    def _is_about_widgets(self, kind: str, frames: Frames) -> bool:
        """Whether it tells what a static picture of widgets has to know."""
        if kind == "comm_msg" and (found := _OUTPUT_WIDGET.search(_content(frames))):
            self._diverted = bool(found.group(1))
            return True
        return kind == "comm_close"


def shortened(message: Message, limit: int | None) -> tuple[Message, int]:
    """The message with what is too large left out, and how many bytes these are."""
    if limit is None:
        return message, 0
    content = message.content
    if message.msg_type == "stream":
        text = content["text"]
        cut = len(text) - limit
        if cut <= 0:
            return message, 0
        half = limit // 2
        notice = "\n" + _notice(cut).content["text"]
        short = text[:half] + notice + text[len(text) - half :]
        return Message("stream", {**content, "text": short}, message.metadata), cut
    data = content.get("data")
    if not isinstance(data, dict):
        return message, 0
    large = {mime: n for mime, value in data.items() if (n := _length(value)) > limit}
    if not large:
        return message, 0
    kept = {mime: value for mime, value in data.items() if mime not in large}
    plain = _notice(sum(large.values()), " and ".join(large)).content["text"]
    kept["text/plain"] = kept.get("text/plain", "") + "\n" + plain
    return Message(message.msg_type, {**content, "data": kept}, message.metadata), sum(
        large.values()
    )


_CLEARED = frozenset({"stream", "display_data", "execute_result", "error", "clear_output"})


def _notice(number: int, what: str = "output") -> Message:
    text = (
        f"[Evercell: {number / 1e6:.1f} MB of {what} left out here. What it records of a cell's "
        "outputs is limited: evercell.configure(output_limit=...)]\n"
    )
    return Message("stream", {"name": "stderr", "text": text})


def _length(value: object) -> int:
    match value:
        case str() | bytes():
            return len(value)
        case dict():
            return sum(len(str(key)) + _length(each) for key, each in value.items())
        case list() | tuple():
            return sum(map(_length, value))
        case _:
            return 8


def _kind(frames: Frames) -> str:
    found = _KIND.search(bytes(frames[frames.index(DELIM) + 2]))
    return found.group(1).decode() if found else ""


def _content(frames: Frames) -> bytes:
    return bytes(frames[frames.index(DELIM) + 5])


def _display_id(frames: Frames) -> bytes:
    content = _content(frames)
    # It stands behind the data, which can be large.
    found = list(_DISPLAY_ID.finditer(content, max(0, len(content) - 1000)))
    return found[-1].group(1) if found else b""
