"""The arithmetic of the benchmarks: pure functions over the rounds' figures."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Literal, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Spread",
    "Target",
    "another_round",
    "differences",
    "ratios",
    "rotated",
    "spread",
    "steady",
]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds: its median, and its quartiles (the extremes below four rounds)."""

    median: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure should be: at most `limit`, or at least."""

    limit: float
    of: Literal["ratio", "difference", "value"]  # the first two against the subject's baseline
    unit: str = ""
    at_least: bool = False

    def met(self, figure: float) -> bool:
        """Whether `figure` satisfies the target."""
        return figure >= self.limit if self.at_least else figure <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        number = f"{self.limit:,g}"
        match self.of:
            case "ratio":
                return f"{sign} {number} x"
            case "difference":
                return f"{sign} {number} {self.unit} more"
            case "value":
                return f"{sign} {number} {self.unit}"


def spread(figures: Sequence[float]) -> Spread:
    """Median and quartiles. Raises ValueError without figures."""
    if not figures:
        raise ValueError("no figures, so there is no median")
    ordered = sorted(figures)
    if len(ordered) < 4:
        return Spread(median(ordered), ordered[0], ordered[-1])
    return Spread(median(ordered), _quantile(ordered, 0.25), _quantile(ordered, 0.75))


def steady(figures: Sequence[float]) -> bool:
    """Whether half of the rounds agree within a factor of two: a baseline that does not says more
    of what else the machine did than of what is compared with it."""
    found = spread(figures)
    return found.high <= 2 * found.low


def ratios(figures: Sequence[float], baseline: Sequence[float]) -> Spread:
    """How many times the baseline a contender needs, compared round by round."""
    return spread([a / b for a, b in zip(figures, baseline, strict=True)])


def differences(figures: Sequence[float], baseline: Sequence[float]) -> Spread:
    """How much more than the baseline a contender needs, compared round by round."""
    return spread([a - b for a, b in zip(figures, baseline, strict=True)])


def another_round(done: int, least: int, spent: float, allowed: float, last: float) -> bool:
    """Whether there is time for a round like the last one, which took `last` seconds; at least
    `least` are made in any case."""
    return done < least or spent + last <= allowed


def rotated(items: Sequence[T], round_number: int) -> list[T]:
    """`items` beginning with another one each round, so that each takes each place in turn."""
    if not items:
        return []
    first = round_number % len(items)
    return [*items[first:], *items[:first]]


def _quantile(ordered: Sequence[float], share: float) -> float:
    """Linear interpolation between the neighbours of the place `share` of the way along."""
    place = share * (len(ordered) - 1)
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)
