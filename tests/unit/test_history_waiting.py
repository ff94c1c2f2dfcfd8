"""What SQL says about workflows: their runs, steps, timers, signals, updates, approvals,
schedules."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from history_samples import SECOND, T0, Recorder

from evercell import events as e
from evercell import step, workflow
from evercell.engine.workflow.definition import DEFINED
from evercell.history import History
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ERROR = e.ErrorInfo("builtins.ValueError", "no", "Traceback ...")


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path)
    yield history
    history.close()


@pytest.fixture
def notebook(history: History) -> Recorder:
    return Recorder(history).start().attach()


def rows(history: History, sql: str) -> list[tuple[Any, ...]]:
    return history.query(sql).rows


def one(history: History, sql: str) -> tuple[Any, ...]:
    (row,) = rows(history, sql)
    return row


def wall(nanoseconds: int) -> datetime:
    return datetime.fromtimestamp(nanoseconds / SECOND, UTC)


STATUS = "SELECT status FROM runs WHERE workflow = 'review'"


def test_a_workflows_run_lives_with_its_notebooks(
    history: History, notebook: Recorder, tmp_path: Path
) -> None:
    notebook.workflow()
    assert one(history, STATUS) == ("running",)
    history.commit(e.RunDetached(notebook.run_id, notebook.tick(), 1))
    assert one(history, STATUS) == ("stopped",)
    notebook.attach(2)
    assert one(history, STATUS) == ("running",)
    assert one(history, "SELECT generation FROM runs WHERE workflow = 'review'") == (2,)


def test_a_workflow_that_ended_stays_so(history: History, notebook: Recorder) -> None:
    flow = notebook.workflow()
    flow.finish(result=history.put(b'{"answer":42}', "json"))
    notebook.attach(2)
    assert one(
        history,
        "SELECT status, result->>'answer', error, finished_at, last_activity = finished_at "
        "FROM runs WHERE workflow = 'review'",
    ) == ("completed", "42", None, wall(flow.at), True)


@pytest.mark.parametrize("status", ["failed", "canceled", "terminated", "timed out"])
def test_a_workflow_that_ended_otherwise(
    history: History, notebook: Recorder, status: e.RunEnd
) -> None:
    notebook.workflow().finish(status, error=ERROR, reason="enough")
    assert one(
        history, "SELECT status, result, error, reason FROM runs WHERE workflow = 'review'"
    ) == (status, None, "builtins.ValueError: no", "enough")


def test_a_blocked_workflow_is_blocked_until_its_code_goes_on(
    history: History, notebook: Recorder
) -> None:
    flow = notebook.workflow()
    history.commit(e.RunBlocked(flow.run_id, flow.tick(), ERROR))
    history.commit(e.SignalReceived(flow.run_id, flow.tick(), "s-1", "go", None))
    assert one(history, STATUS) == ("blocked",)
    assert one(history, "SELECT error FROM runs WHERE status = 'blocked'") == (
        "builtins.ValueError: no",
    )
    assert [record.status for record in history.runs()] == ["running", "blocked"]
    flow.step("", slot="workflow")
    assert one(history, STATUS) == ("running",)
    assert one(history, "SELECT error FROM runs WHERE workflow = 'review'") == (None,)


def test_what_a_workflow_was_started_with(history: History, notebook: Recorder) -> None:
    flow = notebook.workflow(
        deadline=T0 + 60 * SECOND,
        parent="flow000000",
        memo='{"note":"m","old":1}',
        search_attributes='{"stage":1,"team":"red"}',
        first="flow00000a",
        continued_from="flow00000b",
        forked_from="flow00000c",
        forked_at=7,
        schedule="nightly",
    )
    history.commit(e.AttributesSet(flow.run_id, flow.tick(), "a-1", '{"stage":2}', '{"old":null}'))
    history.commit(e.AttributesSet(flow.run_id, flow.tick(), "a-2", '{"stage":3}'))
    flow.finish("continued as new", next_run="flow00000d")
    assert one(
        history,
        "SELECT workflow_id, parameters->>'topic', notebook_run, deadline, parent, memo, "
        "search_attributes->>'stage', search_attributes->>'team', first_run, continued_from, "
        "next_run, forked_from, forked_at, "
        "schedule_id, status FROM runs WHERE workflow = 'review'",
    ) == (
        "flow000001-id", "a", notebook.run_id, wall(T0 + 60 * SECOND), "flow000000",
        '{"note":"m"}', "3", "red", "flow00000a", "flow00000b", "flow00000d",
        "flow00000c", 7, "nightly", "continued as new",
    )  # fmt: skip


def test_a_workflows_steps_belong_to_the_cell_that_started_it(
    history: History, notebook: Recorder
) -> None:
    cell = notebook.cell(index=3)
    call = notebook.step(cell, name="start")
    by_call = notebook.workflow(caller=call)
    alone = notebook.workflow("flow000002")
    for flow in (by_call, alone):
        step = flow.step("", slot="workflow")
        flow.complete_step(step)
        usage = e.UsageRecorded(flow.run_id, flow.tick(), step, 1, "small", 1, 2)
        history.commit(usage)
    assert rows(
        history,
        "SELECT run_id, cell_index, cell_id, workflow, slot, status FROM steps WHERE name = 'ask'",
    ) == [
        ("flow000001", 3, "a", "review", "workflow", "completed"),
        ("flow000002", None, None, "review", "workflow", "completed"),
    ]
    assert rows(history, "SELECT run_id, cell_index FROM usage") == [
        ("flow000001", 3),
        ("flow000002", None),
    ]


def test_a_workflow_goes_on_in_its_notebooks_next_process(tmp_path: Path) -> None:
    """Its events follow those of the first process, though their positions begin anew."""
    first = History(tmp_path)
    notebook = Recorder(first).start().attach(1)
    for _ in range(20):
        notebook.cell()
    flow = notebook.workflow()
    step = flow.step("", slot="workflow")
    flow.fail_attempt(step)
    first.close()
    second = History(tmp_path)
    assert one(second, "SELECT status FROM steps") == ("retrying",)
    Recorder(second, notebook.run_id).attach(2)
    again = Recorder(second, flow.run_id)
    again.next_attempt(step, "", 2)
    second.commit()
    assert one(second, "SELECT status, attempts FROM steps") == ("running", 2)
    again.complete_step(step, attempt=2)
    assert rows(second, "SELECT status FROM attempts ORDER BY attempt") == [
        ("failed",),
        ("completed",),
    ]
    assert [type(event).__name__ for event in second.events(flow.run_id)] == [
        "RunStarted", "StepStarted", "AttemptFailed", "AttemptStarted", "StepCompleted",
    ]  # fmt: skip
    second.close()


def test_what_a_real_workflow_leaves(tmp_path: Path) -> None:
    DEFINED.clear()
    with WorkflowEnvironment(tmp_path / "flows") as env:

        @step
        async def double(x: int) -> int:
            return 2 * x

        @workflow
        async def flow(x: int) -> dict[str, int]:
            await asyncio.sleep(60)
            more = await workflow.wait_signal("more", int)
            return {"sum": await double(x) + more}

        handle = flow.start(4, id="one", search_attributes={"team": "red"})
        env.sleep(61)
        assert one(env.history, "SELECT status FROM timers") == ("fired",)
        assert one(env.history, "SELECT status FROM runs WHERE workflow_id = 'one'") == ("running",)
        handle.signal("more", 5)
        assert handle.result(30) == {"sum": 13}
        assert one(
            env.history,
            "SELECT status, result->>'sum', parameters->>'x', search_attributes->>'team' "
            "FROM runs WHERE workflow_id = 'one'",
        ) == ("completed", "13", "4", "red")
        stored = env.history.put(b"8", "json").id.hex()
        assert one(
            env.history, "SELECT name, status, result, slot, cell_index, result_id FROM steps"
        ) == (double.__qualname__, "completed", "8", "workflow", None, stored)
        assert one(env.history, "SELECT name, workflow_id FROM signals") == ("more", "one")
        ids = "SELECT input_id, result_id FROM runs WHERE workflow_id = 'one'"
        values = [env.history.result(it).payload for it in one(env.history, ids)]
        assert None not in values


def test_timers(history: History, notebook: Recorder) -> None:
    cell = notebook.cell(index=2)
    flow = notebook.workflow()
    due = T0 + 3600 * SECOND
    for name, recorder, of in (
        ("t-1", flow, ""), ("t-2", flow, ""), ("t-3", notebook, cell), ("t-4", flow, ""),
    ):  # fmt: skip
        slot = "id:a" if of else "workflow"
        event = e.TimerStarted(recorder.run_id, recorder.tick(), name, slot, "sleep", due, of)
        history.commit(event)
    fired = flow.tick()
    history.commit(e.TimerFired(flow.run_id, fired, "t-1"))
    history.commit(e.TimerCanceled(flow.run_id, flow.tick(), "t-2"))
    query = "SELECT activity_id, status, cell_index, workflow FROM timers ORDER BY activity_id"
    assert rows(history, query) == [
        ("t-1", "fired", None, "review"),
        ("t-2", "canceled", None, "review"),
        ("t-3", "waiting", 2, "notebook"),
        ("t-4", "waiting", None, "review"),
    ]
    assert one(
        history, "SELECT fires_at, ended_at, name FROM timers WHERE activity_id = 't-1'"
    ) == (wall(due), wall(fired), "sleep")
    flow.finish()
    assert rows(history, query)[3] == ("t-4", "canceled", None, "review")


def test_signals(history: History, notebook: Recorder) -> None:
    flow = notebook.workflow()
    for number, (data, codec, view) in enumerate((
        (b'[[{"ok":true}],{}]', "json", None),
        (b"\x80\x05", "pickle", '["shown"]'),
        (b'["%s"]' % (b"x" * 100_000), "json", None),  # a file
    )):  # fmt: skip
        payload = history.put(data, codec)
        history.commit(
            e.SignalReceived(flow.run_id, flow.tick(), f"s-{number}", "go", payload, view, "ann")
        )
    found = rows(
        history,
        "SELECT signal_id, workflow_id, name, sender, arguments->'$[0][0]'->>'ok', "
        "arguments->>'$[0]', payload_id FROM signals",
    )
    assert [row[:5] for row in found] == [
        ("s-0", "flow000001-id", "go", "ann", "true"),
        ("s-1", "flow000001-id", "go", "ann", None),
        ("s-2", "flow000001-id", "go", "ann", None),
    ]
    assert (found[1][5], len(found[2][5])) == ("shown", 100_000)
    assert found[0][6] == history.put(b'[[{"ok":true}],{}]', "json").id.hex()


def test_updates(history: History, notebook: Recorder) -> None:
    flow = notebook.workflow()
    for name in ("u-1", "u-2", "u-3"):
        payload = history.put(b"[2]", "json")
        history.commit(e.UpdateAccepted(flow.run_id, flow.tick(), name, "set", payload))
    result = history.put(b"4", "json")
    history.commit(e.UpdateCompleted(flow.run_id, flow.tick(), "u-1", result))
    history.commit(e.UpdateCompleted(flow.run_id, flow.tick(), "u-2", error=ERROR))
    query = "SELECT update_id, status, arguments, result, error FROM updates"
    assert rows(history, query) == [
        ("u-1", "completed", "[2]", "4", None),
        ("u-2", "failed", "[2]", None, "builtins.ValueError: no"),
        ("u-3", "running", "[2]", None, None),
    ]
    flow.finish()
    assert rows(history, query)[2][1] == "canceled"


def test_approvals(history: History, notebook: Recorder) -> None:
    cell = notebook.cell(index=1)
    flow = notebook.workflow()
    future = int((datetime.now(UTC) + timedelta(days=1)).timestamp()) * SECOND
    for name, expires in (("q-1", None), ("q-2", None), ("q-3", T0), ("q-4", future)):
        history.commit(
            e.ApprovalRequested(
                flow.run_id, flow.tick(), name, "workflow", "Deploy?", '{"type":"object"}', expires
            )
        )
    history.commit(
        e.ApprovalRequested(notebook.run_id, notebook.tick(), "q-5", "id:a", "Go?", None, cell=cell)
    )
    form = history.put(b'{"where":"prod"}', "json")
    history.commit(e.ApprovalAnswered(flow.run_id, flow.tick(), "q-1", True, form, by="ann"))
    history.commit(e.ApprovalAnswered(flow.run_id, flow.tick(), "q-2", False))
    query = (
        "SELECT activity_id, status, answer->>'where', answered_by, cell_index FROM approvals "
        "ORDER BY activity_id"
    )
    assert rows(history, query) == [
        ("q-1", "approved", "prod", "ann", None),
        ("q-2", "rejected", None, None, None),
        ("q-3", "expired", None, None, None),
        ("q-4", "pending", None, None, None),
        ("q-5", "pending", None, None, 1),
    ]
    assert one(history, "SELECT prompt, schema->>'type' FROM approvals WHERE answer NOT NULL") == (
        "Deploy?",
        "object",
    )
    flow.finish()
    assert rows(history, query)[3][1] == "canceled"


def test_schedules(history: History, notebook: Recorder) -> None:
    def put(name: str, spec: str | None, *, paused: bool = False) -> None:
        history.commit(
            e.ScheduleSet(
                notebook.run_id, notebook.tick(), name, "review", spec, None, paused, "why"
            )
        )

    for name in ("nightly", "hourly", "gone"):
        put(name, '{"every":"1d"}')
    put("hourly", '{"every":"1h"}', paused=True)
    put("gone", None)
    for due, child, reason in ((1, "flow000001", None), (2, None, "overlap"), (3, "flow2", None)):
        history.commit(
            e.ScheduleFired(notebook.run_id, notebook.tick(), "nightly", due, child, reason)
        )
    assert rows(
        history,
        "SELECT schedule_id, status, spec->>'every', started, skipped, last_run FROM schedules "
        "ORDER BY schedule_id",
    ) == [
        ("gone", "deleted", None, 0, 0, None),
        ("hourly", "paused", "1h", 0, 0, None),
        ("nightly", "active", "1d", 2, 1, "flow2"),
    ]
