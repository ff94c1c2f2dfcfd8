"""Workflows in the view: runs, what they wait for, children, questions to people."""

from __future__ import annotations

from typing import TYPE_CHECKING

import view_events as e

from evercell import events as ev
from evercell_widgets.details import Details, details_of
from evercell_widgets.frames import frame_of
from evercell_widgets.outline import Look
from evercell_widgets.snapshot import snapshot
from evercell_widgets.static import html_table, text_table
from evercell_widgets.view import RunView, apply_all, stop

if TYPE_CHECKING:
    from evercell_widgets.rows import RowData

NOW = 1_700_000_100 * 10**9
NOTEBOOK = [ev.RunStarted("run1", 1, "notebook", "/n/a.ipynb", {}, "cpython-311", "0.1.0")]


def view_of(*events: ev.Event) -> RunView:
    view = RunView()
    apply_all(view, [*NOTEBOOK, e.attached(), *events])
    return view


def rows(view: RunView, **look: object) -> list[RowData]:
    return frame_of(view, Look(**look), now=NOW)["rows"]  # type: ignore[arg-type]


def details(view: RunView, row_id: str) -> Details:
    found = details_of(view, row_id)
    assert found is not None
    return found


def test_a_run_shows_its_steps_and_its_end() -> None:
    events = [e.workflow_started("w1"), e.workflow_step("w1", "s1")]
    view = view_of(*events)
    assert [(row["kind"], row["depth"], row["status"]) for row in rows(view)] == [
        ("workflow", 0, "running"), ("step", 1, "running"),
    ]  # fmt: skip
    assert view.run_id == "run1"  # and not that of the workflow
    view = view_of(*events, e.step_done("w1", "s1"), e.workflow_finished("w1"))
    (row,) = rows(view)
    assert (row["status"], row["result"], row["text"]) == ("completed", "all good", "ducks")
    assert row["counts"] is not None
    assert row["counts"]["completed"] == 1
    header = snapshot(view, now=NOW)["header"]
    assert (header["steps"]["completed"], header["runs"]["completed"]) == (1, 1)


def test_a_run_that_only_waits_says_until_when() -> None:
    view = view_of(e.workflow_started("w1"), e.timer_started("w1", "t1", "cool down", 60))
    run, timer = rows(view)
    assert (run["status"], timer["kind"], timer["text"]) == ("waiting", "wait", "cool down")
    assert run["retry_at"] == timer["retry_at"]
    assert timer["retry_at"] is not None
    apply_all(view, [e.timer_fired("w1", "t1")])
    (row,) = rows(view)
    assert row["status"] == "running"
    assert not view.waits


def test_an_approval_is_asked_until_it_is_answered() -> None:
    view = view_of(e.workflow_started("w1"), e.approval_requested("w1", "a1", schema='{"type":1}'))
    frame = frame_of(view, Look(), now=NOW, acts=lambda run: run == "w1")
    (asked,) = frame["approvals"]
    assert (asked["prompt"], asked["asker"], asked["run"]) == ("Publish it?", "review", "w1")
    assert asked["acts"]
    assert frame["header"]["approvals"] == 1
    assert "1 waiting for you" in text_table(snapshot(view, now=NOW))
    assert "waiting for you: Publish it?" in html_table(snapshot(view, now=NOW))
    apply_all(view, [e.approval_answered("w1", "a1", approved=False)])
    assert frame_of(view, Look(), now=NOW)["approvals"] == []
    (_, wait) = rows(view)
    assert (wait["status"], wait["result"]) == ("rejected", '{"n": 3}')
    assert dict(details(view, "t:a1")["facts"])["Answered by"] == "ada"


def test_a_cell_may_ask_too() -> None:
    view = view_of(e.cell_started("c1"), e.approval_requested("run1", "a1", cell="c1"))
    cell, wait = rows(view)
    assert (cell["open"], wait["depth"], wait["label"]) == (True, 1, "approval")
    assert frame_of(view, Look(), now=NOW)["approvals"][0]["asker"] == "ask()"


def test_an_approval_that_gives_up_is_timed_out() -> None:
    view = view_of(e.workflow_started("w1"), e.approval_requested("w1", "a1"))
    apply_all(view, [e.timer_fired("w1", "a1")])
    assert rows(view)[1]["status"] == "timed out"
    assert not view.approvals


def test_children_stand_below_their_parent() -> None:
    view = view_of(
        e.workflow_started("w1"), e.workflow_started("w2", "part", parent="w1"),
        e.workflow_step("w2", "s1"),
    )  # fmt: skip
    assert [(row["id"], row["depth"]) for row in rows(view)] == [
        ("w:w1", 0), ("w:w2", 1), ("s:w2:s1", 2),
    ]  # fmt: skip
    assert snapshot(view, now=NOW)["header"]["runs"]["total"] == 1  # children are their parent's


def test_many_runs_share_a_row_that_opens() -> None:
    events = [e.workflow_started(f"w{n}") for n in range(10)]
    view = view_of(*events, e.workflow_finished("w1", "failed"), e.workflow_step("w4", "s1"))
    (group,) = rows(view)
    assert (group["kind"], group["open"], group["status"]) == ("workflows", False, "running")
    assert group["counts"] is not None
    assert (group["counts"]["total"], group["counts"]["failed"]) == (10, 1)
    opened = rows(view, open={"f:review": True})
    assert [row["id"] for row in opened[1:]] == [f"w:w{n}" for n in range(10)]
    assert [row["open"] for row in opened if row["open"] is not None] == [True, False]
    deeper = rows(view, open={"f:review": True, "w:w4": True})
    assert [row["id"] for row in deeper[4:8]] == ["w:w3", "w:w4", "s:w4:s1", "w:w5"]
    failed = rows(view, status="failed")
    assert [row["id"] for row in failed] == ["f:review", "w:w1"]
    assert [row["id"] for row in rows(view, search="w7")] == ["f:review", "w:w7"]


def test_what_no_kernel_carries_is_stopped_until_one_does() -> None:
    view = view_of(e.workflow_started("w1"), e.workflow_step("w1", "s1"))
    stop(view)
    assert rows(view)[0]["status"] == "stopped"
    apply_all(view, [ev.RunAttached("w1", 5, 2, 1, "host", None, None)])
    run, step = rows(view)
    assert (run["status"], step["status"]) == ("running", "in doubt")
    apply_all(view, [ev.RunBlocked("w1", 6, ev.ErrorInfo("NondeterminismError", "other code"))])
    assert rows(view)[0]["status"] == "blocked"
    assert "other code" in (rows(view)[0]["error"] or "")


def test_actions_fit_what_is_there() -> None:
    view = view_of(
        e.cell_started("c1"), e.step_started("s1", "c1"), e.attempt_failed("s1"),
        e.workflow_started("w1"), e.timer_started("w1", "t1"), e.approval_requested("w1", "a1"),
    )  # fmt: skip

    def deeds(row_id: str) -> list[str]:
        return [action["deed"] for action in details(view, row_id)["actions"]]

    assert deeds("s:id:a:s1") == ["retry", "skip", "cancel"]
    assert deeds("c:id:a") == ["cancel"]
    assert deeds("w:w1") == ["signal", "cancel", "terminate"]
    assert deeds("t:t1") == []  # a workflow's code is cancelled as a whole
    assert deeds("t:a1") == ["approve", "reject"]
    apply_all(view, [e.step_completed("s1"), e.cell_completed("c1"), e.workflow_finished("w1")])
    assert deeds("s:id:a:s1") == ["fork"]
    assert deeds("c:id:a") == deeds("w:w1") == []
    frame = frame_of(view, Look(inspect="w:w1"), now=NOW)
    assert frame["details"] is not None
    assert frame["details"]["actions"] == []


def test_what_takes_no_commands_is_offered_none() -> None:
    view = view_of(e.workflow_started("w1"), e.workflow_started("w2"))
    for run in ("w1", "w2"):
        frame = frame_of(view, Look(inspect=f"w:{run}"), now=NOW, acts=lambda run: run == "w1")
        assert frame["details"] is not None
        assert bool(frame["details"]["actions"]) == (run == "w1")


def test_what_costs_or_cannot_be_undone_is_asked_first() -> None:
    view = view_of(e.cell_started("c1"), e.step_started("s1", "c1"), e.attempt_failed("s1"))
    asks = {it["deed"]: it["ask"] for it in details(view, "s:id:a:s1")["actions"]}
    assert "cost" in (asks["retry"] or "")
    assert "paid" in (asks["cancel"] or "")


def test_many_sleeping_workflows_cost_a_frame_nothing_more() -> None:
    def cost(count: int) -> int:
        events: list[ev.Event] = []
        for n in range(count):
            events += [e.workflow_started(f"w{n}"), e.timer_started(f"w{n}", f"t{n}")]
        view = view_of(*events)
        assert frame_of(view, Look(), now=NOW)["total"] == 1
        return e.calls(lambda: frame_of(view, Look(), now=NOW))

    assert cost(10_000) == cost(100)
