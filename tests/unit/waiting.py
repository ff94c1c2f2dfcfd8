"""Notebooks whose cells wait, over the lives of their kernels."""

from __future__ import annotations

import signal
import threading
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from sessions import Notebook

from evercell.engine import commands as c
from evercell.engine.receiver import interrupt_main_thread
from evercell.events import CellStarted
from evercell.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evercell.clock import Clock
    from evercell.events import Event

DAY = 86_400

GO, NUMBER, SLEEP = (
    "evercell.wait_signal('go')",
    "evercell.wait_signal('n', int)",
    "evercell.sleep('3d')",
)
BOTH = pytest.mark.parametrize("how", ["{}", "await {}"])


class Book:
    """One notebook's history over the lives of its kernels."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self._clock = clock or self.clock
        self.open: Notebook | None = None

    def start(self) -> Notebook:
        """Another kernel; the one before died, or let go."""
        self.stop()
        self.open = Notebook(self.folder, clock=self._clock)
        exec("import asyncio, gc, threading, evercell", self.open.live)
        return self.open

    def stop(self) -> None:
        if self.open is not None:
            self.open.stop()
            self.open = None

    def die(self) -> None:
        """The kernel ends in the midst of its cell, as far as the history can tell."""
        assert self.open is not None
        session = self.open.session
        session.history.append(
            CellStarted(session.run_id, 1, "dead", "id:c1", 0, "c1", "", b"", 0, "executed", "", 1)
        )


def when(
    notebook: Notebook, kind: type[Event], act: Callable[[Any], None], after: int = 0
) -> threading.Event:
    """Have `act` called on a thread of its own at the event of this kind, behind `after` others."""
    seen: list[Event] = []
    done = threading.Event()

    def run(event: Event) -> None:
        try:
            act(event)
        except BaseException:
            traceback.print_exc()
            interrupt_main_thread()  # the cell would wait for ever
            return
        done.set()

    def listen(events: tuple[Event, ...]) -> None:
        for event in events:
            if isinstance(event, kind):
                seen.append(event)
                if len(seen) == after + 1:
                    threading.Thread(target=run, args=(event,)).start()

    notebook.session.history.subscribe(listen)
    return done


def interrupt_at(notebook: Notebook, kind: type[Event]) -> None:
    """Break the cell off at an event of this kind, so that the history knows of no end of it."""
    signal.signal(signal.SIGINT, lambda *_: signal.default_int_handler(signal.SIGINT, None))
    when(notebook, kind, lambda _: interrupt_main_thread())


def tell(notebook: Notebook, name: str, *args: object) -> str:
    session = notebook.session
    payload, view = (None, None) if not args else c.enclosed(session.history, [list(args), {}], {})
    return session.commands.submit(c.Signal(session.run_id, name, payload, view, "me"))


def reply(notebook: Notebook, activity_id: str, approved: bool, form: object = None) -> None:
    session = notebook.session
    payload, view = (None, None) if form is None else c.enclosed(session.history, form, {})
    session.commands.submit(
        c.Answer(session.run_id, activity_id, approved, payload, view, "me", session.clock.now())
    )


def events(notebook: Notebook, kind: type[Event]) -> list[Any]:
    found = notebook.session.history.events(notebook.session.run_id)
    return [event for event in found if isinstance(event, kind)]


def run(notebook: Notebook, how: str, call: str, before: str = "") -> object:
    """The value of a wait in a cell of its own; its error is raised."""
    source = f"{before}\nvalue = {how.format(call)}"
    shell = notebook.cell(source)
    if shell.error is not None:
        raise shell.error
    return notebook.live["value"]
