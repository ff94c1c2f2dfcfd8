"""The views: their shape is an interface, and every status in them is computed right."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from history_samples import SECOND, Recorder

from evercell import events as e
from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COLUMNS = {
    "runs": "run_id workflow workflow_id notebook parameters status result error reason started_at "
    "last_activity finished_at deadline generation cells steps notebook_run parent schedule_id "
    "first_run continued_from next_run forked_from forked_at overrides memo "
    "search_attributes input_id result_id kernel_id pid host python evercell",
    "cells": "run_id notebook cell_index cell_id slot source status decision reason started_at "
    "duration saved error traceback execution_count restorable activity_id origin generation",
    "outputs": "run_id notebook cell_index cell_id ordinal kind name mime text data size "
    "activity_id payload_id",
    "steps": "run_id cell_index name ordinal status attempts restored arguments result started_at "
    "duration error reason result_size result_codec result_id at_most_once activity_id "
    "cell_activity_id slot cell_id workflow notebook",
    "attempts": "run_id activity_id name attempt status started_at duration error reason "
    "retry_delay cell_activity_id generation",
    "timers": "run_id cell_index name status started_at fires_at ended_at activity_id "
    "cell_activity_id slot workflow notebook",
    "signals": "run_id workflow workflow_id name arguments sender received_at signal_id payload_id "
    "notebook",
    "updates": "run_id workflow workflow_id name status arguments result error accepted_at "
    "completed_at update_id payload_id result_id notebook",
    "approvals": "run_id cell_index prompt status answer answered_by requested_at answered_at "
    "expires_at schema activity_id cell_activity_id slot payload_id workflow notebook",
    "waits": "run_id cell_index kind name since until schema activity_id workflow notebook",
    "schedules": "schedule_id workflow status spec note changed_at started skipped last_due "
    "last_run input_id notebook_run notebook",
    "events": "run_id generation position time type activity_id detail writer",
    "usage": "run_id cell_index step activity_id attempt model input_tokens output_tokens cost "
    "time",
}


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path)
    yield history
    history.close()


def rows(history: History, sql: str) -> list[tuple[Any, ...]]:
    return history.query(sql).rows


@pytest.mark.parametrize("view", COLUMNS)
def test_a_views_columns_are_stable(history: History, view: str) -> None:
    assert history.query(f"FROM {view}").columns == tuple(COLUMNS[view].split())


def test_everything_is_commented(history: History) -> None:
    views = rows(history, "SELECT view_name, comment FROM duckdb_views() WHERE NOT internal AND "
                          "schema_name = 'main'")  # fmt: skip
    assert {name for name, _ in views} == set(COLUMNS)
    assert all(comment for _, comment in views)
    columns = rows(
        history,
        "SELECT table_name, column_name, comment FROM duckdb_columns() "
        "WHERE schema_name = 'main' AND NOT internal",
    )
    assert {(table, column) for table, column, _ in columns} == {
        (view, column) for view, names in COLUMNS.items() for column in names.split()
    }
    assert [column for *column, comment in columns if not comment] == []


def test_a_run_lives_stops_and_finishes(history: History, tmp_path: Path) -> None:
    def status() -> str:
        (row,) = rows(history, "SELECT status FROM runs")
        return str(row[0])

    recorder = Recorder(history).start(model="small")
    assert status() == "stopped"  # nobody attached yet
    recorder.attach(1)
    assert status() == "running"
    history.commit(e.RunFinished(recorder.run_id, recorder.tick(), "failed"))
    assert status() == "failed"
    history.commit(e.RunDetached(recorder.run_id, recorder.tick(), 1))
    assert status() == "failed"
    recorder.attach(2)
    assert status() == "running"
    history.commit(e.RunDetached(recorder.run_id, recorder.tick(), 2))
    assert status() == "stopped"
    assert rows(history, "SELECT parameters->>'model', generation FROM runs") == [("small", 2)]


def test_a_run_stops_with_its_process(history: History, tmp_path: Path) -> None:
    other = History(tmp_path)
    recorder = Recorder(other).start().attach()
    recorder.step(recorder.cell())
    other.commit()
    assert rows(history, "SELECT status FROM runs") == [("running",)]
    assert rows(history, "SELECT status FROM cells") == [("running",)]
    assert rows(history, "SELECT status FROM steps") == [("running",)]
    assert rows(history, "SELECT status FROM attempts") == [("running",)]
    other.close()
    assert rows(history, "SELECT status FROM runs") == [("stopped",)]
    assert rows(history, "SELECT status FROM cells") == [("in doubt",)]
    assert rows(history, "SELECT status FROM steps") == [("in doubt",)]
    assert rows(history, "SELECT status FROM attempts") == [("in doubt",)]


def test_what_an_earlier_generation_left_is_in_doubt(history: History) -> None:
    recorder = Recorder(history).start().attach(1)
    recorder.step(recorder.cell())
    recorder.attach(2)

    assert rows(history, "SELECT status FROM cells") == [("in doubt",)]
    assert rows(history, "SELECT status FROM steps") == [("in doubt",)]


def test_cells_say_how_they_ended(history: History) -> None:
    recorder = Recorder(history).start().attach()
    done = recorder.cell(index=0)
    recorder.complete_cell(done, duration=3 * SECOND)
    for index, interrupted in ((1, False), (2, True)):
        cell = recorder.cell(slot=f"id:{index}", index=index, source="1 / 0")
        error = e.ErrorInfo("builtins.ZeroDivisionError", "division by zero", "Traceback ...")
        history.commit(
            e.CellFailed(recorder.run_id, recorder.tick(), cell, SECOND, error, interrupted)
        )
    restored = e.CellRestored(
        recorder.run_id, recorder.tick(), "r-1", done, "id:a", 0, "a", "x = 1", b"", 0, "same", 4,
        2_000_000, 3 * SECOND,
    )  # fmt: skip
    history.commit(restored)

    found = rows(
        history,
        "SELECT cell_index, status, decision, duration, saved, error, execution_count FROM cells",
    )
    second = timedelta(seconds=1)
    failed = "builtins.ZeroDivisionError: division by zero"
    assert found == [
        (0, "completed", "executed", 3 * second, None, None, 1),
        (1, "failed", "executed", second, None, failed, 1),
        (2, "interrupted", "executed", second, None, failed, 1),
        (0, "completed", "restored", timedelta(milliseconds=2), 3 * second, None, 4),
    ]
    assert rows(history, "SELECT origin FROM cells WHERE decision = 'restored'") == [(done,)]


def test_a_step_over_its_attempts(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell(index=7)
    step = recorder.step(cell)
    query = "SELECT status, attempts, error FROM steps"
    assert rows(history, query) == [("running", 1, None)]
    recorder.fail_attempt(step, attempt=1)  # a second after it began, by the recorder's clock
    assert rows(history, query) == [("retrying", 1, "builtins.OSError: busy")]
    recorder.next_attempt(step, cell, 2)
    history.commit()
    assert rows(history, query) == [("running", 2, None)]
    recorder.complete_step(step, attempt=2, duration=250_000_000)
    assert rows(history, query) == [("completed", 2, None)]

    tries = "SELECT attempt, status, duration, error, retry_delay FROM attempts ORDER BY attempt"
    assert rows(history, tries) == [
        (1, "failed", timedelta(seconds=1), "builtins.OSError: busy", timedelta(seconds=2)),
        (2, "completed", timedelta(seconds=0.25), None, None),
    ]
    assert rows(
        history,
        "SELECT cell_index, duration, arguments->>'prompt', CAST(result->>'answer' AS INTEGER), "
        "result_size, result_codec FROM steps",
    ) == [(7, timedelta(seconds=1.25), "hello", 42, 13, "json")]


def test_a_clock_that_jumps_back_changes_no_order_and_no_status(history: History) -> None:
    recorder = Recorder(history).start().attach()
    step = recorder.step(recorder.cell())
    recorder.at -= 3600 * SECOND
    recorder.fail_attempt(step)

    assert rows(history, "SELECT status FROM steps") == [("retrying",)]
    assert rows(history, "SELECT duration FROM attempts") == [(timedelta(0),)]
    types = [row[0] for row in rows(history, "SELECT type FROM events")]
    assert types[-2:] == ["StepStarted", "AttemptFailed"]


def test_steps_count_the_answers_from_history(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    first, second = recorder.step(cell), recorder.step(cell, ordinal=1)
    recorder.complete_step(first)
    recorder.complete_step(second)
    history.commit(e.StepsAnswered(recorder.run_id, recorder.tick(), cell, (first, second)))
    history.commit(e.StepsAnswered(recorder.run_id, recorder.tick(), cell, (second,)))

    assert rows(history, "SELECT ordinal, restored FROM steps") == [(0, 1), (1, 2)]


def test_steps_that_ended_otherwise(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    recorder.fail_step(recorder.step(cell))
    canceled = recorder.step(cell, ordinal=1)
    history.commit(e.StepCanceled(recorder.run_id, recorder.tick(), canceled, 1, "interrupted"))

    assert rows(history, "SELECT status, error, reason, result FROM steps") == [
        ("failed", "builtins.ValueError: no", "maximum attempts", None),
        ("canceled", None, "interrupted", None),
    ]


def test_results_that_are_no_inline_json(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    pickled = recorder.step(cell, ordinal=0)
    result = history.put(b"\x80\x05", "pickle")
    history.commit(
        e.StepCompleted(recorder.run_id, recorder.tick(), pickled, 1, result, '{"shown":true}', 1)
    )
    recorder.complete_step(
        recorder.step(cell, ordinal=1), data=b'{"answer":"' + b"x" * 100_000 + b'"}'
    )
    recorder.complete_step(
        recorder.step(cell, ordinal=2), data=b'{"answer":"' + b"x" * 2_000_000 + b'"}'
    )

    assert rows(history, "SELECT result->>'shown', length(result->>'answer') FROM steps") == [
        ("true", None),
        (None, 100_000),
        (None, None),
    ]


def test_usage_names_its_cell_and_step(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell(index=3)
    step = recorder.step(cell)
    for activity in (step, cell):
        history.commit(
            e.UsageRecorded(recorder.run_id, recorder.tick(), activity, 1, "small", 100, 20, 0.25)
        )

    assert rows(
        history, "SELECT cell_index, step, model, input_tokens, output_tokens, cost FROM usage"
    ) == [(3, "ask", "small", 100, 20, 0.25), (3, None, "small", 100, 20, 0.25)]


def test_every_type_of_event_has_its_detail(history: History) -> None:
    recorder = Recorder(history).start(n=1).attach()
    cell = recorder.cell()
    step = recorder.step(cell)
    recorder.fail_attempt(step)
    recorder.complete_cell(cell)

    found = dict(rows(history, "SELECT type, detail FROM events"))
    assert '"n":1' in found["RunStarted"]
    assert '"arguments":{"prompt":"hello"}' in found["StepStarted"]
    assert '"retry_delay":2000000000' in found["AttemptFailed"]
    assert '"names":["x","w"]' in found["CellCompleted"]
    assert "cGlja2xlZA" not in found["CellCompleted"]  # no stored bytes, in no coding
    assert "null" not in found["StepStarted"]
