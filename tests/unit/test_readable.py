from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from evercell.readable import abridged, as_duration, as_text, exact, is_number


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.00025, "250 µs"),
        (0.003, "3 ms"),
        (8.24, "8.2 s"),
        (125, "2 min 05 s"),
        (11_400, "3 h 10 min"),
        (367_000, "4 d 05 h"),
        (-0.015, "-15 ms"),
    ],
)
def test_durations(seconds: float, text: str) -> None:
    assert as_duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "NULL"),
        (True, "true"),
        (2026, "2026"),
        (1_234_567, "1,234,567"),
        (-20_000, "-20,000"),
        (3.0, "3"),
        (0.123456789, "0.123457"),
        (1_234_567.891, "1,234,567.89"),
        (20_000.0, "20,000"),
        (1e300, "1e+300"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (Decimal("1234.50"), "1,234.50"),
        (b"\x01\xff", "01ff"),
        (date(2026, 1, 2), "2026-01-02"),
        (timedelta(milliseconds=3), "3 ms"),
        ({"a": [1, None]}, '{"a": [1, null]}'),
        ({"took": timedelta(seconds=2)}, '{"took": "2.0 s"}'),
        ("text, as it is\n", "text, as it is\n"),
    ],
)
def test_values(value: object, text: str) -> None:
    assert as_text(value) == text


def test_times_are_local_and_short_and_exact_where_asked() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678900, tzinfo=UTC)
    assert as_text(at) == at.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    assert exact(at) == at.astimezone().isoformat(" ", "microseconds")
    assert as_text(at.replace(tzinfo=None)) == "2026-01-02 03:04:05"
    assert exact(timedelta(milliseconds=3)) == "0.003000 s"
    assert exact("text") is None


def test_json_keeps_its_structure_when_it_is_cut() -> None:
    value = {"prompt": "p" * 500, "model": "small", "numbers": list(range(100))}
    text = as_text(json.dumps(value), "JSON", limit=120)
    assert len(text) <= 120
    shown = json.loads(text)
    assert shown["model"] == "small"
    assert shown["prompt"].endswith("…")
    assert shown["numbers"] == [0, 1, 2, 3, 4, "… 95 more"]
    assert as_text('{"a":1}', "JSON") == '{"a":1}'
    assert as_text("x" * 500, "VARCHAR") == "x" * 500


@pytest.mark.parametrize("text", ["not json" * 50, "[" * 300, "[1,2," * 100_000])
def test_what_is_no_readable_json_is_cut(text: str) -> None:
    assert len(as_text(text, "JSON", limit=50)) == 50


def test_abridged_always_fits() -> None:
    for size in (1, 10, 100, 1000):
        assert len(abridged({str(n): "x" * size for n in range(size)}, 80)) <= 80


def test_numbers_are_told_by_their_whole_type() -> None:
    numbers = "TINYINT UBIGINT HUGEINT INTEGER DOUBLE DECIMAL(18,3) INTERVAL"
    assert all(is_number(kind) for kind in numbers.split())
    others = ["VARCHAR", "JSON", "BIGINT[]", "STRUCT(a INTEGER)", "POINT", "TIMESTAMP", "BOOLEAN"]
    assert not any(is_number(kind) for kind in others)
