"""A failed cell's traceback: the user's frames, none of ours.

IPython would print "[... skipping hidden 1 frame]" for frames marked with `__tracebackhide__`;
here frames of Evercell leave the traceback altogether, so that it equals that of plain ipykernel.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["drop_own_frames", "hide_own_frames", "message_only"]

_OWN_PACKAGES = ("evercell", "evercell_widgets")


def hide_own_frames(shell: Any) -> None:
    """Make `shell` drop our frames before it shows a traceback, once."""
    get_exc_info = getattr(shell, "_get_exc_info", None)  # private: without it, frames stay
    if get_exc_info is None or "_get_exc_info" in vars(shell):
        return

    def get_user_exc_info(exc_tuple: Any = None) -> Any:
        etype, value, tb = get_exc_info(exc_tuple)
        drop_own_frames(value)
        return etype, value, tb

    shell._get_exc_info = get_user_exc_info


def drop_own_frames(error: BaseException) -> None:
    """Unlink our frames from the tracebacks of `error`, its causes and its group's members."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        current = todo.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        _unlink(current.__traceback__)
        todo += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            todo += current.exceptions


def _unlink(tb: TracebackType | None) -> None:
    """Take our frames out of the chain. Its first frame, the shell's, always stays."""
    while tb is not None:
        following = tb.tb_next
        while following is not None and _is_own(following):
            following = following.tb_next
        tb.tb_next = following
        tb = following


def _is_own(tb: TracebackType) -> bool:
    module = str(tb.tb_frame.f_globals.get("__name__", ""))
    return module.partition(".")[0] in _OWN_PACKAGES


def message_only(error: Exception) -> Exception:
    """`error`, which IPython will show as its message without any frame."""
    text = f"{type(error).__name__}: {error}"
    vars(error)["_render_traceback_"] = lambda: [text]
    return error
