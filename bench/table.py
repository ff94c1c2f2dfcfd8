"""The report as tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from bench.results import Line, Report, Section

__all__ = ["show"]


def show(report: Report, console: Console) -> None:
    """Print one table for each subject."""
    machine = report.machine
    console.print(
        f"Python {machine.python}, {machine.cores} cores, load {machine.load:.1f}, {report.mode} "
        "run; medians over interleaved rounds, quartiles in brackets.",
        style="dim",
    )
    for section in report.sections:
        console.print(_table(section))


def _table(section: Section) -> Table:
    rounds = max((len(line.rounds) for line in section.lines), default=0)
    title = f"{section.title} ({rounds} rounds, {section.seconds:.0f} s)"
    table = Table(title=title, title_justify="left", title_style="bold", expand=False)
    table.add_column("", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    compares = any(line.ratio or line.difference for line in section.lines)
    if section.baseline:
        sign = "x" if section.compare == "ratio" else "more than"
        table.add_column(f"{sign} {section.baseline}", justify="right")
    elif compares:
        table.add_column("to its baseline", justify="right")
    table.add_column("target", no_wrap=True)
    table.add_column("")
    for line in section.lines:
        compared = [_compared(section, line)] if section.baseline or compares else []
        style = "bold" if line.target else ""
        table.add_row(
            Text(line.contender, style=style), _value(line), *compared, _verdict(line), _note(line)
        )
    return table


def _value(line: Line) -> str:
    if line.value is None:
        return "-"
    return f"{_number(line.value.median)} {line.unit}"


def _compared(section: Section, line: Line) -> str:
    ratio = (line.compared or section.compare) == "ratio"
    figure = line.ratio if ratio else line.difference
    if figure is None or line.contender == section.baseline:
        return ""
    numbers = [_number(each) for each in (figure.median, figure.low, figure.high)]
    text = "{} [{}, {}]".format(*numbers)
    if section.baseline:
        return text
    return f"{text} x" if ratio else f"{text} {line.unit} more"


def _verdict(line: Line) -> Text:
    if line.target is None:
        return Text("")
    word, style = {None: ("undecided", "yellow"), True: ("met", "green"), False: ("missed", "red")}[
        line.met
    ]
    return Text.assemble(f"{line.target} ", (word, style))


def _note(line: Line) -> Text:
    if line.problem is not None:
        return Text(line.problem, style="yellow")
    return Text(line.note, style="dim")


def _number(figure: float) -> str:
    """Three significant digits, no exponent."""
    size = abs(figure)
    if size >= 100:
        return f"{figure:,.0f}"
    return f"{figure:.1f}" if size >= 10 else f"{figure:.2f}"
