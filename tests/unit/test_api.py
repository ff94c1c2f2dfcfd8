"""`evercell.sql` and `evercell.load`, in a recording process and beside one."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import evercell
from evercell import errors, settings
from evercell import events as e
from evercell.codec.messages import Message, encode_messages
from evercell.engine.host import CellRequest
from evercell.engine.run import RunRequest
from evercell.engine.session import Session
from evercell.history import History
from support.plain_notebook import PlainHost

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFINE = """
import threading
from dataclasses import dataclass
from evercell import step

@dataclass
class Verdict:
    text: str
    votes: set

@step
def judge(prompt):
    return Verdict(prompt.upper(), {1, 2})

@step
def count(n):
    return list(range(n))

@step
def fail():
    raise ValueError("no such thing")
"""
CALL = """
verdict = judge("why?")
count(3), count(100_000)
try:
    fail()
except ValueError:
    pass
"""


class Notebook:
    """A recording process over `folder`."""

    def __init__(self, folder: Path) -> None:
        self.live: dict[str, Any] = {"__name__": "__main__"}
        self.session = Session.open(folder, RunRequest("/nb.ipynb", {}, None), self.live)
        self._cells = 0

    def run(self, source: str) -> None:
        self._cells += 1
        request = CellRequest(source, source, self._cells, f"cell{self._cells}", self._cells)
        asyncio.run(self.session.execute(request, PlainHost(source, self.live)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / ".evercell"


@pytest.fixture
def notebook(folder: Path) -> Iterator[Notebook]:
    settings.change(compress=False)  # so that the large result is in a file
    notebook = Notebook(folder)
    notebook.run(DEFINE)
    notebook.run(CALL)
    yield notebook
    notebook.session.close()


def step_id(name: str, **arguments: object) -> str:
    [(found,)] = evercell.sql(
        "SELECT activity_id FROM steps WHERE name = $name "
        "AND coalesce(arguments->>'n', arguments->>'prompt', '') = $first",
        {"name": name, "first": str(next(iter(arguments.values()), ""))},
    ).fetchall()
    return str(found)


def test_a_relation_has_every_form_and_holds_no_lock(notebook: Notebook, folder: Path) -> None:
    relation = evercell.sql("SELECT name, attempts, duration, arguments FROM steps ORDER BY name")
    notebook.session.history.fold()  # writes: nobody holds the file
    frame = relation.df()
    assert list(frame["name"]) == ["count", "count", "fail", "judge"]
    assert frame["duration"].dtype.kind == "m"
    assert frame["attempts"].sum() == 4
    assert relation.filter("name = 'judge'").fetchall()[0][2] > timedelta()


def test_a_relation_as_arrow_and_polars(notebook: Notebook) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("polars")
    relation = evercell.sql(
        "SELECT * REPLACE (epoch(duration) AS duration) FROM steps ORDER BY name"
    )
    names = ["count", "count", "fail", "judge"]
    assert relation.to_arrow_table().column("name").to_pylist() == names
    frame = relation.pl()
    assert frame["name"].to_list() == names
    assert 0 < frame["duration"].sum() < 60


def test_parameters_are_checked(notebook: Notebook) -> None:
    assert evercell.sql("SELECT $n + 1", {"n": 1}).fetchall() == [(2,)]
    with pytest.raises(errors.UsageError, match=r"asks for \$run, and `parameters` has no run"):
        evercell.sql("SELECT $run")
    with pytest.raises(errors.UsageError, match=r"has no \$n,"):
        evercell.sql("SELECT 1", {"n": 1})
    with pytest.raises(errors.QueryError, match="steeps"):
        evercell.sql("FROM steeps")


def test_a_cell_that_asks_the_history_is_not_restored(notebook: Notebook) -> None:
    notebook.run("import evercell\n[(n,)] = evercell.sql('SELECT count(*) FROM steps').fetchall()")
    notebook.run("judge('when?')")
    assert notebook.live["n"] == 4
    rows = evercell.sql("SELECT restorable FROM cells ORDER BY cell_index").fetchall()
    assert rows == [(True,), (True,), (False,), (True,)]


def test_load_gives_back_what_a_step_returned(notebook: Notebook) -> None:
    loaded = evercell.load(step_id("judge", prompt="why?"))
    assert loaded == notebook.live["verdict"]
    assert type(loaded) is notebook.live["Verdict"]
    assert evercell.load(step_id("count", n=3)) == [0, 1, 2]
    assert evercell.load(step_id("count", n=100_000)) == list(range(100_000))  # in a file


def test_load_takes_the_payload_id_of_a_result(notebook: Notebook) -> None:
    [(payload,)] = evercell.sql(
        "SELECT detail->>'$.payload.id' FROM events "
        "WHERE type = 'StepCompleted' AND activity_id = $id",
        {"id": step_id("count", n=3)},
    ).fetchall()
    assert evercell.load(payload) == [0, 1, 2]


def payload_ids(query: str) -> list[str]:
    return [str(found) for (found,) in evercell.sql(query).fetchall()]


def test_load_takes_any_payload_id_that_a_view_shows(notebook: Notebook) -> None:
    ids = payload_ids("SELECT result_id FROM steps WHERE name = 'judge'")
    assert [evercell.load(it) for it in ids] == [notebook.live["verdict"]]
    notebook.run(
        "import numpy as np\nnumbers = [np.arange(20_000.0), 'x']; other = numbers[0][3:5]"
    )
    [product] = payload_ids(
        """SELECT product->>'$.payload.id'
        FROM (SELECT unnest(detail->'$.products[*]') AS product FROM events)
        WHERE contains(product->>'$.names', 'numbers')"""
    )
    loaded = evercell.load(product)
    assert loaded.keys() == {"numbers", "other"}
    assert loaded["numbers"][0].sum() == sum(range(20_000))
    loaded["numbers"][0][3] = 7.0
    assert list(loaded["other"]) == [7.0, 4.0]
    assert notebook.live["numbers"][0][3] == 3.0
    # Its memory travels beside it, and can be asked for as well.
    [memory] = payload_ids(
        """SELECT unnest(detail->'$.products[*].buffers[*].id')->>'$' FROM events
        WHERE type = 'CellCompleted' AND contains(detail->>'$.products', 'numbers')"""
    )
    assert len(evercell.load(memory)) == 160_000
    [error] = payload_ids("SELECT detail->>'$.payload.id' FROM events WHERE type = 'StepFailed'")
    assert repr(evercell.load(error)) == "ValueError('no such thing')"


def test_load_takes_what_workflows_were_given_and_gave(notebook: Notebook) -> None:
    history, host = notebook.session.history, notebook.session.run_id
    words = history.put(b'[["a"],{"n":1}]', "json")
    start = e.WorkflowStart("w-1", host, words, b"", b"")
    shown = history.put(
        encode_messages((Message("stream", {"name": "stdout", "text": "hello"}),)), "messages"
    )
    state = history.put(b"state", "ambient")
    history.commit(
        e.RunStarted("flow000001", 1, "review", None, {}, "cpython-311", "0.1.0", start),
        e.SignalReceived("flow000001", 2, "s-1", "go", history.put(b'[[true],{}]', "json")),
        e.RunFinished("flow000001", 3, "completed", history.put(b'{"answer":42}', "json")),
        e.CellFailed(host, 4, "c-1", 1, e.ErrorInfo("E", "no"), False, shown),
        e.CellCompleted(
            host, 5, "c-2", b"", 1, {}, (), (), (e.AmbientChange("@cwd", b"", state),), None, None,
            True,
        ),
    )  # fmt: skip
    [given] = payload_ids("SELECT input_id FROM runs WHERE input_id NOT NULL")
    [gave] = payload_ids("SELECT result_id FROM runs WHERE result_id NOT NULL")
    [signal] = payload_ids("SELECT payload_id FROM signals")
    [output] = payload_ids("SELECT payload_id FROM outputs")
    assert evercell.load(given) == [["a"], {"n": 1}]
    assert evercell.load(gave) == {"answer": 42}
    assert evercell.load(signal) == [[True], {}]
    [message] = evercell.load(output)
    assert (message["msg_type"], message["content"]["text"]) == ("stream", "hello")
    with pytest.raises(errors.UsageError, match="only restoring the cell gives back"):
        evercell.load(state.id.hex())


def test_load_says_why_there_is_nothing(notebook: Notebook, folder: Path) -> None:
    with pytest.raises(errors.UsageError, match="is failed and has no result: ValueError: no such"):
        evercell.load(step_id("fail"))
    for unknown in ("nonsense", "0" * 32, "' OR 1=1"):
        with pytest.raises(errors.UsageError, match=f"no step and no stored value.*{unknown}"):
            evercell.load(unknown)
    large = step_id("count", n=100_000)
    [blob] = [path for path in (folder / "blobs").rglob("*") if path.is_file()]
    data = blob.read_bytes()
    blob.write_bytes(data[:-2] + b",]")
    with pytest.raises(errors.PayloadError, match="was changed"):
        evercell.load(large)
    blob.unlink()
    with pytest.raises(errors.PayloadError, match="missing"):
        evercell.load(large)


def test_load_refuses_what_another_user_wrote(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notebook = Notebook(folder)
    notebook.run(DEFINE)
    notebook.run(CALL)
    notebook.session.close()
    monkeypatch.setenv("EVERCELL_HOME", str(folder))
    small = step_id("count", n=3)
    assert evercell.load(small) == [0, 1, 2]
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "their-key"))
    with pytest.raises(errors.PayloadError, match="another user"):
        evercell.load(small)


def test_outside_a_kernel_a_missing_history_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EVERCELL_HOME", raising=False)
    monkeypatch.chdir(tmp_path)
    for ask in (lambda: evercell.sql("FROM runs"), lambda: evercell.load("x")):
        with pytest.raises(errors.UsageError, match=r"no history in .*\.evercell"):
            ask()
    assert not (tmp_path / ".evercell").exists()


def test_other_programs_read_while_a_notebook_records(notebook: Notebook, folder: Path) -> None:
    """The relation of one reader, and another History on the same folder, side by side."""
    mine = evercell.sql("FROM steps")
    found: list[int] = []

    def read() -> None:
        other = History(folder)
        found.append(len(other.query("FROM steps").rows))
        other.close()

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert found == [len(mine.fetchall())] == [4]
