"""What pages and the kernel say to each other; the pages' side is `static/link.js`.

    page -> kernel   {type: "look", page, fresh, first, count, open, status, search, inspect}
                     {type: "leave", page}
                     {type: "act", page, request, deed, run, activity, name, value}
    kernel -> page   {type: "frame", page}, with the Frame as JSON in the one buffer
                     {type: "answer", page, request, error}: durable, unless there is an error

JSON objects all, whatever carries them: a widget's comm, or that of JupyterLab's extension. A look
is answered on the thread that it comes on, a subshell's in JupyterLab: also while a cell blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from evercell.errors import EvercellError
from evercell_widgets.actions import parse_action
from evercell_widgets.outline import parse_look

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell_widgets.actions import Desk
    from evercell_widgets.feeder import Feeder
    from evercell_widgets.frames import Frame

__all__ = ["Talk"]


class Talk:
    """The talk of one display with its pages."""

    def __init__(
        self, feeder: Feeder, desk: Desk | None, send: Callable[[dict[str, Any], list[bytes]], None]
    ) -> None:
        """`send(content, buffers)` takes a message to all pages of the display. Without a desk
        nothing can be done from them."""
        self._feeder, self._desk, self._send = feeder, desk, send

    def hear(self, message: Any) -> None:
        """A page spoke. From any thread."""
        match message:
            case {"type": "look", "page": str(page)}:
                self._feeder.look(page, parse_look(message), fresh=message.get("fresh") is True)
            case {"type": "leave", "page": str(page)}:
                self._feeder.leave(page)
            case {"type": "act", "page": str(page), "request": request}:
                error = self._act(message)
                answer = {"type": "answer", "page": page, "request": request, "error": error}
                self._send(answer, [])

    def frame(self, page: str, frame: Frame) -> None:
        """Send what `page` looks at."""
        self._send({"type": "frame", "page": page}, [msgspec.json.encode(frame)])

    def _act(self, message: dict[str, Any]) -> str | None:
        """Have an action carried out. Returns what went wrong, for the person."""
        if self._desk is None:
            return "Nothing can be done from here: this run has no kernel of its own."
        try:
            self._desk.act(parse_action(message), self._feeder.approval)
        except EvercellError as error:
            return error.message
        except ValueError as error:
            return str(error)
        return None
