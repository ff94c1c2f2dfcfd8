"""AWS's language-neutral cases for durable execution, on the real engine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from conformance.aws.kit import HANDLERS
from conformance.aws.matching import history_problems
from conformance.aws.report import PAGE, drive_applicable, render
from conformance.aws.suite import PACKAGE, Case, cases
from conformance.aws.verdicts import NOT_APPLICABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

CASES = cases()

pytestmark = pytest.mark.skipif(
    not CASES, reason=f"{PACKAGE} is not installed; make test does that (see the Makefile)"
)

DRIVEN = [case for case in CASES if case.id in HANDLERS]


@pytest.fixture(scope="module")
def problems(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, list[str]]]:
    """What is wrong with each case that is driven."""
    folder = tmp_path_factory.mktemp("aws")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(folder / "key"))
        patch.setenv("CONFORMANCE_LEDGER", "")
        patch.setenv("PYTHONPATH", str(PAGE.parents[1] / "tests"), prepend=":")
        yield drive_applicable(folder)


@pytest.mark.parametrize("case", DRIVEN or [None], ids=lambda case: getattr(case, "id", "none"))
def test_the_case_passes(case: Case, problems: dict[str, list[str]]) -> None:
    assert problems[case.id] == []


def test_what_differs_is_seen() -> None:
    """The comparison itself: otherwise nothing here could fail."""
    begun = {"EventType": "StepStarted", "Id": "a-1", "Name": "ask"}
    done = {"EventType": "StepSucceeded", "Id": "a-1", "StepSucceededDetails": {"Result": 7}}
    expected = [
        {"EventId": 2, "EventType": "StepStarted", "Id": "${ID}", "Name": "${/^as/}"},
        {"EventId": 3, **done, "Id": "${ID}"},
        {"EventId": 4, "EventType": "InvocationCompleted"},
    ]
    case = Case("0-0", "none", None, "SUCCEEDED", None, False, expected)
    assert history_problems(case, [begun, done]) == []
    for wrong in (
        [begun],
        [done, begun],
        [begun, done, begun],
        [begun, {**done, "Id": "a-2"}],
        [begun, {**done, "StepSucceededDetails": {"Result": 8}}],
        [{**begun, "Name": "tell"}, done],
        [{"EventType": "StepStarted", "Id": "a-1"}, done],
    ):
        assert history_problems(case, wrong) != [], wrong


def test_every_case_is_driven_or_has_a_reason_not_to_be() -> None:
    known = {case.id for case in CASES}
    assert not set(HANDLERS) & set(NOT_APPLICABLE)
    assert set(HANDLERS) | set(NOT_APPLICABLE) == known


def test_the_page_says_what_the_run_says(problems: dict[str, list[str]]) -> None:
    assert PAGE.read_text() == render(CASES, problems), (
        "write docs/conformance.md anew: PYTHONPATH=tests python -m conformance.aws.report"
    )
