"""Recorded runs of every behaviour are replayed by the code that they were recorded with, for
ever; and today's engine records the same."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from golden_flows import FLOWS, opened, work
from make_workflows import KEY, play

from evercell import events as e
from evercell import workflow
from evercell.engine.workflow.asks import ASKED, REACHED
from evercell.engine.workflow.definition import DEFINED
from evercell.errors import NondeterminismError
from evercell.history import History
from evercell.testing import Replayer, WorkflowEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evercell.engine.workflow.definition import Workflow

HERE = Path(__file__).parent
GOLDEN = sorted(HERE.glob("workflows-*.jsonl"), key=lambda it: int(it.stem.rpartition("-")[2]))


@pytest.fixture(autouse=True)
def golden_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_bytes(KEY)
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))


@pytest.fixture(params=GOLDEN, ids=lambda path: str(path.stem))
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    folder = tmp_path / "history"
    history = History(folder)
    history.upkeep.import_(request.param)
    history.upkeep.trust()  # how events are signed is for the golden histories of each schema
    history.close()
    return folder


@pytest.fixture
def defined() -> Iterator[None]:
    before = dict(DEFINED)
    DEFINED.clear()
    yield
    DEFINED.clear()
    DEFINED.update(before)


def otherwise(name: str) -> Workflow[..., Any]:
    """A workflow of that name whose code asks for something else."""

    @workflow(name=name)
    async def wrong(*_: Any) -> Any:
        return await work("something else")

    return wrong


def test_there_is_one() -> None:
    assert GOLDEN


def test_each_run_fits_its_code(folder: Path) -> None:
    replayed = Replayer(*FLOWS).replay_folder(folder)
    assert [(run.workflow, run.error) for run in replayed if run.error is not None] == []
    assert {run.workflow for run in replayed} == {flow.name for flow in FLOWS}


def test_and_no_other_code(folder: Path) -> None:
    wrong = Replayer(*(otherwise(flow.name) for flow in FLOWS)).replay_folder(folder)
    assert all(isinstance(run.error, NondeterminismError | None) for run in wrong)
    # One has asked for nothing yet: a child that waits for a signal.
    assert [run.workflow for run in wrong if run.error is None] == ["golden.child"]


def test_todays_engine_records_the_same(tmp_path: Path, folder: Path) -> None:
    with WorkflowEnvironment(tmp_path / "today") as env:
        play(env)
        today = shapes(env.history)
    history = History(folder)
    try:
        assert today == shapes(history)
    finally:
        history.close()


def shapes(history: History) -> list[tuple[str, ...]]:
    """What each run asked for and what reached it, by kind, in order."""
    runs = [run.run_id for run in history.runs() if run.workflow != "notebook"]
    found = []
    for events in history.workflows.events(runs).values():
        [name] = [event.workflow for event in events if isinstance(event, e.RunStarted)]
        kinds = [type(event).__name__ for event in events if isinstance(event, (*ASKED, *REACHED))]
        found.append((name, *kinds))
    return sorted(found)


@pytest.mark.usefixtures("defined")
def test_an_open_one_goes_on(folder: Path) -> None:
    with WorkflowEnvironment(folder) as env:
        env.worker.define(opened)
        handle = workflow.get_handle("open")
        assert handle.status == "running"
        handle.signal("end", "now")
        assert handle.result(30) == ["first", "second", "now", "third"]
