"""Values as people read them: durations, times, numbers, JSON. Pure; tables in a notebook and on a
terminal show the same text."""

from __future__ import annotations

import json
import math
import re
from datetime import datetime, timedelta
from decimal import Decimal

__all__ = ["NULL", "abridged", "as_duration", "as_text", "clipped", "exact", "is_number"]

_NUMBER = re.compile(
    r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|DOUBLE|FLOAT|DECIMAL(\(.*\))?|BIGNUM|INTERVAL"
)
_ITEMS = 5  # of a long list inside JSON
_PARSED = 100_000  # characters of JSON; beyond it, making it shorter takes too long

NULL = "NULL"  # as people know it from SQL, so that it can't be taken for an empty text


def is_number(kind: str) -> bool:
    """Whether a column of DuckDB's type `kind` is set to the right."""
    return _NUMBER.fullmatch(kind.upper()) is not None


def as_text(value: object, kind: str = "", *, limit: int = 200) -> str:
    """A value of DuckDB's type `kind` as a table's cell shows it; JSON and bytes in `limit`
    characters, texts whole."""
    match value:
        case str():
            return _abridged_text(value, limit) if kind == "JSON" else value
        case bytes():
            return clipped(value.hex(), limit)
        case dict() | list() | tuple():
            return abridged(value, limit)
        case _:
            return _scalar(value)


def _scalar(value: object) -> str:
    match value:
        case None:
            return NULL
        case bool():
            return str(value).lower()
        case int() | float() | Decimal():
            return _number(value)
        case datetime():
            return _local(value).isoformat(" ", "seconds")[:19]
        case timedelta():
            return as_duration(value.total_seconds())
        case _:
            return str(value)


def exact(value: object) -> str | None:
    """What `as_text` leaves out of a time or a duration; None where it leaves out nothing."""
    match value:
        case datetime():
            return _local(value).isoformat(" ", "microseconds")
        case timedelta():
            return f"{value.total_seconds():.6f} s"
        case _:
            return None


def as_duration(seconds: float) -> str:
    """250 µs, 3 ms, 8.2 s, 2 min 05 s, 3 h 10 min, 4 d 06 h."""
    if seconds < 0:
        return f"-{as_duration(-seconds)}"
    if seconds < 59.95:
        return _short_duration(seconds)
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    return f"{hours // 24} d {hours % 24:02d} h"


def _short_duration(seconds: float) -> str:
    if 0 < seconds < 0.000_999_5:
        return f"{seconds * 1_000_000:.0f} µs"
    return f"{seconds * 1000:.0f} ms" if seconds < 0.9995 else f"{seconds:.1f} s"


def clipped(text: str, limit: int) -> str:
    """`text` in at most `limit` characters."""
    return text if len(text) <= limit else text[: max(limit - 1, 0)] + "…"


def abridged(value: object, limit: int) -> str:
    """`value` as JSON in at most `limit` characters: long texts inside it are cut before its
    structure is."""
    text = _json(value)
    for part in (limit // 2, limit // 4, 24, 12):
        if len(text) <= limit:
            return text
        text = _json(_shortened(value, part))
    return clipped(text, limit)


def _abridged_text(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    if len(text) > _PARSED:
        return clipped(text, limit)
    try:
        return abridged(json.loads(text), limit)
    except (ValueError, RecursionError):
        return clipped(text, limit)


def _shortened(value: object, part: int) -> object:
    match value:
        case str():
            return clipped(value, part)
        case dict():
            return {name: _shortened(item, part) for name, item in value.items()}
        case list() | tuple():
            items = [_shortened(item, part) for item in value[:_ITEMS]]
            left = len(value) - len(items)
            return [*items, f"… {left:,} more"] if left else items
        case _:
            return value


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=_scalar)


def _local(value: datetime) -> datetime:
    return value.astimezone() if value.tzinfo is not None else value


def _number(value: float | Decimal) -> str:
    if isinstance(value, Decimal):
        return f"{value:,f}"
    if not math.isfinite(value):
        return str(value)
    whole = value == int(value)
    if abs(value) < 10_000:
        return str(int(value)) if whole else f"{value:.6g}"
    if isinstance(value, float) and abs(value) >= 1e15:
        return f"{value:.6g}"
    return f"{value:,.0f}" if whole and isinstance(value, float) else _grouped(value)


def _grouped(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
