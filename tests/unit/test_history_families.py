"""Workflows go where their notebook's run goes: gc, export, import, verify, trust."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from history_samples import SECOND, Recorder

from evercell import events as e
from evercell import settings
from evercell.errors import HistoryError
from evercell.history import History
from evercell.history.collect import Retention, RunUse, plan
from evercell.history.families import Kin, carried, owner, with_origins

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KNOWN = {
    it.run_id: it
    for it in (
        Kin("book", (), ()),
        Kin("flow", ("book",), ()),
        Kin("child", ("book", "flow"), ()),
        Kin("other", (), ()),
        Kin("fork", ("other",), ("child",)),
        Kin("stray", ("unknown",), ("lost",)),
    )
}


def test_who_owns_whom() -> None:
    assert [owner(it, KNOWN) for it in KNOWN] == ["book"] * 3 + ["other"] * 2 + ["stray"]
    assert set(carried("book", KNOWN)) == {"book", "flow", "child"}
    assert carried("fork", KNOWN) == ["fork"]
    assert set(with_origins(["other", "fork"], KNOWN)) == {"other", "fork", "child"}


def test_a_circle_of_hosts_ends() -> None:
    known = {"a": Kin("a", ("b",), ("b",)), "b": Kin("b", ("a",), ("a",))}
    assert {owner("a", known), owner("b", known)} <= {"a", "b"}
    assert set(carried("a", known)) == set(with_origins(["a"], known)) == {"a", "b"}


def use(run_id: str, last: int, *, members: str = "", origins: str = "", size: int = 10) -> RunUse:
    return RunUse(
        run_id, "/nb.ipynb", "{}", last, False, size, {}, tuple(members.split()),
        tuple(origins.split()),
    )  # fmt: skip


def test_a_fork_keeps_what_it_was_forked_from() -> None:
    book, fork = use("book", 1, members="flow"), use("other", 2, origins="flow")
    gone, kept = plan([book, fork], Retention(runs=("book",), keep=0), now=9, size=20)
    assert gone == []
    assert kept == [("book", "run other was forked from it, or from a workflow of it")]
    gone, kept = plan([book, fork], Retention(runs=("book", "other")), now=9, size=20)
    assert gone == [("other", "asked for"), ("book", "asked for")]
    gone, _ = plan([book, fork], Retention(max_size=10, keep=0), now=9, size=20)
    assert gone == [("other", "size budget")]
    gone, _ = plan([book, fork], Retention(max_size=0, keep=0), now=9, size=20)
    assert gone == [("other", "size budget"), ("book", "size budget")]
    gone, _ = plan([book, fork], Retention(older_than=0, keep=0), now=2 * SECOND, size=20)
    assert gone == [("other", "old"), ("book", "old")]


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    settings.change(compress=False)
    history = History(tmp_path / "history")
    yield history
    history.close()


@pytest.fixture
def notebook(history: History) -> Recorder:
    """A notebook's run with a workflow, its child, and payloads that are files; and a run beside
    it."""
    notebook = Recorder(history).start().attach()
    flow = notebook.workflow()
    child = notebook.workflow("child00001", parent=flow.run_id)
    for recorder, letter in ((flow, b"f"), (child, b"c")):
        step = recorder.step("", slot="workflow")
        recorder.complete_step(step, data=b'"%s"' % (letter * 70_000))
        signal = history.put(b'["%s"]' % (letter * 80_000), "json")
        history.commit(e.SignalReceived(recorder.run_id, recorder.tick(), "s", "go", signal))
        result = history.put(b'{"large":"%s"}' % (letter * 90_000), "json")
        recorder.finish(result=result)
    history.commit(e.RunDetached(notebook.run_id, notebook.tick(), 1))
    Recorder(history, "run0000002").start()
    return notebook


def runs(history: History) -> set[str]:
    return {run_id for (run_id,) in history.query("SELECT run_id FROM runs").rows}


def blobs(history: History) -> int:
    return sum(it.is_file() for it in (history.folder / "blobs").rglob("*"))


def age(history: History) -> None:
    import os

    for path in (history.folder / "blobs").rglob("*"):
        os.utime(path, (0, 0))


def test_workflows_are_collected_with_their_notebooks_run_and_never_before(
    history: History, notebook: Recorder
) -> None:
    age(history)
    assert blobs(history) == 6
    found = history.upkeep.collect(Retention(runs=("flow000001", "child00001")))
    assert found.runs == ()
    assert dict(found.kept) == dict.fromkeys(
        ("flow000001", "child00001"), f"it belongs to run {notebook.run_id}, and goes with it"
    )
    assert blobs(history) == 6
    found = history.upkeep.collect(Retention(runs=(notebook.run_id,)))
    assert found.runs == ((notebook.run_id, "asked for"),)
    assert runs(history) == {"run0000002"}
    assert blobs(history) == 0
    assert history.upkeep.verify().findings == ()


def test_a_notebooks_run_with_an_open_workflow_stays(history: History) -> None:
    notebook = Recorder(history).start().attach()
    notebook.workflow()
    found = history.upkeep.collect(Retention(runs=(notebook.run_id,)))
    assert found.kept == ((notebook.run_id, "a kernel is attached to it"),)


def snapshot(history: History) -> Any:
    events = history.query("SELECT * EXCLUDE writer FROM events").rows
    views = [
        history.query(f"FROM {view}").rows
        for view in ("signals", "steps", "timers", "updates", "approvals")
    ]
    ended = history.query("SELECT run_id, status, result, result_id FROM runs ORDER BY run_id")
    return events, views, ended.rows


def test_workflows_are_exported_with_their_notebooks_run(
    history: History, notebook: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    before = snapshot(history)
    history.upkeep.export(notebook.run_id, path)
    age(history)
    history.upkeep.collect(Retention(runs=(notebook.run_id,)))
    found = history.upkeep.import_(path)
    assert (found.run_id, found.others) == (notebook.run_id, ("flow000001", "child00001"))
    assert found.payloads == 6
    assert snapshot(history) == before
    assert history.upkeep.verify().findings == ()
    history.upkeep.export(notebook.run_id, tmp_path / "again.jsonl")
    assert (tmp_path / "again.jsonl").read_bytes() == path.read_bytes()


def test_a_workflow_is_exported_alone_with_what_it_was_forked_from(
    history: History, notebook: Recorder, tmp_path: Path
) -> None:
    fork = notebook.workflow("fork000001", forked_from="child00001", forked_at=2)
    fork.finish()
    history.upkeep.export("fork000001", tmp_path / "fork.jsonl")
    elsewhere = History(tmp_path / "elsewhere")
    found = elsewhere.upkeep.import_(tmp_path / "fork.jsonl")
    assert found.others == ("child00001",)
    assert runs(elsewhere) == {"fork000001", "child00001"}
    assert elsewhere.events("child00001") == history.events("child00001")
    elsewhere.close()


def test_parquet_holds_the_events_of_its_workflows(
    history: History, notebook: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "run.parquet"
    history.upkeep.export(notebook.run_id, path)
    found = history.query(f"SELECT DISTINCT run_id FROM '{path}' ORDER BY run_id").rows
    assert found == [("child00001",), ("flow000001",), (notebook.run_id,)]


def test_a_cut_export_leaves_nothing_behind(
    history: History, notebook: Recorder, tmp_path: Path
) -> None:
    path = tmp_path / "run.jsonl"
    history.upkeep.export(notebook.run_id, path)
    path.write_bytes(path.read_bytes()[:-10])
    elsewhere = History(tmp_path / "elsewhere")
    with pytest.raises(HistoryError, match="was changed or cut"):
        elsewhere.upkeep.import_(path)
    assert runs(elsewhere) == set()
    elsewhere.close()


def test_verify_and_trust_reach_into_workflows(
    history: History, notebook: Recorder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.close()  # nothing is folded yet: only its owner could check it
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "mine"))
    mine = History(history.folder)
    assert {f.kind for f in mine.upkeep.verify().findings} == {"note"}
    assert mine.query("SELECT result FROM runs WHERE workflow = 'review'").rows == [(None,)] * 2
    found = mine.upkeep.trust()
    assert found.missing == 0
    assert [it.kind for it in mine.upkeep.verify().findings if it.kind == "error"] == []
    assert {len(row[0]) for row in mine.query("SELECT arguments FROM signals").rows} == {80_004}
    [(result,)] = mine.query("SELECT result_id FROM runs WHERE run_id = 'flow000001'").rows
    payload = mine.result(result).payload
    assert payload is not None
    assert len(mine.get(payload)) > 90_000
    [blob] = list((mine.folder / "blobs").rglob(result))
    blob.unlink()
    assert [it.where for it in mine.upkeep.verify().findings if it.kind == "error"] == [str(blob)]
    mine.close()
