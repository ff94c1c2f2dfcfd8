from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pytest
from history_samples import Recorder

from evercell.errors import QueryError, UsageError
from evercell.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    history = History(tmp_path / "h")
    yield history
    history.close()


def test_a_steps_result_by_activity_and_by_payload(history: History) -> None:
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    step = recorder.step(cell)
    assert history.result(step).payload is None
    assert history.result(step).status == "running"
    recorder.fail_attempt(step)
    recorder.complete_step(step, attempt=2, data=b"[1]")
    found = history.result(step)
    assert found.payload is not None
    assert (found.activity_id, found.status, history.get(found.payload)) == (
        step,
        "completed",
        b"[1]",
    )
    assert history.result(found.payload.id.hex()).payload == found.payload
    with pytest.raises(UsageError, match="no step and no stored value"):
        history.result(cell)


def test_parquet_is_whole_or_not_there(history: History, tmp_path: Path) -> None:
    recorder = Recorder(history).start(n=1).attach()
    step = recorder.step(recorder.cell())
    recorder.complete_step(step, duration=2_500_000_000)
    path = tmp_path / "it's.parquet"
    query = 'SELECT name AS "a ""name""", duration, started_at, result FROM steps WHERE name = $n'
    history.write_parquet(path, query, {"n": "ask"})
    relation = duckdb.connect().from_parquet(str(path))
    assert relation.columns == ['a "name"', "duration", "started_at", "result"]
    [(name, seconds, _, result)] = relation.fetchall()
    assert (name, seconds, result) == ("ask", 2.5, '{"answer":42}')

    before = path.read_bytes()
    with pytest.raises(QueryError):
        history.write_parquet(path, "SELECT nothing FROM runs")
    with pytest.raises(UsageError, match="could not be written"):
        history.write_parquet(tmp_path / "absent" / "x.parquet", "FROM runs")
    assert path.read_bytes() == before
    assert sorted(it.name for it in tmp_path.iterdir()) == ["h", "it's.parquet"]
