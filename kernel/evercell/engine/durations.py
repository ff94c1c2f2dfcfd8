"""Durations as people write them: seconds, timedelta, or text such as "2m"."""

from __future__ import annotations

import re
from datetime import timedelta

from evercell.errors import UsageError

__all__ = ["Duration", "seconds"]

Duration = float | int | str | timedelta

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")


def seconds(value: Duration) -> float:
    """`value` in seconds.

    Text is one or more numbers with a unit, largest first by convention: "500ms", "2m", "1h 30m".
    Raises UsageError for anything else and for what is negative.
    """
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, str):
        result = _parse(value)
    elif isinstance(value, bool) or not isinstance(value, (int, float)):
        raise UsageError(
            f"{value!r} is no duration. Give seconds, a timedelta, or text such as '2m'."
        )
    else:
        result = float(value)
    if not 0 <= result < float("inf"):
        raise UsageError(f"{value!r} is no duration: it must be finite and not negative.")
    return result


def _parse(text: str) -> float:
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text).strip():
        units = ", ".join(_UNITS)
        raise UsageError(
            f"{text!r} is no duration. Write numbers with units ({units}): '90s', '1h 30m'."
        )
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
