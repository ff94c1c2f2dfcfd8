"""What becomes of a tutorial whose kernel is killed again and again.

plain        ipykernel runs it
undisturbed  Evercell runs it
killed       kernel 1 runs cell 0, begins cell 1, kill -9; kernel 2 runs all from the top: cell 0 is
             restored, cell 1 runs to its end, cell 2 begins, kill -9; and so on to the last cell.
             A cell whose large values were not yet known to come back runs again, with what read
             them
last         one more kernel gets the finished notebook and is told to run all
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from notebooks import Cell, Notebook, run_all, shown

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from .catalogue import Tutorial

__all__ = ["Trial", "attempt", "summary"]

_VARYING = re.compile(
    r"0x[0-9a-f]{6,}"  # addresses
    r"|[\d.?]+(?:it|B|bytes|\w?[iB])/s|[\d:?]+<[\d:?]+|\d+:\d\d\b"  # tqdm's clock
    r"|[\w-]{8}-[\w-]{4}-[\w-]{4}-[\w-]{4}-[\w-]{12}"  # random ids in HTML
    r"|<dc:date>[^<]*|\bm[0-9a-f]{10}\b"  # of an SVG: its time, and names of its parts
    r"|\b(?:id|href)=\"[^\"]*\"|url\(#\w+\)"
)
# That a cell was restored is written without waiting; that one ran is durable, and all before it.
# What is being tried beside the kernel is known then, too. It must not look as if it could reach
# any variable (`__import__` does): then cells that wait would run for it.
_RECORDED = (
    "# evercell: volatile\n"
    "from evercell.engine.session import current_session\n"
    "current_session().cells.verifying.close(60)"
)
_UNVERIFIED = "its kernel ended before it was known whether what it made comes back"
_LIMIT = 180  # seconds for a cell
_ENVIRONMENT = {"PYTHONHASHSEED": "0", "COLUMNS": "80"}  # sympy's sums come in the order of sets


@dataclass
class Trial:
    """What was seen of one tutorial."""

    name: str
    cells: list[str]
    kernels: int = 0
    failed: set[int] = field(default_factory=set)  # cells that raise in plain ipykernel, too
    different: list[str] = field(default_factory=list)  # from plain ipykernel
    changed: list[str] = field(default_factory=list)  # from what the same cell showed before
    repeated: list[str] = field(default_factory=list)  # finished cells that ran again
    decided: list[tuple[str, str]] = field(default_factory=list)  # the last kernel's, per cell

    @property
    def counts(self) -> Counter[str]:
        """How many cells the last kernel restored, recomputed, executed."""
        return Counter(decision for decision, _ in self.decided)

    @property
    def reasons(self) -> dict[str, int]:
        """Why cells were not restored, and how many."""
        return dict(Counter(reason for decision, reason in self.decided if decision != "restored"))


def attempt(tutorial: Tutorial, folder: Path, kills: Iterable[int] | None = None) -> Trial:
    """Run the tutorial in all ways; killed after each cell, or after those in `kills`."""
    sources = tutorial.cells()
    cells = [Cell(source, f"cell-{n}") for n, source in enumerate(sources)]
    trial = Trial(tutorial.name, sources)
    with Notebook(folder / "plain", env=_ENVIRONMENT).plain() as k:
        plain = run_all(k, cells, timeout=_LIMIT)
    trial.failed = {n for n, answer in enumerate(plain) if answer.reply["status"] != "ok"}
    expected = [_normal(shown(answer)) for answer in plain]
    with Notebook(folder / "undisturbed", env=_ENVIRONMENT).kernel() as k:
        for n, answer in enumerate(run_all(k, cells, timeout=_LIMIT)):
            _compare(trial.different, f"undisturbed, cell {n}", shown(answer), expected[n])
    _kill_and_go_on(trial, Notebook(folder / "killed", env=_ENVIRONMENT), cells, expected, kills)
    return trial


def _kill_and_go_on(
    trial: Trial, notebook: Any, cells: list[Cell], expected: list[Any], kills: Iterable[int] | None
) -> None:
    before: dict[int, list[Any]] = {}
    last = len(cells) - 1
    stops = [*(k for k in (range(last) if kills is None else kills) if k < last), last, last]
    finished = -1
    for stop in stops:
        with notebook.kernel() as k:
            answers = run_all(k, cells[: stop + 1], timeout=_LIMIT)
            if stop < last:
                following = cells[stop + 1]
                k.wait_for_status(k.send(following.source, {"cellId": following.id}))
            else:
                k.run(_RECORDED)
        trial.kernels += 1
        shows = [_without_notes(shown(answer)) for answer in answers]
        for n, now in enumerate(shows):
            place = f"kernel {trial.kernels}, cell {n}"
            _compare(trial.different, place, now, expected[n])
        decided = _decisions(notebook)
        for n in range(finished + 1):
            decision, reason = decided[f"cell-{n}"]
            place, now = f"kernel {trial.kernels}, cell {n}", shows[n]
            if decision == "restored" and now != before[n]:
                trial.changed.append(f"{place}: {now!r}, before {before[n]!r}"[:2000])
            if (
                decision == "executed"
                and reason != _UNVERIFIED
                and n not in trial.failed | _behind(decided, n, trial.failed)
            ):
                trial.repeated.append(f"{place}: {reason}")
        before |= dict(enumerate(shows))
        finished = stop
    trial.decided = [decided[cell.id or ""] for cell in cells]


def _without_notes(messages: list[Any]) -> list[Any]:
    """Without what Evercell itself tells on stderr, which belongs to no cell's outputs."""
    found = []
    for message in messages:
        if message[:2] == ("stream", "stderr"):
            text = re.sub(r"^evercell: .*\n", "", message[2], flags=re.MULTILINE)
            found += [("stream", "stderr", text)] if text else []
        else:
            found.append(message)
    return found


def _behind(decided: dict[str, tuple[str, str]], cell: int, failed: set[int]) -> set[int]:
    """The cell itself, if it is stale behind one that is made anew or fails again: a temporary
    folder has another name each time, and what lies in it is another file."""
    before = [decided[f"cell-{n}"] for n in range(cell)]
    anew = any(how == "recomputed" or why == _UNVERIFIED for how, why in before)
    stale = decided[f"cell-{cell}"][1].startswith("stale: ")
    return {cell} if (anew or min(failed, default=cell) < cell) and stale else set()


def _decisions(notebook: Any) -> dict[str, tuple[str, str]]:
    rows = notebook.rows(
        "SELECT cell_id, decision, coalesce(reason, '') FROM cells "
        "WHERE generation = (SELECT max(generation) FROM cells) ORDER BY started_at"
    )
    return {cell_id: (decision, reason) for cell_id, decision, reason in rows}


def _compare(into: list[str], place: str, now: Any, expected: Any) -> None:
    found = _normal(now)
    if found != expected:
        into.append(f"{place}: {_first_difference(found, expected)}")


def _first_difference(one: Any, other: Any) -> str:
    a, b = repr(one), repr(other)
    at = next((n for n, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), len(a))
    begin = max(0, at - 60)
    return f"...{a[begin : at + 200]}\n  expected ...{b[begin : at + 200]}"


def _normal(value: Any) -> Any:
    """Without addresses, clocks and random ids."""
    match value:
        case str():
            return _VARYING.sub("~", value)
        case dict():
            return {key: _normal(each) for key, each in value.items()}
        case list() | tuple():
            return [_normal(each) for each in value]
        case _:
            return value


def summary(trials: Iterable[Trial]) -> str:
    """One line for each, for people."""
    lines = []
    for trial in trials:
        counts = ", ".join(f"{n} {decision}" for decision, n in trial.counts.items())
        lines.append(
            f"{trial.name}: {len(trial.cells)} cells, {trial.kernels} kernels; {counts}; "
            f"{len(trial.different)} different, {len(trial.changed)} changed, "
            f"{len(trial.repeated)} repeated"
        )
    return "\n".join(lines)
