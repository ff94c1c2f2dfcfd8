"""How numbers and states read, the same in HTML and plain text; `static/run.js` repeats it."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evercell_widgets.snapshot import CellData, Counts, Header

__all__ = ["cell_label", "duration", "number", "step_counts", "summary", "title"]

_MARKS = {
    "running": "▸",
    "retrying": "▸",
    "completed": "✓",
    "restored": "↺",
    "recorded": "·",
    "failed": "✗",
    "interrupted": "✗",
    "canceled": "-",
    "in doubt": "?",
}


def duration(nanoseconds: int) -> str:
    """A length of time, short: "340 ms", "8.2 s", "3 min 05 s", "2 h 10 min"."""
    if nanoseconds < 1_000_000:
        return "<1 ms"
    if nanoseconds < 999_500_000:
        return f"{round(nanoseconds / 1e6)} ms"
    seconds = nanoseconds / 1e9
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"


def number(value: int) -> str:
    """An integer with narrow no-break spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def mark(status: str) -> str:
    """One character that stands before a status' word."""
    return _MARKS.get(status, "·")


def cell_label(cell: CellData) -> str:
    """A cell's state in one word."""
    if cell["status"] == "completed":
        return "recomputed" if cell["decision"] == "recomputed" else "ran"
    return cell["status"]


def step_counts(counts: Counts) -> str:
    """Counts in words, only those that are not zero: "8 restored, 4 ran, 1 failed"."""
    parts = (
        ("restored", counts["restored"]),
        ("ran", counts["completed"]),
        ("running", counts["running"] - counts["retrying"]),
        ("retrying", counts["retrying"]),
        ("failed", counts["failed"]),
        ("canceled", counts["canceled"]),
        ("in doubt", counts["in_doubt"]),
    )
    return ", ".join(f"{number(value)} {word}" for word, value in parts if value)


def title(header: Header) -> str:
    """What the picture is of: the notebook's name, or the run's id."""
    notebook = header["notebook"]
    return PurePath(notebook).name if notebook else f"run {header['run_id']}"


def summary(header: Header) -> list[str]:
    """The header's facts, in order of interest."""
    running = header["now"] - header["running_since"] if header["running_since"] else 0
    facts = [duration(header["busy"] + running)]
    steps = header["steps"]
    if steps["total"]:
        facts.append(f"{number(steps['total'])} steps: {step_counts(steps)}")
    if header["cells_restored"]:
        facts.append(f"{header['cells_restored']} of {header['cells']} cells restored")
    tokens = header["input_tokens"] + header["output_tokens"]
    if tokens:
        facts.append(f"{number(tokens)} tokens")
    if header["cost"]:
        facts.append(f"cost {header['cost']:.4g}")
    if saved := _saved(header):
        facts.append(f"saved {saved}")
    if header["state"] == "running":
        now = datetime.fromtimestamp(header["now"] / 1e9).astimezone()
        facts.append(f"as of {now:%H:%M:%S}")
    return facts


def _saved(header: Header) -> str:
    parts = [duration(header["saved"])] if header["saved"] >= 1_000_000 else []
    if header["saved_tokens"]:
        parts.append(f"{number(header['saved_tokens'])} tokens")
    if header["saved_cost"]:
        parts.append(f"cost {header['saved_cost']:.4g}")
    return ", ".join(parts)
