"""The benchmarks' arithmetic. How fast anything is, is not a test's business."""

from __future__ import annotations

import pytest
from bench.stats import (
    Spread,
    Target,
    another_round,
    differences,
    ratios,
    rotated,
    spread,
    steady,
)


def test_spread_is_median_and_quartiles() -> None:
    assert spread([5, 1, 4, 2, 3]) == Spread(3, 2, 4)


def test_quartiles_are_interpolated_between_neighbours() -> None:
    assert spread([1, 2, 3, 4]) == Spread(2.5, 1.75, 3.25)


def test_few_rounds_show_their_extremes() -> None:
    assert spread([2.0]) == Spread(2.0, 2.0, 2.0)
    assert spread([9, 1, 2]) == Spread(2, 1, 9)


def test_one_disturbed_round_does_not_move_the_median() -> None:
    assert spread([1, 1, 1, 1, 1000]).median == 1


def test_no_rounds_is_an_error() -> None:
    with pytest.raises(ValueError, match="no figures"):
        spread([])


def test_a_baseline_is_steady_when_half_of_its_rounds_agree() -> None:
    assert steady([1.0, 1.1, 1.2, 1.3, 60.0])  # one stall
    assert not steady([0.15, 0.17, 0.7, 2.3, 11.9])  # an append + sync on a disk in use


def test_ratios_are_taken_within_a_round() -> None:
    # The machine was ten times slower in the second round, for both.
    assert ratios([2, 20, 2], [1, 10, 1]) == Spread(2, 2, 2)


def test_differences_are_taken_within_a_round() -> None:
    assert differences([7, 17, 7], [5, 15, 5]) == Spread(2, 2, 2)


def test_rounds_must_match() -> None:
    with pytest.raises(ValueError, match="zip"):
        ratios([1, 2], [1])


def test_rotation_gives_each_contender_each_place() -> None:
    orders = [rotated("abc", n) for n in range(4)]
    assert ["".join(order) for order in orders] == ["abc", "bca", "cab", "abc"]
    assert rotated([], 3) == []


@pytest.mark.parametrize(
    ("target", "text", "good", "bad"),
    [
        (Target(1.5, "ratio"), "≤ 1.5 x", 1.5, 1.51),
        (Target(10_000, "value", "steps/s", at_least=True), "≥ 10,000 steps/s", 10_000, 9_999),
        (Target(3, "difference", "ms"), "≤ 3 ms more", -1, 3.1),
        (Target(1, "value", "s"), "≤ 1 s", 0.99, 1.01),
    ],
)
def test_target_reads_as_it_judges(target: Target, text: str, good: float, bad: float) -> None:
    assert str(target) == text
    assert target.met(good)
    assert not target.met(bad)


def test_rounds_end_where_the_next_would_take_too_long() -> None:
    assert another_round(3, 3, spent=60, allowed=100, last=40)
    assert not another_round(3, 3, spent=61, allowed=100, last=40)
    assert another_round(2, 3, spent=500, allowed=100, last=250)  # fewer tell nothing
