"""What of a cell still runs after it ended: such a cell's effects can't be recorded yet."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from types import FrameType
from typing import Any

from evercell.threads import carries_runs

__all__ = ["steps_run_beside", "still_running"]


def still_running(live: dict[str, Any]) -> str | None:
    """The thread or task that is executing code of the notebook at this moment, in words; None when
    nothing is. Threads that idle inside a library (pools, progress bars) don't count, nor do those
    that carry workflows: what these do is no cell's.

    Must be called on the thread of the running event loop.
    """
    for ident, frame in _current_frames().items():
        if not _in_notebook(frame, live):
            continue
        thread = next((it for it in threading.enumerate() if it.ident == ident), None)
        if thread is None:  # `_thread` started it
            return "a thread still runs"
        if not carries_runs(thread):
            return f"the thread {thread.name!r} still runs"
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop runs here
        return None
    for task in tasks:
        if task is not asyncio.current_task() and _awaits_notebook(task.get_coro(), live):
            return f"the task {task.get_name()!r} still runs"
    return None


def steps_run_beside(live: dict[str, Any]) -> bool:
    """Whether a workflow, or a body of its steps, is executing code of the notebook at this moment,
    and could change a variable. That says nothing against the cell beside it."""
    carriers = [thread for thread in threading.enumerate() if carries_runs(thread)]
    if not carriers:
        return False
    frames = _current_frames()
    return any(_in_notebook(frames.get(thread.ident or 0), live) for thread in carriers)


def _current_frames() -> dict[int, FrameType]:
    """What each other thread executes. The frame of this one would hold itself, and with it all
    that its callers know, such as what the cell parted with, until garbage is collected.

    Until CPython 3.11.9 and 3.12.3, garbage is collected in there, while a lock of the
    interpreter's is held that ending threads need: where that let the GIL go, all stood still
    (https://github.com/python/cpython/issues/106883).
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        frames = sys._current_frames()
        frames.pop(threading.get_ident(), None)
        return frames
    finally:
        if collects:
            gc.enable()


def _in_notebook(frame: FrameType | None, live: dict[str, Any]) -> bool:
    # The thread runs on, and its frames with it: once, another object stood where one had been.
    while isinstance(frame, FrameType):
        if frame.f_globals is live:
            return True
        frame = frame.f_back
    return False


def _awaits_notebook(coroutine: Any, live: dict[str, Any]) -> bool:
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None and frame.f_globals is live:
            return True
        coroutine = getattr(coroutine, "cr_await", None)
    return False
