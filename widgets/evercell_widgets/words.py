"""How numbers and states read, the same in HTML and plain text; `static/run.js` repeats it."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evercell_widgets.counts import Counts
    from evercell_widgets.snapshot import CellData, Header, RunData

__all__ = [
    "cell_label", "cell_word", "duration", "facts", "mark", "moment", "money", "number", "progress",
    "roughly", "run_line", "spent", "step_counts", "step_word", "summary", "ticking",
]  # fmt: skip

_MARKS = {
    "running": "●",
    "retrying": "◌",
    "completed": "✓",
    "restored": "↺",
    "recorded": "·",
    "failed": "✗",
    "interrupted": "✗",
    "canceled": "-",
    "in doubt": "?",
    "waiting": "◷",
    "blocked": "✗",
    "stopped": "?",
    "terminated": "-",
    "timed out": "✗",
    "continued as new": "✓",
    "approved": "✓",
    "rejected": "✗",
    "received": "✓",
    "fired": "✓",
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


def ticking(nanoseconds: int) -> str:
    """A time that grows or shrinks: in whole seconds, so that it does not flicker."""
    if nanoseconds < 59_950_000_000:
        return f"{max(0, nanoseconds // 1_000_000_000)} s"
    return duration(nanoseconds)


def roughly(nanoseconds: int) -> str:
    """A time to come, as far as it can be known: "4 s", "2 min", "3 h 10 min"."""
    seconds = max(1, round(nanoseconds / 1e9))
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{round(seconds / 60)} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02} min"


def progress(counts: Counts) -> str:
    """Steps that run no more of those there are, or will be: "12 / 40"."""
    ended = counts["total"] - counts["running"] - counts["in_doubt"]
    return f"{number(ended)} / {number(counts['planned'] or counts['total'])}"


def number(value: int) -> str:
    """An integer with narrow no-break spaces between thousands."""
    return f"{value:,}".replace(",", "\u202f")


def money(value: float) -> str:
    """An amount in the currency of the user's price table."""
    return f"{value:.2f}" if value >= 1 else f"{value:.3g}"


def mark(status: str) -> str:
    """One character that stands before a status' word."""
    return _MARKS.get(status, "·")


def cell_label(cell: CellData) -> str:
    """A cell's state in one word."""
    return cell_word(cell["status"], cell["decision"])


def cell_word(status: str, decision: str) -> str:
    """A cell's state in one word."""
    if status == "completed":
        return "recomputed" if decision == "recomputed" else "ran"
    return status


def step_word(status: str) -> str:
    """A step's state in one word."""
    return "ran" if status == "completed" else status


def moment(at: int) -> str:
    """A time here, with its date: a run may go on for days."""
    return f"{datetime.fromtimestamp(at / 1e9).astimezone():%Y-%m-%d %H:%M:%S}"


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


def run_line(run: RunData) -> str:
    """A workflow's run in one line."""
    words = [f"{mark(run['status'])} {run['workflow_id']}", run["status"], *run["waits"]]
    if run["due"] is not None:
        words.append(f"until {moment(run['due'])}")
    if run["error"]:
        words.append(run["error"])
    return " · ".join(words)


def summary(header: Header) -> list[str]:
    """The header's facts, in order of interest."""
    told = [*spent(header), *_steps(header["steps"]), *facts(header)]
    if header["state"] == "running":
        now = datetime.fromtimestamp(header["now"] / 1e9).astimezone()
        told.append(f"as of {now:%H:%M:%S}")
    return told


def spent(header: Header) -> list[str]:
    """How long it took so far, and perhaps how long it will."""
    running = header["now"] - header["running_since"] if header["running_since"] else 0
    told = [duration(header["busy"] + running)]
    if header["eta"] is not None:
        told.append(f"about {roughly(header['eta'])} left")
    return told


def _steps(steps: Counts) -> list[str]:
    if not steps["total"]:
        return []
    planned = f" of {number(steps['planned'])}" if steps["planned"] else ""
    return [f"{number(steps['total'])}{planned} steps: {step_counts(steps)}"]


def facts(header: Header) -> list[str]:
    """What it cost, and what the history saved."""
    told = []
    if header["approvals"]:
        told.append(f"{number(header['approvals'])} waiting for you")
    if header["runs"]["total"]:
        told.append(f"workflow runs: {step_counts(header['runs'])}")
    if header["cells_restored"]:
        told.append(f"{header['cells_restored']} of {header['cells']} cells restored")
    tokens = header["input_tokens"] + header["output_tokens"]
    if tokens:
        told.append(f"{number(tokens)} tokens")
    if header["cost"]:
        told.append(f"cost {money(header['cost'])}")
    if saved := _saved(header):
        told.append(f"saved {saved}")
    return told


def _saved(header: Header) -> str:
    parts = [duration(header["saved"])] if header["saved"] >= 1_000_000 else []
    if header["saved_tokens"]:
        parts.append(f"{number(header['saved_tokens'])} tokens")
    if header["saved_cost"]:
        parts.append(f"cost {money(header['saved_cost'])}")
    return ", ".join(parts)
