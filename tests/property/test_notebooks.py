"""Random notebooks under Evercell do what plain execution does, and pay for nothing twice."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from evercell.cell import proof
from property.notebooks import PRELUDE, plans
from property.play import play

_SETTINGS = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def check(plan: dict[str, Any]) -> None:
    play([*PRELUDE, *plan["cells"]], plan["actions"], ids=plan["ids"])


@given(plan=plans)
@settings(_SETTINGS, max_examples=200, derandomize=True)
def test_as_plain_execution(plan: dict[str, Any]) -> None:
    check(plan)


def check_tried(plan: dict[str, Any]) -> None:
    """Whatever is not known to come back is tried in a copy of the process, however small."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(proof, "_HEAVY", (0, 0))
        check(plan)


@given(plan=plans)
@settings(_SETTINGS, max_examples=10, derandomize=True)
def test_as_plain_execution_while_values_are_tried(plan: dict[str, Any]) -> None:
    check_tried(plan)


@pytest.mark.soak
@given(plan=plans)
@settings(_SETTINGS, max_examples=500)
def test_at_length_while_values_are_tried(plan: dict[str, Any]) -> None:
    check_tried(plan)


@pytest.mark.soak
@given(plan=plans)
@settings(_SETTINGS, max_examples=2000)
def test_as_plain_execution_at_length(plan: dict[str, Any]) -> None:
    check(plan)
