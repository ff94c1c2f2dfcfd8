"""What pages and the kernel say to each other; the pages' side is `static/link.js`.

    page -> kernel   {type: "look", page, fresh, asked, first, count, open, status, search, inspect}
                     {type: "leave", page}
                     {type: "act", page, request, deed, run, activity, name, value, accepted}
    kernel -> page   {type: "frame", page}, with the Frame as JSON in the one buffer
                     {type: "answer", page, request, error, word, note}: durable, unless there is
                     an error; `word` is what the person may accept, to have it done all the same,
                     `note` what they should know where it was done

What is said can be lost on the way, so a page sends an action again, with the same request, until
it has an answer: it is done once, and every answer to it is the same.

JSON objects all, whatever carries them: a widget's comm, or that of JupyterLab's extension. A look
is answered on the thread that it comes on, a subshell's in JupyterLab: also while a cell blocks.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.errors import EvercellError, ForkEditedError
from evercell_widgets.actions import parse_action
from evercell_widgets.outline import parse_look

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell_widgets.actions import Desk
    from evercell_widgets.feeder import Feeder
    from evercell_widgets.frames import Frame

__all__ = ["Talk"]

_Answer = dict[str, str | None]
_KEPT = 100  # answers; a page asks again within a minute


class Talk:
    """The talk of one display with its pages."""

    def __init__(
        self, feeder: Feeder, desk: Desk | None, send: Callable[[dict[str, Any], list[bytes]], None]
    ) -> None:
        """`send(content, buffers)` takes a message to all pages of the display. Without a desk
        nothing can be done from them."""
        self._feeder, self._desk, self._send = feeder, desk, send
        self._answers: dict[tuple[str, int], _Answer | None] = {}  # None: being carried out
        self._asking = threading.Lock()

    def hear(self, message: Any) -> None:
        """A page spoke. From any thread."""
        match message:
            case {"type": "look", "page": str(page)}:
                self._feeder.look(page, parse_look(message), fresh=message.get("fresh") is True)
            case {"type": "leave", "page": str(page)}:
                self._feeder.leave(page)
            case {"type": "act", "page": str(page), "request": int(request)}:
                said = self._once(page, request, message)
                if said is not None:
                    answer = {"type": "answer", "page": page, "request": request}
                    self._send(answer | said, [])

    def frame(self, page: str, frame: Frame) -> None:
        """Send what `page` looks at."""
        self._send({"type": "frame", "page": page}, [msgspec.json.encode(frame)])

    def _once(self, page: str, request: int, message: dict[str, Any]) -> _Answer | None:
        """Have the action carried out, unless it was: then what was answered; None if that is
        still to come."""
        with self._asking:
            if (page, request) in self._answers:
                return self._answers[page, request]
            self._answers[page, request] = None
            while len(self._answers) > _KEPT:
                del self._answers[next(iter(self._answers))]
        try:
            answer = self._act(message)
        except BaseException:  # a fault of ours: another try may find it mended
            self._answers.pop((page, request), None)
            raise
        self._answers[page, request] = answer
        return answer

    def _act(self, message: dict[str, Any]) -> _Answer:
        """Have an action carried out. Returns what came of it, for the person."""
        error, word, note = None, None, None
        if self._desk is None:
            error = "Nothing can be done from here: this run has no kernel of its own."
            return {"error": error, "word": None, "note": None}
        try:
            note = self._desk.act(parse_action(message), self._feeder.approval)
        except EvercellError as refused:
            error = refused.message
            word = "Share the old results" if isinstance(refused, ForkEditedError) else None
        except ValueError as wrong:
            error = str(wrong)
        return {"error": error, "word": word, "note": note}
