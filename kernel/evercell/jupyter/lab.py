"""What JupyterLab's extension is told: the cells as they change, and answers to its questions.

    comm_open ──> LabChannel ──> {"type": "state", "run", "cells"}   whole: at once, when the page
                     │                                               asks, and when the kernel
                     │                                               attaches to another run
                     ├─ CellFeed ─> {"type": "cells", "run", "cells"}      what changed, some times
                     │                                                     a second
    {"id", "method", "params"} ─> {"type": "reply", "id", "result" | "error"}
    a run in a tab: "open" ─> {"type": "view", "view", "content" | "picture"}   lab_view.py

A page opens one comm to the target "evercell", on a subshell where the kernel has them, so that it
is answered while a cell blocks. What is shown is a fold of the history. A reply can be lost on its
way, so the page asks again with the same id, and gets the same answer.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.clock import SystemClock
from evercell.engine.feed import feed_of
from evercell.errors import EvercellError, UsageError
from evercell.threads import OwnThread
from evercell_widgets.badges import Badges, facts_of
from evercell_widgets.desk import CommandDesk, Letters
from evercell_widgets.follow import Followed

from . import lab_runs, lab_view
from .preview import WrittenCell
from .session import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evercell.clock import Clock
    from evercell_widgets.feeder import EventSource

    from .executor import CellExecutor

__all__ = ["CellFeed", "LabChannel"]

_INTERVAL = 0.15  # seconds between two messages
_SHARE = 300  # rest this many times what looking took: a run is not slowed by being looked at
_ANSWERS = 4  # that are kept for pages that ask again


class CellFeed:
    """Says what changes in a run, on a thread of its own, until it is closed."""

    def __init__(self, source: EventSource, send: Callable[..., None], clock: Clock) -> None:
        """`send(type=..., run=..., cells=...)` gets the whole state first, before this returns."""
        self._clock = clock
        self._send = send
        self._badges = Badges()
        self._wake, self._closed = threading.Event(), threading.Event()
        self._anew = threading.Event()
        self._followed = Followed(source, self._wake.set, clock)
        self._show("state")
        self._thread = OwnThread(self._run, "evercell-lab")
        self._thread.start()

    def repeat(self) -> None:
        """Send the whole state once more, soon."""
        self._anew.set()
        self._wake.set()

    def close(self) -> None:
        """Stop; nothing is sent any more."""
        self._followed.close()
        self._closed.set()
        self._wake.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.wait()
            self._wake.clear()
            if self._closed.is_set():
                return
            began = self._clock.monotonic()
            is_anew = self._anew.is_set()
            self._anew.clear()
            is_changed = self._followed.fold()
            if is_anew:
                self._badges = Badges()
                self._show("state")
            elif is_changed:
                self._show("cells")
            took = self._clock.monotonic() - began
            self._closed.wait(min(max(_INTERVAL, _SHARE * took), 1.0))

    def _show(self, kind: str) -> None:
        view = self._followed.view
        self._send(type=kind, run=facts_of(view), cells=self._badges.changed(view))


class LabChannel:
    """One page's comm. Requests may come on any thread."""

    def __init__(self, comm: Any, cells: CellExecutor, clock: Clock | None = None) -> None:
        self._comm = comm
        self._cells = cells
        self._clock = clock or SystemClock()
        self._feed: CellFeed | None = None
        self._windows: dict[str, lab_view.RunWindow] = {}  # by the page's name for it
        self._answers: dict[int, Any] = {}  # the latest, by the request's id
        self._is_closed = False
        self._following = threading.Lock()  # one thread at a time changes what is followed
        self._methods: dict[str, Callable[[Mapping[str, Any]], Any]] = {
            "state": self._repeat,
            "preview": self._preview,
            "runs": self._runs,
            "widget": lambda _: lab_view.widget_files(),
            "open": self._open_run,
            "tell": self._tell_window,
            "close": self._close_run,
        }
        # Not ipykernel's own way, which triggers the shell's events on the comm's thread:
        # matplotlib would show and close the figures that the running cell is still drawing.
        comm.handle_msg = self._handle
        comm.on_close(self._on_close)
        self._unwatch = cells.watch(self._follow_soon)
        self._follow()

    def _on_close(self, _message: object) -> None:
        self._unwatch()
        with self._following:
            self._is_closed = True
            self._leave()
        for view in list(self._windows):
            self._close_run({"view": view})

    def _leave(self) -> None:
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.close()

    def _follow_soon(self) -> None:
        """The kernel attached to another run; on its main thread, which has a cell to run."""
        OwnThread(self._follow, "evercell-lab-attach").start()

    def _follow(self) -> None:
        """Send the state of the kernel's run as it is now, and from now on what changes."""
        with self._following:
            self._leave()
            if self._is_closed:
                return
            session = self._cells.session
            try:
                if session is None:
                    self._send_recorded()
                else:
                    send = partial(self._send, attached=True)
                    self._feed = CellFeed(session.feed(), send, self._clock)
            except EvercellError as error:
                self._send(type="state", run=None, cells=[], attached=False, note=str(error))

    def _repeat(self, _params: Mapping[str, Any]) -> None:
        """The page has not got the state: what a kernel publishes can be lost on the way."""
        with self._following:
            feed = self._feed
            if feed is not None:
                feed.repeat()
        if feed is None:
            self._follow()

    def _send_recorded(self) -> None:
        """Before its first cell the kernel holds no run: show what that cell would resume."""
        view = lab_runs.recorded_run(self._cells.place(), self._clock)
        run = None if view is None else facts_of(view)
        cells = [] if view is None else Badges().changed(view)
        self._send(type="state", run=run, cells=cells, attached=False)

    def _send(self, *, buffers: list[bytes] | None = None, **data: Any) -> None:
        self._comm.send(data, buffers=buffers)

    def _handle(self, message: Mapping[str, Any]) -> None:
        """Answer one request; its sender waits for a reply, so there is one in any case."""
        data = message["content"]["data"]
        reply = partial(self._send, type="reply", id=data.get("id"))
        try:
            reply(result=self._answer(data))
        except EvercellError as error:
            reply(error=str(error))
        except Exception as error:
            reply(error=f"{type(error).__name__}: {error}")
            raise  # a fault of ours: ipykernel logs it

    def _answer(self, request: Mapping[str, Any]) -> Any:
        """What the request's method says; of one that has been answered, what it said."""
        name = request.get("id")
        if name in self._answers:
            return self._answers[name]
        method: Callable[..., Any] = self._methods.get(request.get("method", ""), _unknown)
        result = method(request.get("params") or {})
        if isinstance(name, int) and result is not None:
            self._answers[name] = result
            while len(self._answers) > _ANSWERS:
                del self._answers[next(iter(self._answers))]
        return result

    def _preview(self, params: Mapping[str, Any]) -> Any:
        """What Restart and Run All would do to the page's cells; this attaches to nothing."""
        written = [
            WrittenCell(cell["source"], cell["index"], cell["id"], tuple(cell["tags"]))
            for cell in params["cells"]
        ]
        cells, session = self._cells.cells_now(written), self._cells.session
        if session is not None:
            return msgspec.to_builtins(session.preview(cells))
        return msgspec.to_builtins(lab_runs.foretell(self._cells.place(), cells))

    def _open_run(self, params: Mapping[str, Any]) -> Any:
        """Show a run in a tab of the page; returns the beginning of it."""
        view, session = params["view"], self._cells.session
        own = None if session is None else session.feed()
        with reading(session, self._cells.place()) as history:
            feed, subject = feed_of(history, params["run"], own)
        desk = None
        if session is not None:
            takes = Letters(session.commands, session.history.inbox, feed.is_over)
            desk = CommandDesk(session.history, takes, self._cells.namespace)
        self._close_run(params)
        send = partial(self._send, type="view", view=view)
        window = lab_view.RunWindow(feed, send, self._clock, desk=desk, subject=subject)
        self._windows[view] = window
        return window.first

    def _tell_window(self, params: Mapping[str, Any]) -> None:
        window = self._windows.get(params["view"])
        if window is not None:
            window.heard(params["content"])

    def _close_run(self, params: Mapping[str, Any]) -> None:
        window = self._windows.pop(params["view"], None)
        if window is not None:
            window.close()

    def _runs(self, _params: Mapping[str, Any]) -> list[dict[str, Any]]:
        place = self._cells.place()
        if not place.history.is_dir():
            return []
        with reading(self._cells.session, place) as history:
            return lab_runs.list_runs(history)


def _unknown(_params: Mapping[str, Any]) -> None:
    raise UsageError(
        "The kernel's Evercell is of another release than JupyterLab's and can't answer this. "
        "Install the same one in both places: pip install -U evercell."
    )
