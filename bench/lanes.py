"""The race: lanes measured in interleaved rounds, whatever a measurement is.

    race(lanes, rounds, measure) -> a section: warm-up, then every lane once a round, order rotated,
                                    as many rounds as the subject's share of the time allows

A lane whose package is not installed, or that fails, stays in the table and says so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib.util import find_spec
from time import perf_counter
from typing import TYPE_CHECKING, Any, Literal

from bench.results import Line, Section, judge
from bench.stats import another_round, rotated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from bench.stats import Target

__all__ = ["Lane", "LaneError", "Settings", "Subject", "race"]

WARM_UP = -1  # the number of the round that is not counted


class LaneError(Exception):
    """A contender could not be measured; the message says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How much to measure, and where."""

    quick: bool
    folder: Path  # temporary, on the disk that is measured
    say: Callable[[str], None]  # progress, for people
    seconds: float  # that the subject should take, its preparations included
    began: float = field(default_factory=perf_counter)

    def choose(self, quick: int, full: int) -> int:
        """The count for this mode."""
        return quick if self.quick else full


@dataclass(frozen=True, slots=True)
class Lane:
    """A contender in a subject."""

    label: str
    contender: str  # module in bench.contenders, or a kernel's name
    arguments: dict[str, Any] = field(default_factory=dict)
    needs: str | None = None  # package that must be importable
    target: Target | None = None
    note: str = ""
    baseline: str | None = None  # instead of the subject's


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured, in which unit, and against which lane."""

    name: str
    title: str
    unit: str
    baseline: str | None = None
    compare: Literal["ratio", "difference"] = "ratio"
    least: int = 3  # rounds, whatever time they take


def race(
    subject: Subject,
    lanes: Sequence[Lane],
    rounds: int,
    measure: Callable[[Lane, int], float],
    settings: Settings,
    *,
    warm_up: bool = True,
) -> Section:
    """Measure `lanes` in at most `rounds` rounds; `measure(lane, round)` returns a figure in the
    subject's unit or raises LaneError."""
    figures: dict[str, list[float]] = {lane.label: [] for lane in lanes}
    problems = {
        lane.label: "not installed" for lane in lanes if lane.needs and not _installed(lane.needs)
    }
    for number in range(WARM_UP if warm_up else 0, rounds):
        begin = perf_counter()
        for lane in rotated(lanes, max(number, 0)):
            if lane.label in problems:
                continue
            settings.say(f"{subject.title}: round {number + 1} of {rounds}, {lane.label}")
            try:
                figure = measure(lane, number)
            except LaneError as error:
                problems[lane.label] = str(error)
            else:
                if number != WARM_UP:
                    figures[lane.label].append(figure)
        now = perf_counter()
        spent = now - settings.began
        if not another_round(number + 1, subject.least, spent, settings.seconds, now - begin):
            break

    def against(lane: Lane) -> list[float] | None:
        name = lane.baseline or subject.baseline
        return None if name is None or name in problems else figures[name]

    lines = tuple(
        _line(subject, lane, figures[lane.label], problems.get(lane.label), against(lane))
        for lane in lanes
    )
    return Section(
        subject.name,
        subject.title,
        subject.baseline,
        subject.compare,
        lines,
        round(perf_counter() - settings.began, 1),
    )


def _installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # not even its parent
        return False


def _line(
    subject: Subject,
    lane: Lane,
    rounds: list[float],
    problem: str | None,
    baseline: list[float] | None,
) -> Line:
    target = str(lane.target) if lane.target else None
    if problem is not None:
        return Line(lane.label, subject.unit, target=target, problem=problem, note=lane.note)
    if lane.target and lane.target.of != "value" and baseline is None:
        reason = f"the baseline {subject.baseline!r} could not be measured"
        return Line(lane.label, subject.unit, target=target, problem=reason, note=lane.note)
    return judge(
        lane.label,
        subject.unit,
        rounds,
        baseline=baseline,
        target=lane.target,
        note=lane.note,
    )
