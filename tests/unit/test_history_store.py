"""`History`: what resuming reads is what was recorded."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from history_samples import Recorder

from evercell import events as e
from evercell.errors import (
    HistoryNewerError,
    HistoryWriteError,
    QueryError,
    RunInUseError,
    RunNotFoundError,
)
from evercell.history import History
from evercell.history.schema import claim_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path)
    yield history
    history.close()


def test_cell_events_come_back_as_they_were(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell(source="x = '\u00e9\U0001f600\x00'")
    completed = recorder.complete_cell(cell)
    found = history.cell_events(recorder.run_id)

    assert found[1] == completed
    assert isinstance(found[0], e.CellStarted)
    assert found[0].source == "x = '\u00e9\U0001f600\x00'"
    assert history.cell_events("another") == []


def test_cell_events_are_ordered_by_generation_then_position(tmp_path: Path) -> None:
    # The later generation's writer sorts first and its clock is behind.
    histories = sorted((History(tmp_path) for _ in range(2)), key=lambda it: it.writer)
    late, early = histories
    Recorder(early).start().attach(1).cell(source="first")
    recorder = Recorder(late)
    recorder.at -= 10**15
    recorder.attach(2).cell(source="second")

    found = late.cell_events("run0000001")
    assert [it.source for it in found if isinstance(it, e.CellStarted)] == ["first", "second"]
    early.close()
    late.close()


def test_step_records_hold_the_latest_state(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    keys = [bytes([n]) * 16 for n in range(6)]
    steps = [recorder.step(cell, key=key, ordinal=n, once=n == 5) for n, key in enumerate(keys)]
    recorder.complete_step(steps[0])
    error = recorder.fail_step(steps[1], attempt=3)
    history.commit(e.StepCanceled(recorder.run_id, recorder.tick(), steps[2], 1, "interrupted"))
    recorder.fail_attempt(steps[3])
    recorder.fail_attempt(steps[4])
    recorder.next_attempt(steps[4], cell, 2)
    recorder.step(cell, slot="id:b")

    records = history.step_records(recorder.run_id, "id:a")
    assert [record.activity_id for record in records] == steps
    assert [record.key for record in records] == keys
    assert [record.ordinal for record in records] == list(range(6))
    assert [record.status for record in records] == [
        "completed", "failed", "canceled", "retrying", "in doubt", "in doubt",
    ]  # fmt: skip
    assert [record.attempts for record in records] == [1, 3, 1, 1, 2, 1]
    assert [record.at_most_once for record in records] == [False] * 5 + [True]
    assert records[0].result == history.put(b'{"answer":42}', "json")
    assert records[1].error == error
    assert [record.result for record in records[1:]] == [None] * 5
    assert history.step_slots(recorder.run_id) == {"id:a": 6, "id:b": 1}


def test_a_failed_step_that_is_tried_again_is_what_it_became(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    step = recorder.step(cell)
    recorder.fail_step(step)
    recorder.attach(2)
    recorder.next_attempt(step, recorder.cell(), 2)
    recorder.complete_step(step, attempt=2)

    (record,) = history.step_records(recorder.run_id, "id:a")
    assert (record.status, record.attempts, record.error) == ("completed", 2, None)


def test_large_and_small_results_load(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    for ordinal, data in enumerate((b"1", b"[" + b"1," * 50_000 + b"1]")):
        recorder.complete_step(recorder.step(cell, ordinal=ordinal), data=data)
        record = history.step_records(recorder.run_id, "id:a")[ordinal]
        assert record.result is not None
        assert history.get(record.result) == data


def test_the_current_run_is_the_latest_with_these_parameters(history: History) -> None:
    recorder = Recorder(history, "run1").start(n=1, deep={"a": [1, 2], "b": None})
    recorder.attach()
    older = Recorder(history, "run2")
    older.at -= 10**15  # the clock had jumped back
    older.start(deep={"b": None, "a": [1, 2]}, n=1)
    Recorder(history, "run3").start(n=2)
    Recorder(history, "run4").start("/work/b.ipynb", n=1, deep={"a": [1, 2], "b": None})

    def found(notebook: str, **parameters: object) -> str | None:
        record = history.find_run(notebook, parameters)
        return record.run_id if record else None

    assert found("/work/a.ipynb", n=1, deep={"a": [1, 2], "b": None}) == "run2"
    assert found("/work/a.ipynb", n=2) == "run3"
    assert found("/work/a.ipynb", n="2") is None
    assert found("/work/a.ipynb", n=True) is None
    assert found("/work/a.ipynb") is None
    assert found("/work/c.ipynb", n=2) is None


def test_a_run_follows_its_notebook(history: History, tmp_path: Path) -> None:
    old, new = tmp_path / "old.ipynb", tmp_path / "new.ipynb"
    Recorder(history).start(str(old)).attach(notebook=str(old), kernel_id="k")
    new.touch()

    assert history.find_run(str(new), {}) is None
    assert history.find_run(str(new), {}, kernel_id="other") is None
    record = history.find_run(str(new), {}, kernel_id="k")
    assert record is not None
    old.touch()  # a copy, not a rename
    assert history.find_run(str(new), {}, kernel_id="k") is None
    Recorder(history).attach(2, notebook=str(new), kernel_id="k")
    record = history.find_run(str(new), {})
    assert record is not None
    assert (record.run_id, record.notebook, record.generation) == ("run0000001", str(new), 2)
    assert history.find_run(str(old), {}) is None


def test_a_run_is_found_by_a_prefix(history: History) -> None:
    for run_id in ("abc1", "abd2"):
        Recorder(history, run_id).start()

    assert history.run("abc").run_id == "abc1"
    with pytest.raises(RunNotFoundError, match="ambiguous: abc1, abd2"):
        history.run("ab")
    with pytest.raises(RunNotFoundError, match="it holds 2 runs"):
        history.run("x")


def test_attaching_counts_generations_and_excludes(history: History, tmp_path: Path) -> None:
    recorder = Recorder(history).start()
    lock = history.attach(recorder.run_id)
    assert lock.generation == 1
    recorder.attach(1)
    other = History(tmp_path)
    with pytest.raises(RunInUseError):
        other.attach(recorder.run_id)
    lock.release()
    again = other.attach(recorder.run_id)
    assert again.generation == 2
    again.release()
    other.close()


def test_queries_read_and_only_read(history: History) -> None:
    Recorder(history).start()
    table = history.query("SELECT run_id, 1 AS one FROM runs WHERE run_id LIKE $x", {"x": "run%"})
    assert table.columns == ("run_id", "one")
    assert table.types == ("VARCHAR", "INTEGER")
    assert table.rows == [("run0000001", 1)]
    for sql in (
        "DELETE FROM store.event",
        "INSERT INTO store.event (writer) VALUES ('x')",
        "DROP VIEW runs",
        "COMMIT; DROP VIEW runs",
        f"ATTACH '{history.folder}/history.duckdb' AS other; DELETE FROM other.store.event",
    ):
        with pytest.raises(QueryError):
            history.query(sql)
    assert len(history.runs()) == 1


def test_a_wrong_query_says_what_duckdb_says(history: History) -> None:
    with pytest.raises(QueryError, match='Referenced column "nonsense" not found'):
        history.query("SELECT nonsense FROM runs")
    with pytest.raises(QueryError, match="syntax error"):
        history.relation("SELEC 1")


def test_a_relation_outlives_the_history(history: History) -> None:
    Recorder(history).start(n=5)
    relation = history.relation("SELECT run_id, parameters->>'n' AS n FROM runs -- all;")
    history.close()

    assert relation.filter("n = '5'").fetchall() == [("run0000001", "5")]
    assert relation.columns == ["run_id", "n"]


def test_listeners_hear_what_was_recorded(history: History) -> None:
    heard: list[e.Event] = []
    unsubscribe = history.subscribe(heard.extend)
    events = [e.RunFinished("run", n, "completed") for n in range(4)]
    history.append(events[0])
    history.commit(events[1], events[2])
    asyncio.run(history.commit_async(events[3]))
    unsubscribe()
    history.append(events[0])

    assert heard == events


def test_activity_ids_are_unique_over_threads(history: History) -> None:
    ids: list[str] = []
    threads = [
        threading.Thread(target=lambda: ids.extend(history.new_activity_id() for _ in range(500)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(set(ids)) == 2000
    assert all(it.startswith(f"{history.writer}-") for it in ids)


def test_a_newer_folder_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "history.json").write_text('{"schema": 99, "evercell": "9.1.0"}')

    with pytest.raises(HistoryNewerError, match=r"pip install 'evercell>=9\.1\.0'"):
        History(tmp_path)


def test_threads_may_open_a_new_folder_at_once(tmp_path: Path) -> None:
    failed: list[BaseException] = []
    barrier = threading.Barrier(4)

    def claim() -> None:
        for n in range(50):
            barrier.wait()
            try:
                claim_folder(tmp_path / str(n))
            except BaseException as error:
                failed.append(error)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(list(tmp_path.glob("*/history.json"))) == 50


def test_a_place_that_can_not_be_a_folder_is_a_write_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(HistoryWriteError, match="Not a directory"):
        History(tmp_path / "file" / "history")
    with pytest.raises(HistoryWriteError, match="Not a directory"):
        History(tmp_path / "file")


def test_one_connection_serves_every_read_in_turn(tmp_path: Path) -> None:
    """A result that is not fetched whole keeps the connection from other work."""
    history = History(tmp_path)
    recorder = Recorder(history).start().attach()
    recorder.complete_step(recorder.step(recorder.cell()))
    reads = (
        lambda: history.step_records("run0000001", "id:a"),
        lambda: history.step_slots("run0000001"),
        lambda: history.forks.last_place("run0000001"),
        lambda: history.cell_events("run0000001"),
        history.runs,
        lambda: history.query("SELECT 1"),
        lambda: history.workflows.open("run0000001"),
        lambda: history.workflows.last_closed("run0000001", "flow") or "none",
    )
    with history.reading():
        for first in reads:
            for then in reads:
                first()
                assert then() is not None
    history.close()
