"""The terminal's view is a pure fold of the runner's progress."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from evercell import events as ev
from evercell.cli.view import RunView, first_line, resume_command, summary
from evercell.jupyter.headless import (
    Awaited,
    CellEnded,
    CellFailure,
    CellScheduled,
    Counted,
    Noted,
    Recorded,
    RunBegan,
    RunOutcome,
    Tally,
    Waits,
)

NOTEBOOK = Path("/lab/exp.ipynb")
DONE = RunOutcome(
    status="completed",
    notebook=NOTEBOOK,
    output=NOTEBOOK,
    cells=3,
    tally=Tally(run_id="4k2m9x0abc", cells={"restored": 2, "executed": 1}, executed=6, restored=8),
    seconds=12.3,
)
FAILURE = CellFailure(4, 3, "answers = ask()", "ValueError", "no", "Traceback")


def texts(view: RunView, *events: object) -> list[str]:
    return [line.text for event in events for line in view.apply(event)]  # type: ignore[arg-type]


def test_a_cell_that_ended_becomes_a_line_with_its_own_steps() -> None:
    view = RunView()
    lines = texts(
        view,
        RunBegan(NOTEBOOK, NOTEBOOK, 12),
        Counted(Tally(run_id="4k2m9x0abc", generation=2, executed=5)),
        CellScheduled(3, 4, "# ask\nanswers = ask()"),
        Counted(Tally(run_id="4k2m9x0abc", generation=2, executed=11, restored=8, retried=1)),
        CellEnded(3, 4, "# ask\nanswers = ask()", True, 8.23, "executed"),
    )
    assert lines == [
        "exp.ipynb: 12 cells",
        "run 4k2m9x0abc, resumed",
        "[ 4/12] ran            8.2 s  answers = ask()  (6 steps ran, 8 restored, 1 retry)",
    ]
    assert view.done == 1
    assert view.running is None


def test_a_restored_cell_and_a_failed_one_say_so() -> None:
    view = RunView(cells=2)
    restored = CellEnded(0, 1, "import this", True, 0.0031, "restored")
    failed = CellEnded(1, 2, "1/0", False, 0.01, "executed")
    assert texts(view, restored, failed) == [
        "[1/2] restored        3 ms  import this",
        "[2/2] stopped        10 ms  1/0",
    ]


def test_the_run_is_named_once() -> None:
    view = RunView()
    first = Counted(Tally(run_id="a", generation=1))
    assert texts(view, first, first, Noted("mind the gap")) == ["run a", "note: mind the gap"]


def test_the_summary_of_a_completed_run_counts_cells_and_steps() -> None:
    lines = [line.text for line in summary(DONE, "evercell run exp.ipynb")]
    assert lines == [
        "completed after 12.3 s: 3 cells (2 restored, 1 ran), 6 steps ran, 8 restored",
        "run 4k2m9x0abc, outputs in /lab/exp.ipynb",
    ]


@pytest.mark.parametrize(
    ("outcome", "headline"),
    [
        (replace(DONE, status="failed", failure=FAILURE), "failed in cell 3 of 3 (ValueError)"),
        (
            replace(
                DONE,
                status="kernel died",
                failure=replace(FAILURE, name="", message="was killed by SIGKILL"),
            ),
            "kernel died in cell 3 of 3: the process was killed by SIGKILL,",
        ),
        (
            replace(
                DONE,
                status="kernel died",
                failure=replace(FAILURE, number=0, message="exited with code 1"),
            ),
            "kernel died: the process exited with code 1,",
        ),
        (replace(DONE, status="interrupted", signal=2), "interrupted"),
    ],
)
def test_the_summary_of_any_other_end_says_where_and_how_to_go_on(
    outcome: RunOutcome, headline: str
) -> None:
    lines = [line.text for line in summary(outcome, "evercell run exp.ipynb")]
    assert lines[0].startswith(f"{headline} after 12.3 s: ")
    assert lines[-1] == "Go on with: evercell run exp.ipynb"


def test_the_resume_command_repeats_what_names_the_run_and_quotes_it() -> None:
    command = resume_command(Path("my exp.ipynb"), Path("o.ipynb"), ["s=a b"], Path("h"))
    assert command == "evercell run 'my exp.ipynb' -o o.ipynb -p 's=a b' --history h"


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("", ""),
        ("# only a comment", "# only a comment"),
        ("\n# why\nx = 1\ny = 2", "x = 1"),
        ("x" * 70, "x" * 59 + "…"),
    ],
)
def test_a_cell_is_named_by_its_first_line_of_code(source: str, shown: str) -> None:
    assert first_line(source) == shown


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (DONE, 0),
        (replace(DONE, output_written=False), 1),
        (replace(DONE, status="failed", failure=FAILURE), 1),
        (replace(DONE, status="kernel died", failure=FAILURE), 1),
        (replace(DONE, status="interrupted", signal=2), 130),
        (replace(DONE, status="interrupted", signal=15), 143),
        (replace(DONE, status="interrupted", signal=None), 130),
    ],
)
def test_the_exit_code_follows_from_the_outcome(outcome: RunOutcome, code: int) -> None:
    assert outcome.exit_code == code


def test_what_is_waited_for_comes_with_the_commands_that_answer() -> None:
    schema = '{"properties": {"env": {"type": "string"}, "n": {}}, "required": ["env"]}'
    begun = (
        ev.ApprovalRequested("r1", 1, "a-1", "id:a", "Deploy\nnow?", None, cell="c-1"),
        ev.ApprovalRequested("r1", 1, "a-2", "id:a", "Where?", schema, cell="c-1"),
        ev.SignalAwaited("r1", 1, "a-3", "id:a", "it's", None, cell="c-1"),
        ev.TimerStarted("r1", 1, "a-4", "id:a", "sleep", 86_400 * 10**9, cell="c-1"),
        ev.TimerStarted("r1", 1, "a-5", "id:a", "sleep", 10**9, cell="c-1"),
        ev.TimerStarted("w1", 1, "a-6", "workflow", "sleep", 86_400 * 10**9),
    )
    lines = RunView("--history /h").apply(Recorded(begun))
    assert all(line.whole for line in lines)
    texts = [line.text for line in lines]
    assert texts[:-1] == [
        "waiting for you: Deploy now?",
        "  say yes: evercell approve r1 --history /h",
        "  say no:  evercell reject r1 --history /h",
        "waiting for you: Where?",
        """  say yes: evercell approve r1 --value '{"env": ..., "n": ...}' --history /h""",
        "  say no:  evercell reject r1 --history /h",
        'waiting for signal "it\'s"',
        """  send it: evercell signal r1 'it'"'"'s' --history /h""",
    ]
    assert texts[-1].startswith("waiting until 197")
    left = Waits((Awaited("approval", "Publish?", "w1", None),))
    assert [line.text for line in RunView().apply(left)] == [
        "waiting for you: Publish?",
        "  say yes: evercell approve w1",
        "  say no:  evercell reject w1",
    ]
