"""The view state: what events add up to, and that the order of looking at them does not matter."""

from __future__ import annotations

import view_events as e
from hypothesis import given
from hypothesis import strategies as st

from evercell import events as ev
from evercell_widgets.snapshot import Snapshot, snapshot
from evercell_widgets.texts import preview
from evercell_widgets.view import FOLDS, RunView, apply, apply_all

# What the view does not show.
PASSED_OVER: set[type[ev.Event]] = {
    ev.AttributesSet, ev.CancelSent, ev.CellAccepted, ev.CellForgotten, ev.CellVerified,
    ev.ChildFinished, ev.ChildStarted, ev.CommandReceived, ev.DeliveryReported,
    ev.HeartbeatRecorded, ev.MarkerRecorded, ev.ScheduleFired, ev.ScheduleSet,
    ev.SignalSent, ev.UpdateAccepted,
    ev.UpdateCompleted,
}  # fmt: skip
NOW = 1_700_000_100 * 10**9


def picture(*events: ev.Event, limit: int = 12) -> Snapshot:
    view = RunView()
    apply_all(view, events)
    return snapshot(view, now=NOW, limit=limit)


STEPS = st.sampled_from(["s0", "s1", "s2", "s3"])
CELLS = st.sampled_from(["c0", "c1", "c2"])
# Any event at any time, also ones that no engine would write in that order.
EVENTS = st.lists(
    st.one_of(
        st.integers(1, 3).map(e.attached),
        st.builds(e.cell_started, CELLS, st.sampled_from(["id:a", "id:b"])),
        st.builds(e.cell_restored, CELLS, CELLS, st.sampled_from(["id:a", "id:b"])),
        CELLS.map(e.cell_completed),
        st.builds(e.cell_failed, CELLS, interrupted=st.booleans()),
        st.builds(e.step_started, STEPS, CELLS, st.sampled_from(["ask", "fetch"])),
        st.builds(e.attempt_started, STEPS, CELLS),
        STEPS.map(e.attempt_failed),
        STEPS.map(e.step_completed),
        STEPS.map(e.step_failed),
        STEPS.map(e.step_canceled),
        st.builds(e.answered, CELLS, STEPS, STEPS),
        STEPS.map(e.used),
    ),
    max_size=40,
)


@given(EVENTS)
def test_counts_never_go_below_zero_and_add_up(events: list[ev.Event]) -> None:
    for cell in picture(*events)["cells"]:
        for counts in (cell["steps"], *(group["counts"] for group in cell["groups"])):
            kinds = ("completed", "restored", "running", "failed", "canceled", "in_doubt")
            numbers = [counts[kind] for kind in kinds]  # type: ignore[literal-required]
            assert min(numbers) >= 0
            assert counts["total"] == sum(numbers)


def test_every_event_is_known_to_the_view() -> None:
    view = RunView()
    for number, event in enumerate(
        [
            ev.RunStarted("run1", 1, "notebook", "/n/a.ipynb", {}, "cpython-311", "0.1.0"),
            e.attached(), e.cell_started("c1"), e.step_started("s1", "c1"), e.attempt_failed("s1"),
            e.attempt_started("s1", "c1"), e.used("s1"), e.step_completed("s1"),
            e.step_started("s2", "c1"), e.step_failed("s2"), e.step_started("s3", "c1"),
            e.step_canceled("s3"), e.answered("c1", "s1"), e.cell_completed("c1"),
            e.cell_restored("c2", "c1"), e.cell_failed("c3"), ev.RunDetached("run1", 2, 1),
            ev.RunFinished("run1", 3, "failed"),
        ], start=1,
    ):  # fmt: skip
        apply(view, event)
        assert view.revision == number
    assert view.state == "failed"


def test_the_view_has_an_answer_to_every_event_or_passes_over_it_on_purpose() -> None:
    assert set(ev.EVENT_TYPES.values()) == FOLDS.keys() | PASSED_OVER
    assert not FOLDS.keys() & PASSED_OVER


def test_a_kernel_that_died_leaves_cell_and_step_in_doubt() -> None:
    (cell,) = picture(*e.killed_at_step(8))["cells"]
    assert cell["status"] == "in doubt"
    assert (cell["steps"]["completed"], cell["steps"]["in_doubt"]) == (8, 1)
    assert cell["shown"][-1]["status"] == "in doubt"


def test_the_next_execution_counts_what_the_history_answered() -> None:
    events = [
        *e.killed_at_step(8), e.cell_started("c2"), e.answered("c2", *(f"s{n}" for n in range(8))),
        e.attempt_started("s8", "c2"),
    ]  # fmt: skip
    half = picture(*events)
    assert half["header"]["state"] == "running"
    assert (half["cells"][0]["steps"]["restored"], half["cells"][0]["steps"]["running"]) == (8, 1)
    whole = picture(*events, e.step_completed("s8"), e.cell_completed("c2"))
    (cell,) = whole["cells"]
    assert cell["status"] == "completed"
    assert (cell["steps"]["restored"], cell["steps"]["completed"]) == (8, 1)
    assert (cell["saved"], whole["header"]["saved_tokens"]) == (8 * 30 * e.MS, 8 * 110)
    last = cell["shown"][-1]
    assert (last["id"], last["attempts"], last["status"]) == ("s8", 2, "completed")


def test_a_restored_cell_shows_the_steps_of_its_origin_as_restored() -> None:
    whole = picture(
        e.attached(), e.cell_started("c1"), e.step_started("s1", "c1"), e.used("s1"),
        e.step_completed("s1"), e.cell_completed("c1"), e.attached(2), e.cell_restored("c2", "c1"),
    )  # fmt: skip
    (cell,) = whole["cells"]
    assert (cell["status"], cell["decision"], cell["saved"]) == ("restored", "restored", 900 * e.MS)
    assert (cell["steps"]["restored"], cell["steps"]["total"]) == (1, 1)
    assert cell["shown"][0]["status"] == "restored"
    assert whole["header"]["cells_restored"] == 1
    assert whole["header"]["saved_tokens"] == 110


def test_a_finished_cell_that_the_new_kernel_has_not_reached_is_recorded() -> None:
    (cell,) = picture(e.attached(), e.cell_started("c1"), e.cell_completed("c1"), e.attached(2))[
        "cells"
    ]
    assert cell["status"] == "recorded"


def test_steps_answered_from_an_unseen_part_of_the_history_are_counted() -> None:
    (cell,) = picture(e.attached(2), e.cell_started("c2"), e.answered("c2", "x1", "x2"))["cells"]
    assert cell["steps"]["restored"] == 2


def test_a_failure_answered_from_the_history_stays_a_failure() -> None:
    (cell,) = picture(
        e.attached(), e.cell_started("c1"), e.step_started("s1", "c1"), e.step_failed("s1"),
        e.attached(2), e.cell_started("c2"), e.answered("c2", "s1"),
    )["cells"]  # fmt: skip
    assert (cell["steps"]["failed"], cell["steps"]["restored"]) == (1, 0)


def test_what_runs_and_what_failed_is_shown_before_what_ended() -> None:
    events = [e.attached(), e.cell_started("c1")]
    for n in range(200):
        events += [e.step_started(f"s{n}", "c1"), e.step_completed(f"s{n}")]
    events += [e.step_started("bad", "c1"), e.step_failed("bad"), e.step_started("now", "c1")]
    (cell,) = picture(*events, limit=4)["cells"]
    assert [step["id"] for step in cell["shown"]] == ["s198", "s199", "bad", "now"]
    assert cell["steps"]["total"] == 202


def test_cells_stand_in_the_notebooks_order() -> None:
    whole = picture(e.cell_started("c1", "id:b", index=7), e.cell_started("c2", "id:a", index=2))
    assert [cell["slot"] for cell in whole["cells"]] == ["id:a", "id:b"]


def test_a_preview_is_the_first_telling_line() -> None:
    assert preview("# why\n\nx = 1\ny = 2") == "x = 1"
    assert preview("import os\nfrom a import b\nrun(b)") == "run(b)"
    assert preview("import os\nimport sys") == "import os"
    assert preview("# only this") == "# only this"
    assert preview("@step(retry=3)\ndef ask(q: str) -> str:\n    ...") == "def ask(q: str) -> str:"
    assert preview("") == ""
    assert preview("x" * 500, 10) == "x" * 9 + "…"


def test_many_steps_do_not_slow_it_down() -> None:
    """The last steps cost what the first did, and so does a picture."""
    view = RunView()
    apply_all(view, [e.attached(), e.cell_started("c1")])

    def steps(first: int, last: int) -> list[ev.Event]:
        return [
            event
            for n in range(first, last)
            for event in (e.step_started(f"s{n}", "c1"), e.step_completed(f"s{n}"))
        ]

    def cost(first: int) -> tuple[int, int]:
        events = steps(first, first + 100)
        folding = e.calls(lambda: apply_all(view, events))
        snapshot(view, now=NOW)  # texts that it shortens are remembered
        return folding, e.calls(lambda: snapshot(view, now=NOW))

    apply_all(view, steps(0, 100))
    early = cost(100)
    apply_all(view, steps(200, 20_000))
    assert cost(20_000) == early
    whole = snapshot(view, now=NOW)
    assert whole["cells"][0]["steps"]["completed"] == 20_100
    assert len(whole["cells"][0]["shown"]) == 12
