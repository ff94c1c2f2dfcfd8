"""On a user's word: results that are kept, records that are taken out of use, and why."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
from sessions import Notebook

from evercell.engine.preview import NotebookCell
from evercell.errors import UsageError
from evercell.events import CellAccepted, CellForgotten
from evercell.jupyter.outlook import accepted_text, explanation_text, outlook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BASE = ["x = 3", "def double(n):\n    return 2 * n", "y = double(x)", "print(y)"]


@contextlib.contextmanager
def kernel(folder: Path) -> Iterator[Notebook]:
    notebook = Notebook(folder)
    try:
        yield notebook
    finally:
        notebook.session.close()


def cells(sources: list[str]) -> tuple[NotebookCell, ...]:
    return tuple(
        NotebookCell(source, source, index, f"c{index + 1}") for index, source in enumerate(sources)
    )


def run(folder: Path, sources: list[str]) -> list[bool]:
    """One kernel's Run All: which cells ran."""
    with kernel(folder) as notebook:
        return [notebook.cell(source).ran for source in sources]


def test_accepting_keeps_the_results_of_all_that_an_edit_made_stale(tmp_path: Path) -> None:
    run(tmp_path, BASE)
    edited = ["x = 4", *BASE[1:]]
    with kernel(tmp_path) as notebook:
        outcome = notebook.session.accept(cells(edited))
        assert [event.cell_index for event in outcome.kept] == [0]
        assert outcome.kept[0].user
        assert accepted_text(outcome) == "accepted cell 1: its source was edited"
        events = notebook.session.history.events(notebook.session.run_id)
        assert [e for e in events if isinstance(e, CellAccepted)] == list(outcome.kept)
        assert {p.action for p in notebook.session.preview(cells(edited))} == {"restore"}
    with kernel(tmp_path) as notebook:
        assert [notebook.cell(source).ran for source in edited] == [False] * 4
        assert notebook.live["x"] == 3  # what was recorded, on the user's word
        assert notebook.live["y"] == 6
        reason = notebook.session.history.query("SELECT reason FROM cells").rows[-4][0]
        assert "accepted its recorded result on" in str(reason)


def test_what_was_accepted_goes_stale_again_with_its_new_inputs(tmp_path: Path) -> None:
    run(tmp_path, BASE)
    edited = [*BASE[:2], "y = double(x) + 1", BASE[3]]
    with kernel(tmp_path) as notebook:
        notebook.session.accept(cells(edited), 2)
    assert run(tmp_path, edited) == [False] * 4
    edited[0] = "x = 5"
    assert run(tmp_path, edited) == [True, False, True, True]


def test_a_cell_behind_one_that_has_to_run_waits_for_it(tmp_path: Path) -> None:
    run(tmp_path, BASE)
    edited = ["x = 4", BASE[1], "y = double(x) + 1", BASE[3]]
    with kernel(tmp_path) as notebook:
        with pytest.raises(UsageError, match="cell 1, which it depends on, has to run"):
            notebook.session.accept(cells(edited), 2)
        assert len(notebook.session.accept(cells(edited)).kept) == 2  # in order, both can be
    assert run(tmp_path, edited) == [False] * 4


@pytest.mark.parametrize(
    ("sources", "why"),
    [
        (["x = 1"], "its record fits already"),
        (["x = 1", "# evercell: volatile\ny = 2"], "it is volatile"),
        (["x = 1", "new = 1"], "no recorded result"),
    ],
)
def test_what_cannot_be_accepted_says_why(tmp_path: Path, sources: list[str], why: str) -> None:
    run(tmp_path, [s for s in sources if "new" not in s])
    with kernel(tmp_path) as notebook, pytest.raises(UsageError, match=why):
        notebook.session.accept(cells(sources), len(sources) - 1)


def test_what_cannot_be_stored_cannot_be_accepted(tmp_path: Path) -> None:
    run(tmp_path, ["gen = (i for i in range(3))"])
    edited = cells(["gen = (i for i in range(4))"])
    with kernel(tmp_path) as notebook:
        outcome = notebook.session.accept(edited)
        assert not outcome.kept
        assert "not accepted: cell 1, it has to run" in accepted_text(outcome)


def test_a_cell_that_failed_since_keeps_its_older_result_only_by_name(tmp_path: Path) -> None:
    sources = ["x = 1", "y = x"]
    run(tmp_path, sources)
    broken = ["x = 1", "y = x / 0"]
    run(tmp_path, broken)
    with kernel(tmp_path) as notebook:
        assert not notebook.session.accept(cells(broken)).kept
        assert notebook.session.accept(cells(broken), 1).kept
    assert run(tmp_path, broken) == [False, False]


def test_a_forgotten_record_is_never_a_hit_again(tmp_path: Path) -> None:
    run(tmp_path, BASE)
    with kernel(tmp_path) as notebook:
        (event,) = notebook.session.forget(cells(BASE), 2)
        assert isinstance(event, CellForgotten)
        preview = notebook.session.preview(cells(BASE))[2]
        assert (preview.action, preview.reason) == ("execute", "its record was forgotten")
        with pytest.raises(UsageError, match="forgotten"):
            notebook.session.accept(cells(BASE), 2)
        with pytest.raises(UsageError, match="There is no recorded result"):
            notebook.session.forget(cells(BASE), 2)
    assert run(tmp_path, BASE) == [False, False, True, False]
    assert run(tmp_path, BASE) == [False] * 4  # the new record counts


def test_all_can_be_forgotten_and_steps_are_answered_still(tmp_path: Path) -> None:
    calls: list[int] = []
    sources = ["from evercell import step\n@step\ndef ask(n):\n    calls.append(n)", "ask(1)"]
    for expected in ([1], [1]):
        with kernel(tmp_path) as notebook:
            notebook.live["calls"] = calls
            assert [notebook.cell(source).ran for source in sources] == [True, True]
            assert len(notebook.session.forget(cells(sources))) == 2
        assert calls == expected


def explained(notebook: Notebook, sources: list[str], number: int) -> str:
    chosen = cells(sources)[number - 1]
    found = notebook.session.explain(cells(sources), number - 1)
    assert found is not None
    return explanation_text(found, chosen)


def test_explain_names_what_decided(tmp_path: Path) -> None:
    run(tmp_path, BASE)
    hit = ["x = 3", *BASE[1:]]
    value = ["x = 4", *BASE[1:]]
    function = [BASE[0], "def double(n):\n    return n + n", *BASE[2:]]
    with kernel(tmp_path) as notebook:
        text = explained(notebook, hit, 3)
        assert "would be restored: the history holds its result" in text
        assert "same     double (function), x (variable)" in text
        text = explained(notebook, value, 1)
        assert "would be run: its source was edited" in text
        assert "-x = 3" in text
        assert "+x = 4" in text
        text = explained(notebook, value, 3)
        assert "decided by what runs before: restored if cell 1 makes x as recorded" in text
        assert "unsure   x (variable, cell 1): cell 1 makes it by running" in text
    run(tmp_path, value[:1])
    run(tmp_path, function[:2])
    with kernel(tmp_path) as notebook:
        assert "changed  x (variable, cell 1): was `x = 3`, is `x = 4`" in explained(
            notebook, value, 3
        )
        assert "changed  double (function, cell 2): its code was edited" in explained(
            notebook, function, 3
        )
        assert notebook.session.explain(cells(BASE), 99) is None


def test_explain_tells_a_default_from_code_and_names_files(tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("1")
    sources = ["rate = 2", "def scale(n, by=rate):\n    return n * by", "scale(3)",
               f"text = open({str(data)!r}).read()"]  # fmt: skip
    run(tmp_path, sources)
    run(tmp_path, ["rate = 5", *sources[1:2]])
    data.write_text("2")
    with kernel(tmp_path) as notebook:
        text = explained(notebook, ["rate = 5", *sources[1:]], 3)
        assert "changed  scale (function, cell 2): its code is the same; a default" in text
        assert "data.txt (file)" in explained(notebook, sources, 4)


def test_explain_says_which_argument_of_a_step_missed(tmp_path: Path) -> None:
    base = ["from evercell import step\n@step\ndef ask(prompt, n=1):\n    return prompt"]
    run(tmp_path, [*base, "ask('a', n=1)"])
    run(tmp_path, [*base, "ask('a', n=2)"])
    with kernel(tmp_path) as notebook:
        text = explained(notebook, [*base, "ask('a', n=2)"], 2)
    assert "step     ask ran: no recorded call has its arguments; the nearest differs in n" in text


def test_status_shows_stale_cells_and_what_they_had_cost(tmp_path: Path) -> None:
    run(tmp_path, BASE)
    edited = cells(["x = 4", *BASE[1:]])
    with kernel(tmp_path) as notebook:
        text = outlook(notebook.session.preview(edited), edited)
        nothing = outlook(notebook.session.preview(cells(BASE)), cells(BASE))
    assert "restart  1 restored, 1 run (at most" in text
    assert "2 decided by what runs before" in text
    assert "stale    cell 1  x = 4" in text
    assert "its source was edited; running it repeats at most" in text
    assert "%evercell accept" in text
    assert "stale" not in nothing
