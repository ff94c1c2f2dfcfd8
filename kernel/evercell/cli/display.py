"""A run on the terminal: final lines above, and below them what is going on now.

PlainDisplay   a pipe: final lines, and a sign of life every half minute
LiveDisplay    a terminal: final lines scroll by, a bar and the running cell stay below
"""

# ruff: noqa: PLC0415 - a command imports what it needs when it runs

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Protocol

from evercell.cli.console import as_duration
from evercell.cli.picture import cell_lines
from evercell.cli.view import Line, RunView
from evercell.clock import SystemClock
from evercell.jupyter.headless import Recorded
from evercell_widgets import view, words
from evercell_widgets.snapshot import snapshot

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

    from evercell.jupyter.headless import Progress
    from evercell_widgets.snapshot import Snapshot

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


def make_display(console: Console, where: str = "") -> Display:
    """The display that fits where `console` writes. `where`: see `view.RunView`."""
    lines = RunView(where)
    return LiveDisplay(console, lines) if console.is_terminal else PlainDisplay(console, lines)


class PlainDisplay:
    """Line by line."""

    def __init__(self, console: Console, lines: RunView | None = None) -> None:
        self._console = console
        self._view = lines or RunView()
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
    """With what goes on now below the final lines: the view state that the widget shows, too."""

    def __init__(self, console: Console, lines: RunView | None = None) -> None:
        from rich.live import Live

        self._console = console
        self._lines = lines or RunView()
        self._view = view.RunView()
        self._clock = SystemClock()
        self._began = time.monotonic()
        self._live = Live(
            console=console, get_renderable=self._render, refresh_per_second=5, transient=True
        )

    def __call__(self, event: Progress) -> None:
        from rich.text import Text

        if isinstance(event, Recorded):
            view.apply_all(self._view, event.events)
        for line in self._lines.apply(event):
            if line.whole:
                self._console.print(Text(line.text, style=line.style), soft_wrap=True)
                continue
            self._console.print(
                Text(line.text, style=line.style, no_wrap=True, overflow="ellipsis")
            )

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
        from rich.console import Group

        shown = snapshot(self._view, now=self._clock.now())
        going_on = [cell for cell in shown["cells"] if cell["status"] == "running"]
        width, room = self._console.width, max(1, self._console.height - 4)
        lines = [
            line
            for cell in going_on
            for line in cell_lines(cell, shown["header"]["now"], width)[:room]
        ]
        return Group(*lines, self._bar(shown))

    def _bar(self, shown: Snapshot) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        lines = self._lines
        done = f"{lines.done}/{lines.cells} cells"
        facts = [
            done,
            as_duration(time.monotonic() - self._began),
            *words.spent(shown["header"])[1:],
        ]
        if lines.running is None and not lines.done:
            facts.append("starting the kernel")
        else:
            facts += filter(None, [words.step_counts(shown["header"]["steps"])])
            facts += words.facts(shown["header"])
        bar = Table.grid(padding=(0, 1))
        bar.add_row(
            ProgressBar(total=max(lines.cells, 1), completed=lines.done, width=20),
            Text(" · ".join(facts), no_wrap=True, overflow="ellipsis"),
        )
        return bar
