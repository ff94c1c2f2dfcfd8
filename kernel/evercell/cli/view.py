"""What the terminal shows of a run: a pure fold of the runner's progress.

Progress -> RunView -> lines of text, with a style each
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from evercell.cli.console import as_duration
from evercell.cli.waiting import awaited_of, waiting_lines
from evercell.jupyter.headless import (
    CellEnded,
    CellScheduled,
    Counted,
    KernelReady,
    Noted,
    Progress,
    Recorded,
    RunBegan,
    RunOutcome,
    Tally,
    Waits,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from evercell.jupyter.headless import Awaited

__all__ = ["Line", "RunView", "first_line", "resume_command", "summary"]

_VERBS = {
    "executed": ("ran", "green"),
    "restored": ("restored", "cyan"),
    "recomputed": ("recomputed", "yellow"),
    "volatile": ("ran, volatile", "green"),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line for the user; `style` as rich names styles."""

    text: str
    style: str = ""
    whole: bool = False  # wrapped rather than cut: it holds a command to copy


@dataclass(slots=True)
class RunView:
    """The run as far as it has gone. `apply` returns the lines that have become final.

    `where`: the option that names the history in commands for people, if one is needed.
    """

    where: str = ""
    cells: int = 0
    done: int = 0
    running: CellScheduled | None = None
    tally: Tally = field(default_factory=Tally)
    before: Tally = field(default_factory=Tally)  # when the running cell was sent
    _named: bool = False

    def apply(self, event: Progress) -> list[Line]:
        """Take one more event."""
        match event:
            case RunBegan(notebook=notebook, cells=cells):
                self.cells = cells
                return [Line(f"{notebook.name}: {_count(cells, 'cell')}", "bold")]
            case Recorded() | Waits():
                return self._waiting(event)
            case KernelReady() | CellScheduled():
                if isinstance(event, CellScheduled):
                    self.running, self.before = event, self.tally
                return []
            case Counted(tally=tally):
                self.tally = tally
                return self._name_run()
            case CellEnded():
                return [self._ended(event)]
            case Noted(text=text):
                return [Line(f"note: {text}", "yellow")]

    def _waiting(self, event: Recorded | Waits) -> list[Line]:
        awaited: Iterable[Awaited | None] = (
            map(awaited_of, event.events) if isinstance(event, Recorded) else event.awaited
        )
        return [
            Line(text, "bold yellow", whole=True)
            for each in awaited
            if each is not None
            for text in waiting_lines(each, self.where)
        ]

    def _name_run(self) -> list[Line]:
        if self._named or self.tally.run_id is None:
            return []
        self._named = True
        resumed = ", resumed" if self.tally.generation > 1 else ""
        return [Line(f"run {self.tally.run_id}{resumed}", "dim")]

    def _ended(self, event: CellEnded) -> Line:
        self.running = None
        self.done += 1
        verb, style = _VERBS.get(event.decision or "", ("ran", "green"))
        if not event.ok:
            verb, style = "stopped", "red"
        steps = self.steps_since_scheduled()
        width = len(str(self.cells))
        return Line(
            f"[{event.number:>{width}}/{self.cells}] {verb:<10} {as_duration(event.seconds):>9}  "
            f"{first_line(event.source)}{f'  ({steps})' if steps else ''}",
            style,
        )

    def steps_since_scheduled(self) -> str:
        """The running cell's steps in words; empty where it made none."""
        now, then = self.tally, self.before
        return steps_in_words(
            now.executed - then.executed,
            now.restored - then.restored,
            now.failed - then.failed,
            now.retried - then.retried,
        )


def steps_in_words(executed: int, restored: int, failed: int = 0, retried: int = 0) -> str:
    """ "6 steps ran, 8 restored, 1 failed, 2 retries"; empty for none."""
    parts = []
    if executed or failed or restored:
        parts.append(f"{_count(executed, 'step')} ran")
    if restored:
        parts.append(f"{restored} restored")
    if failed:
        parts.append(f"{failed} failed")
    if retried:
        parts.append(_count(retried, "retry", "retries"))
    return ", ".join(parts)


def first_line(source: str, width: int = 60) -> str:
    """The first line of code, cut to `width`."""
    lines = [line.strip() for line in source.splitlines()]
    code = next((line for line in lines if line and not line.startswith("#")), "")
    line = code or next((line for line in lines if line), "")
    return line if len(line) <= width else line[: width - 1] + "…"


def summary(outcome: RunOutcome, resume: str) -> list[Line]:
    """What came of the run, and what to do next; `resume` is the command that goes on with it."""
    tally, done = outcome.tally, sum(outcome.tally.cells.values())
    kinds = [f"{n} {_VERBS.get(kind, (kind, ''))[0]}" for kind, n in tally.cells.items() if n]
    steps = steps_in_words(tally.executed, tally.restored, tally.failed, tally.retried)
    counts = f"{_count(done, 'cell')} ({', '.join(kinds)})" if kinds else ""
    what = ", ".join(part for part in (counts, steps) if part)
    style = {"completed": "bold green", "interrupted": "bold yellow"}.get(
        outcome.status, "bold red"
    )
    head = f"{_headline(outcome)} after {as_duration(outcome.seconds)}"
    lines = [Line(f"{head}: {what}" if what else head, style)]
    if outcome.run_id:
        lines.append(Line(f"run {outcome.run_id}, outputs in {outcome.output}", "dim"))
    if outcome.status != "completed":
        lines.append(Line("What was recorded stays; finished cells and steps are not run again."))
        lines.append(Line(f"Go on with: {resume}", "bold"))
    return lines


def _headline(outcome: RunOutcome) -> str:
    failure = outcome.failure
    if failure is None or outcome.status == "interrupted":
        return outcome.status
    where = f" in cell {failure.number} of {outcome.cells}" if failure.number else ""
    if outcome.status == "failed":
        return f"failed{where} ({failure.name})"
    return f"kernel died{where}: the process {failure.message},"


def resume_command(
    notebook: Path, output: Path | None, parameters: list[str], history: Path | None
) -> str:
    """The command line that resumes what this one began."""
    words = ["evercell", "run", str(notebook)]
    if output is not None:
        words += ["-o", str(output)]
    for parameter in parameters:
        words += ["-p", parameter]
    if history is not None:
        words += ["--history", str(history)]
    return shlex.join(words)


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
