"""A notebook's run forked: what the new one knows, and what stays the other one's."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from sessions import Notebook

from evercell.engine.run import RunRequest
from evercell.engine.session import Session
from evercell.errors import HistoryLockedError, RunNotFoundError, UsageError
from evercell.history.collect import Retention

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEFINE = """
from pathlib import Path
import evercell
@evercell.step
def ask(question):
    with Path("LEDGER").open("a") as file:
        print(question, file=file)
    if question == "bad":
        raise ValueError(question)
    return question.upper()
"""
ASKS = """
answers = [ask(f"q{n}") for n in range(3)]
try:
    ask("bad")
except ValueError:
    answers.append("failed")
"""
MORE = "more = [ask(q) for q in ('q0', 'q1', 'q1', 'new')]"


@contextlib.contextmanager
def kernel(folder: Path) -> Iterator[Notebook]:
    notebook = Notebook(folder / "history")
    try:
        yield notebook
    finally:
        notebook.session.close()


def asked(folder: Path) -> list[str]:
    """The questions that were really asked, by the ledger."""
    return (folder / "ledger").read_text().split()


def run_all(notebook: Notebook, folder: Path, *sources: str) -> list[bool]:
    """Which of the cells ran."""
    define = DEFINE.replace("LEDGER", str(folder / "ledger"))
    return [notebook.cell(source).ran for source in (define, *sources)]


def test_a_fork_gives_finished_cells_back_and_answers_finished_steps(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, ASKS)
        origin = notebook.session.run_id
        fork = notebook.session.fork_run()
        assert fork == notebook.session.run_id != origin
    with kernel(tmp_path) as notebook:
        assert notebook.session.run_id == fork  # it is the notebook's current run
        assert run_all(notebook, tmp_path, ASKS, "print(answers)") == [False, False, True]
        assert notebook.live["answers"] == ["Q0", "Q1", "Q2", "failed"]
    assert asked(tmp_path) == ["q0", "q1", "q2", "bad"]
    with kernel(tmp_path) as notebook:  # edited: its steps are answered, but for what failed
        assert run_all(notebook, tmp_path, ASKS + "answers.reverse()") == [False, True]
        assert notebook.live["answers"] == ["failed", "Q2", "Q1", "Q0"]
        query = notebook.session.history.query
        assert query("SELECT forked_from FROM runs ORDER BY started_at").rows == [
            (None,),
            (origin,),
        ]
        assert query(f"SELECT name, attempts FROM steps WHERE run_id = '{fork}'").rows == [
            ("ask", 1)
        ]
    assert asked(tmp_path) == ["q0", "q1", "q2", "bad", "bad"]


def test_what_the_other_run_does_later_is_its_own(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, ASKS)
        origin = notebook.session.run_id
        history = notebook.session.history
        place = history.forks.last_place(origin)
        notebook.cell(MORE)
        assert history.forks.last_place(origin) > place
        notebook.session.fork_run()
        fork = notebook.session.run_id
        notebook.cell("unrelated = 1")
    with kernel(tmp_path) as notebook:
        # The second fork knows what the first knew when it was made, and what that did since.
        notebook.session.fork_run(fork[:6])
        assert run_all(notebook, tmp_path, ASKS, MORE, "unrelated = 1") == [False] * 4
        assert notebook.live["more"] == ["Q0", "Q1", "Q1", "NEW"]
        events = notebook.session.history.cell_events(notebook.session.run_id)
        assert {event.run_id for event in events} == {origin, fork, notebook.session.run_id}
    assert asked(tmp_path).count("new") == 1


def test_a_run_of_another_notebook_or_with_other_parameters_is_not_forked(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path)
        origin = notebook.session.run_id
    other = Session.open(tmp_path / "history", RunRequest("/nb.ipynb", {"n": 1}, None), {})
    try:
        mine = other.run_id
        with pytest.raises(UsageError, match="with the parameters"):
            other.fork_run(origin)
        with pytest.raises(RunNotFoundError):
            other.fork_run("nothing")
        assert other.run_id == mine  # it was not left
    finally:
        other.close()


@pytest.mark.parametrize("way", ["new_run", "fork_run"])
def test_where_none_can_be_begun_the_current_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    def refuse(_: str, *, new: bool = False) -> None:
        raise HistoryLockedError("busy")

    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path)
        before = notebook.session.run_id
        with monkeypatch.context() as patch:
            patch.setattr(notebook.session.history, "attach", refuse)
            with pytest.raises(HistoryLockedError):
                getattr(notebook.session, way)()
        assert notebook.session.run_id == before
        assert notebook.cell("x = 1").ran
    with kernel(tmp_path) as notebook:
        assert run_all(notebook, tmp_path, "x = 1") == [False, False]
    statuses = "SELECT type FROM events WHERE type IN ('RunAttached', 'RunDetached')"
    with kernel(tmp_path) as notebook:
        assert len(notebook.session.history.query(statuses).rows) == 5


def test_a_fork_keeps_what_it_was_forked_from(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, ASKS)
        origin = notebook.session.run_id
        notebook.session.fork_run()
        history = notebook.session.history
        swept = history.upkeep.collect(Retention(runs=(origin,)), dry_run=True)
        assert origin in dict(swept.kept)
