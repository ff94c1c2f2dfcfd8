"""Where the user's code stands, in words that its author knows: the cell, or the file, and the
line."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

__all__ = ["calling_line", "first_line", "name_cells", "raising_line", "waiting_line"]

_OTHERS = frozenset({"evercell", *sys.stdlib_module_names} - {"__main__"})
_cell: Callable[[str], str | None] = lambda _: None  # noqa: E731 - until a notebook names its own


def name_cells(cell: Callable[[str], str | None]) -> None:
    """Have the code file of a cell called what `cell(file)` says, such as "Cell In[3]"."""
    global _cell  # noqa: PLW0603 - a process has one notebook
    _cell = cell


def calling_line() -> str | None:
    """Where the user's code is calling from: the innermost frame that is neither ours nor
    of the standard library."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _is_users(frame):
            return _line(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return None


def waiting_line(coroutine: Any) -> str | None:
    """Where the user's code waits in the suspended `coroutine`; None if it has ended."""
    found = None
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and _is_users(frame):
            found = _line(frame.f_code, frame.f_lineno)
        coroutine = getattr(coroutine, "cr_await", None)
    return found


def raising_line(error: BaseException) -> str | None:
    """Where the user's code raised it, or let it through."""
    found, traceback = None, error.__traceback__
    while traceback is not None:
        if _is_users(traceback.tb_frame):
            found = _line(traceback.tb_frame.f_code, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def first_line(code: CodeType) -> str:
    """Where the function is defined."""
    return _line(code, code.co_firstlineno)


def _is_users(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__", "").partition(".")[0] not in _OTHERS


def _line(code: CodeType, number: int) -> str:
    cell = _cell(code.co_filename)
    return f"line {number} of {code.co_filename}" if cell is None else f"{cell}, line {number}"
