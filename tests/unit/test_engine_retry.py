from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evercell.engine.durations import seconds
from evercell.engine.retry import GiveUp, Retry, RetryPolicy, next_attempt, retry_after
from evercell.errors import UsageError


def failure(**headers: str) -> Exception:
    error = RuntimeError("busy")
    error.response = SimpleNamespace(headers={k.replace("_", "-"): v for k, v in headers.items()})
    return error


def test_defaults_are_temporals() -> None:
    policy = RetryPolicy()
    assert [policy.interval(n) for n in (1, 2, 3)] == [1.0, 2.0, 4.0]
    assert policy.interval(50) == 100.0  # 100 x initial_interval
    assert next_attempt(policy, 10_000, ValueError()) == Retry(100.0)


def test_maximum_attempts_counts_the_first() -> None:
    policy = RetryPolicy(maximum_attempts=3, initial_interval="10ms")
    assert isinstance(next_attempt(policy, 2, ValueError()), Retry)
    assert next_attempt(policy, 3, ValueError()) == GiveUp("maximum_attempts=3 reached")


@pytest.mark.parametrize("kind", ["LookupError", "builtins.KeyError", KeyError])
def test_non_retryable_names_cover_bases(kind: object) -> None:
    policy = RetryPolicy(non_retryable_error_types=[kind])
    assert isinstance(next_attempt(policy, 1, KeyError("x")), GiveUp)
    assert isinstance(next_attempt(policy, 1, ValueError("x")), Retry)


def test_server_decides_the_wait() -> None:
    policy = RetryPolicy(initial_interval=1)
    assert next_attempt(policy, 1, failure(retry_after="7")) == Retry(7.0)
    assert next_attempt(policy, 1, failure(retry_after="7", retry_after_ms="250")) == Retry(0.25)


def test_retry_after_date() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    assert retry_after(failure(retry_after="Thu, 01 Jan 2026 00:00:05 GMT"), now=now) == 5.0
    assert retry_after(failure(retry_after="soon"), now=now) is None
    assert retry_after(ValueError("no response")) is None


@given(
    st.floats(0.001, 100),
    st.floats(1, 10),
    st.integers(1, 5000),
)
def test_interval_never_shrinks_nor_passes_its_limit(
    first: float, coefficient: float, attempt: int
) -> None:
    policy = RetryPolicy(initial_interval=first, backoff_coefficient=coefficient)
    now, later = policy.interval(attempt), policy.interval(attempt + 1)
    assert 0 < now <= later <= 100 * first


@pytest.mark.parametrize(
    "options",
    [
        {"initial_interval": 0},
        {"backoff_coefficient": 0.5},
        {"maximum_interval": 1, "initial_interval": 2},
        {"maximum_attempts": -1},
        {"initial_interval": "soon"},
    ],
)
def test_senseless_policies_are_refused(options: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        RetryPolicy(**options)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("500ms", 0.5),
        ("2m", 120),
        ("1h 30m", 5400),
        ("3d", 259200),
        (2.5, 2.5),
        (timedelta(minutes=1), 60),
    ],
)
def test_durations(value: object, expected: float) -> None:
    assert seconds(value) == expected


@pytest.mark.parametrize("value", ["", "2", "2 minutes", "m", -1, True, None, float("inf")])
def test_no_durations(value: object) -> None:
    with pytest.raises(UsageError):
        seconds(value)
