"""`evercell watch`: a run as it goes on, from another process than its kernel.

    the history (what was) ─┬─> view state ─> picture, a few times a second
    its journals (what comes) ┘

It ends when the run's kernel has let go of it. In a pipe, cells become lines as they end.
"""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from evercell.cli.console import make_console, open_history
from evercell.cli.picture import cell_lines, picture
from evercell.clock import SystemClock
from evercell.engine.feed import Family
from evercell.history.locks import is_held
from evercell.history.tail import Tail
from evercell_widgets.past import Past
from evercell_widgets.snapshot import snapshot
from evercell_widgets.view import RunView, apply_all, stop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from rich.console import Console, RenderableType

    from evercell.clock import Clock
    from evercell.history import History
    from evercell_widgets.snapshot import Snapshot

__all__ = ["Watch", "watch_run"]

_INTERVAL = 0.25  # seconds between two looks


class Watch:
    """One run of a history that another process records."""

    def __init__(self, history: History, run_id: str, clock: Clock | None = None) -> None:
        self.run_id = run_id
        self._clock = clock or SystemClock()
        self._lock = history.folder / "runs" / f"{run_id}.lock"
        self._tail = Tail(history.folder)
        self._tail.read()  # the history holds it, too
        past = history.events(run_id, hosted=True)
        self._family = Family(run_id)
        self._family.of(past)
        self._past = Past(past, self._clock.now())
        self.view = RunView()
        apply_all(self.view, history.forks.shared_events(run_id))
        apply_all(self.view, past)

    def read(self) -> bool:
        """Take what came. Returns whether a kernel may record more."""
        alive = is_held(self._lock)
        came = self._family.of(self._tail.read())
        apply_all(self.view, self._past.unseen(came))
        if not alive:
            stop(self.view)
        return alive

    def snapshot(self) -> Snapshot:
        """The run as it is now."""
        return snapshot(self.view, now=self._clock.now())

    def close(self) -> None:
        """Let go of the journals."""
        self._tail.close()


def watch_run(prefix: str, folder: Path | None) -> None:
    """Show the run whose id begins so until its kernel lets go of it, or Ctrl-C.

    Raises RunNotFoundError for none, or for several.
    """
    history = open_history(folder)
    try:
        watch = Watch(history, history.find(prefix))
    finally:
        history.close()
    console = make_console()
    try:
        show = _show_live if console.is_terminal else _show_lines
        show(console, watch, time.sleep)
    except KeyboardInterrupt:
        pass  # the run goes on without a watcher
    finally:
        watch.close()


def _show_live(console: Console, watch: Watch, rest: Callable[[float], None]) -> None:
    from rich.live import Live

    def now() -> RenderableType:
        return picture(watch.snapshot(), width=console.width, height=console.height - 1)

    with Live(now(), console=console, auto_refresh=False) as live:
        alive = True
        while alive:
            alive = watch.read()
            live.update(now(), refresh=True)
            if alive:
                rest(_INTERVAL)


def _show_lines(console: Console, watch: Watch, rest: Callable[[float], None]) -> None:
    """What has ended, line by line, and what was left at the end."""
    said: set[tuple[str, str]] = set()
    alive = True
    while alive:
        alive = watch.read()
        shown = watch.snapshot()
        now = shown["header"]["now"]
        for cell in shown["cells"]:
            key = cell["activity_id"], cell["status"]
            if key in said or (alive and cell["status"] == "running"):
                continue
            said.add(key)
            for line in cell_lines(cell, now, console.width):
                console.out(line.plain, highlight=False)
        if alive:
            rest(_INTERVAL)
    header = watch.snapshot()["header"]
    console.out(f"run {header['run_id']}: {header['state']}", highlight=False)
