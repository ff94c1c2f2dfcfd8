"""A notebook's run forked with another result for a step, and an earlier run gone on with."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from test_engine_forks import asked, kernel, run_all

from evercell.engine import commands
from evercell.engine.forks import record_fork
from evercell.engine.run import RunRequest
from evercell.engine.session import Session
from evercell.errors import ForkError, NotStorableError, RunInUseError, RunNotFoundError, UsageError
from evercell.settings import change

if TYPE_CHECKING:
    from pathlib import Path

    from evercell.history import History

PLAN = "first = ask('first')\nplan = ask('plan')\nlast = ask('last')"
USES = "act = ask('do ' + plan)"
OTHER = "other = ask('other')"
CELLS = PLAN, USES, OTHER


def plan_of(history: History, run: str) -> str:
    """The activity_id of the step that is overridden."""
    ((activity_id,),) = history.query(
        "SELECT activity_id FROM steps WHERE run_id = $run AND arguments->>'question' = 'plan'",
        {"run": run},
    ).rows
    return str(activity_id)


def test_an_overridden_step_has_its_cell_and_what_depends_on_it_run_again(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, *CELLS)
        origin, history = notebook.session.run_id, notebook.session.history
        plan = plan_of(history, origin)
        fork = notebook.session.fork_run(None, {plan: "BETTER"})
    with kernel(tmp_path) as notebook:
        assert notebook.session.run_id == fork
        # The definition and what does not depend on it come back; nothing is asked but what is new.
        assert run_all(notebook, tmp_path, *CELLS) == [False, True, True, False]
        assert {name: notebook.live[name] for name in ("first", "plan", "last", "act")} == {
            "first": "FIRST", "plan": "BETTER", "last": "LAST", "act": "DO BETTER",
        }  # fmt: skip
        query = notebook.session.history.query
        assert query(f"SELECT forked_from, overrides FROM runs WHERE run_id = '{fork}'").rows == [
            (origin, [plan])
        ]
        rows = query(
            """SELECT arguments->>'question', result->>'$', reason, restored, cell_index
            FROM steps WHERE run_id = $run""",
            {"run": fork},
        ).rows
        assert rows[0][:4] == ("plan", "BETTER", rows[0][2], 1)
        assert rows[0][2].startswith("overridden by ")
        assert rows[0][4] == 1  # the place of its cell
        assert [row[0] for row in rows[1:]] == ["do BETTER"]
        (why,) = query(
            "SELECT reason FROM cells WHERE run_id = $run AND cell_index = 1", {"run": fork}
        ).rows
        assert why == ("the result of one of its steps was overridden",)
        assert notebook.session.history.upkeep.verify().findings == ()
    assert asked(tmp_path) == ["first", "plan", "last", "do", "PLAN", "other", "do", "BETTER"]
    with kernel(tmp_path) as notebook:  # what was forked is as it was
        notebook.session.resume_run(origin)
        assert run_all(notebook, tmp_path, *CELLS) == [False] * 4
        assert notebook.live["act"] == "DO PLAN"
    assert len(asked(tmp_path)) == 8


def test_an_override_can_be_overridden_and_forked(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, *CELLS)
        fork = notebook.session.fork_run(None, {"ask#1": "ONE"})
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, *CELLS)
        second = notebook.session.fork_run(None, {"ask#1": "TWO", "ask#3": "NOT ASKED"})
        assert second != fork
    with kernel(tmp_path) as notebook:
        # ask#3 is what the first run asked about PLAN; what is asked about TWO is another step.
        assert run_all(notebook, tmp_path, *CELLS) == [False, True, True, False]
        assert notebook.live["act"] == "DO TWO"
        notebook.session.fork_run()
    with kernel(tmp_path) as notebook:
        assert run_all(notebook, tmp_path, *CELLS) == [False] * 4
        assert (notebook.live["plan"], notebook.live["act"]) == ("TWO", "DO TWO")
    assert asked(tmp_path)[-4:] == ["do", "ONE", "do", "TWO"]


def test_a_failed_step_can_be_given_a_result(tmp_path: Path) -> None:
    fails = "answer = ask('bad')\nmore = ask('more about ' + answer)"
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, fails)
        notebook.session.fork_run(None, {"ask": "good"})
    with kernel(tmp_path) as notebook:
        assert run_all(notebook, tmp_path, fails) == [False, True]
        assert notebook.live["more"] == "MORE ABOUT GOOD"
    assert asked(tmp_path) == ["bad", "more", "about", "good"]


def test_what_people_said_after_the_step_is_asked_again(tmp_path: Path) -> None:
    before = "import evercell\nwith_plan = evercell.wait_signal('before')\nplan = ask('plan')"
    after = "word = (plan, evercell.wait_signal('after'))"
    with kernel(tmp_path) as notebook:
        session = notebook.session

        def send(name: str) -> None:
            payload, view = commands.enclosed(session.history, [["said"], {}], {})
            session.commands.submit(commands.Signal(session.run_id, name, payload, view))

        send("before")
        send("after")
        run_all(notebook, tmp_path, before, after)
        assert notebook.live["word"] == ("PLAN", "said")
        history, origin = session.history, session.run_id
        for overrides, shared in (({}, 2), ({"ask": "BETTER"}, 1)):
            fork = record_fork(history, session.clock, origin, overrides)
            taken = [it for it in history.wait_events(fork) if type(it).__name__ == "SignalTaken"]
            assert len(taken) == shared
            later = record_fork(history, session.clock, fork)
            assert len(history.wait_events(later)) == len(history.wait_events(fork))


@pytest.mark.parametrize(
    ("name", "why"),
    [("nothing", "has no step"), ("ask#7", "4 steps have that name"), ("ask#x", "has no step")],
)
def test_an_unknown_step_is_not_overridden(tmp_path: Path, name: str, why: str) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, PLAN, USES)
        before = notebook.session.run_id
        with pytest.raises(ForkError, match=why):
            notebook.session.fork_run(None, {name: 1})
        assert notebook.session.run_id == before
        assert len(notebook.session.history.runs()) == 1


def test_a_value_that_can_not_be_recorded_forks_nothing(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, PLAN)
        change(payload_limit=100)
        try:
            with pytest.raises(NotStorableError):
                notebook.session.fork_run(None, {"ask": "x" * 200})
        finally:
            change(payload_limit=None)
        assert len(notebook.session.history.runs()) == 1


FORKS = """
import sys
from pathlib import Path
from evercell.clock import SystemClock
from evercell.engine.forks import record_fork
from evercell.history import History
history = History(Path(sys.argv[1]))
record_fork(history, SystemClock(), sys.argv[2], {"ask#1": "BETTER", "ask#0": "NEW"})
history.close()
"""


@pytest.mark.parametrize("place", ["append:1", "sync:1"])
def test_a_kill_leaves_the_whole_fork_or_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, *CELLS)
        origin = notebook.session.run_id
    command = [sys.executable, "-c", textwrap.dedent(FORKS), str(tmp_path / "history"), origin]
    with monkeypatch.context() as patch:
        patch.setenv("EVERCELL_FAILPOINT", place)
        assert subprocess.run(command, check=False).returncode == -9
    with kernel(tmp_path) as notebook:
        is_forked = notebook.session.run_id != origin
        assert is_forked == (place != "append:1")
        ran = run_all(notebook, tmp_path, *CELLS)
        assert ran == ([False, True, True, False] if is_forked else [False] * 4)
        assert notebook.live["plan"] == ("BETTER" if is_forked else "PLAN")
    # Once more, whatever came of it: another fork, of the first run as it was.
    subprocess.run(command, check=True)
    with kernel(tmp_path) as notebook:
        assert run_all(notebook, tmp_path, *CELLS) == [False, True, True, False]
        assert (notebook.live["first"], notebook.live["act"]) == ("NEW", "DO BETTER")
        assert notebook.session.history.upkeep.verify().findings == ()


def test_a_kernel_stays_at_its_run_while_another_process_forks_it(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, *CELLS)
        origin = notebook.session.run_id
        command = [sys.executable, "-c", textwrap.dedent(FORKS), str(tmp_path / "history"), origin]
        subprocess.run(command, check=True)
        assert notebook.cell("x = 1").ran
        assert notebook.session.run_id == origin
        cells = notebook.session.history.query("SELECT DISTINCT run_id FROM cells").rows
        assert cells == [(origin,)]
    with kernel(tmp_path) as notebook:
        assert notebook.session.run_id != origin


def test_an_earlier_run_goes_on_and_stays_the_current_one(tmp_path: Path) -> None:
    with kernel(tmp_path) as notebook:
        run_all(notebook, tmp_path, PLAN)
        first = notebook.session.run_id
        second = notebook.session.new_run()
        run_all(notebook, tmp_path, PLAN)
        assert notebook.session.resume_run(first[:7]) == first
        assert notebook.session.resume_run(first) == first  # it is there
        notebook.cell("later = 1")
    with kernel(tmp_path) as notebook:
        assert notebook.session.run_id == first
        assert run_all(notebook, tmp_path, PLAN) == [False, False]
        with pytest.raises(RunNotFoundError):
            notebook.session.resume_run("nothing")
        other = Session.open(
            tmp_path / "history", RunRequest("/nb.ipynb", {}, None, run=second), {}
        )
        try:
            assert other.run_id == second
            with pytest.raises(RunInUseError):
                other.resume_run(first)
            assert other.run_id == second
            with pytest.raises(UsageError, match="with the parameters"):
                Session.open(tmp_path / "history", RunRequest("/b.ipynb", {}, None, run=first), {})
        finally:
            other.close()
    assert asked(tmp_path) == ["first", "plan", "last"] * 2
