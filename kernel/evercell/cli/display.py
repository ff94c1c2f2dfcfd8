"""A run on the terminal: final lines above, and below them what is going on now.

PlainDisplay   a pipe: final lines, and a sign of life every half minute
LiveDisplay    a terminal: final lines scroll by, a bar and the running cell stay below
"""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from evercell.cli.console import as_duration
from evercell.cli.view import Line, RunView, first_line

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

    from evercell.jupyter.headless import Progress

__all__ = ["Display", "LiveDisplay", "PlainDisplay", "make_display"]

_SIGN_OF_LIFE = 30.0  # seconds


class Display(Protocol):
    """Takes a run's progress; a context manager for the time of the run."""

    def __call__(self, event: Progress) -> None: ...

    def __enter__(self) -> Display: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...


def make_display(console: Console) -> Display:
    """The display that fits where `console` writes."""
    return LiveDisplay(console) if console.is_terminal else PlainDisplay(console)


class PlainDisplay:
    """Line by line."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._view = RunView()
        self._spoke = time.monotonic()

    def __call__(self, event: Progress) -> None:
        lines = self._view.apply(event)
        now = time.monotonic()
        running = self._view.running
        if not lines and running is not None and now - self._spoke >= _SIGN_OF_LIFE:
            steps = self._view.steps_since_scheduled()
            lines = [Line(f"  cell {running.number} is running{f': {steps}' if steps else ''}")]
        for line in lines:
            self._spoke = now
            self._console.out(line.text, highlight=False)

    def __enter__(self) -> PlainDisplay:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass


class LiveDisplay:
    """With what goes on now below the final lines."""

    def __init__(self, console: Console) -> None:
        from rich.live import Live

        self._console = console
        self._view = RunView()
        self._began = self._cell_began = time.monotonic()
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=5, transient=True
        )

    def __call__(self, event: Progress) -> None:
        from rich.text import Text

        running = self._view.running
        for line in self._view.apply(event):
            self._console.print(
                Text(line.text, style=line.style, no_wrap=True, overflow="ellipsis")
            )
        if self._view.running is not running:
            self._cell_began = time.monotonic()

    def __enter__(self) -> LiveDisplay:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, traceback)

    def _render(self) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        view, now = self._view, time.monotonic()
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=max(view.cells, 1), completed=view.done, width=30),
            Text(f"{view.done}/{view.cells} cells  {as_duration(now - self._began)}"),
        )
        current = Text(no_wrap=True, overflow="ellipsis")
        if view.running is None:
            current.append("starting the kernel" if not view.done else "", style="dim")
        else:
            current.append(f"cell {view.running.number} ", style="bold")
            current.append(f"{as_duration(now - self._cell_began)}  ")
            current.append(first_line(view.running.source), style="dim")
        grid = Table.grid()
        grid.add_row(current)
        steps = view.steps_since_scheduled()
        if view.running is not None and (steps or view.tally.running):
            grid.add_row(Text(f"  {steps or 'steps'}, {view.tally.running} running", style="cyan"))
        grid.add_row(bar)
        return grid
