"""What is foretold must happen: each preview is compared with the run that follows it."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

import msgspec
import pytest
from sessions import Notebook

from evercell.engine.preview import CellPreview, NotebookCell, preview_cells
from evercell.engine.usage import record_usage
from evercell.events import CellRestored, CellStarted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evercell.events import Event


def preview(notebook: Notebook, sources: list[str]) -> tuple[CellPreview, ...]:
    session = notebook.session
    cells = [
        NotebookCell(source, source, index, f"c{index + 1}") for index, source in enumerate(sources)
    ]
    costs = session.history.cell_costs(session.run_id)
    return preview_cells(session.cells.run.state, cells, costs=costs)


def decisions(notebook: Notebook, sources: list[str]) -> list[str]:
    """Run All: what becomes of each cell."""
    happened: list[str] = []

    def note(events: tuple[Event, ...]) -> None:
        for event in events:
            match event:
                case CellStarted():
                    happened.append(event.decision)
                case CellRestored():
                    happened.append("restored")

    end = notebook.session.history.subscribe(note)
    for source in sources:
        notebook.cell(source)
    end()
    return happened


@contextlib.contextmanager
def kernel(folder: Path) -> Iterator[Notebook]:
    notebook = Notebook(folder)
    try:
        yield notebook
    finally:
        notebook.session.close()


def run(folder: Path, sources: list[str]) -> list[str]:
    with kernel(folder) as notebook:
        return decisions(notebook, sources)


def foretell(folder: Path, sources: list[str]) -> tuple[CellPreview, ...]:
    with kernel(folder) as notebook:
        return preview(notebook, sources)


BASE = ["x = 3", "def double(n):\n    return 2 * n", "y = double(x)", "z = y + 1", "print(z)"]

EDITS = {
    "nothing": (BASE, ["restore"] * 5),
    "a comment": (["x = 3  # three", *BASE[1:]], ["restore"] * 5),
    "a value": (
        ["x = 4", *BASE[1:]],
        ["execute", "restore", "depends", "depends", "depends"],
    ),
    "the same value": (
        ["x = 2 + 1", *BASE[1:]],
        ["execute", "restore", "depends", "depends", "depends"],
    ),
    "a function": (
        [BASE[0], "def double(n):\n    return n + n", *BASE[2:]],
        ["restore", "execute", "depends", "depends", "depends"],
    ),
    "a reader": (
        [*BASE[:4], "print(z, 'edited')"],
        ["restore", "restore", "restore", "restore", "execute"],
    ),
    "a cell is gone": (
        [BASE[0], BASE[1], "pass", BASE[3]],
        ["restore", "restore", "execute", "execute"],
    ),
    "a cell is new": (
        [*BASE, "w = x + z"],
        ["restore", "restore", "restore", "restore", "restore", "execute"],
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_what_is_foretold_happens(tmp_path: Path, edit: str) -> None:
    sources, expected = EDITS[edit]
    assert run(tmp_path, BASE) == ["executed"] * 5
    with kernel(tmp_path) as notebook:
        previews = preview(notebook, sources)
        happened = decisions(notebook, sources)
    assert [each.action for each in previews] == expected
    for each, what in zip(previews, happened, strict=True):
        if each.action != "depends":
            assert what == f"{each.action}d", each


def test_reasons_name_the_cell_that_decides(tmp_path: Path) -> None:
    run(tmp_path, BASE)
    first, second, third, *_ = foretell(tmp_path, ["x = 4", *BASE[1:]])
    assert (first.reason, first.stale) == ("its source was edited", True)
    assert second.reason == "the history holds its result"
    assert third.reason == "restored if cell 1 makes x as recorded, and else run"
    assert third.depends_on == (0,)
    gone = foretell(tmp_path, [BASE[0], BASE[1], "pass", BASE[3]])[3]
    assert gone.reason == "stale: y (not defined now)"
    assert not third.stale


def test_an_edit_that_ran_makes_its_readers_stale(tmp_path: Path) -> None:
    run(tmp_path, BASE)
    run(tmp_path, ["x = 4"])
    first, second, third, fourth, _ = foretell(tmp_path, ["x = 4", *BASE[1:]])
    assert (first.action, second.action) == ("restore", "restore")
    assert (third.action, third.reason, third.stale) == ("execute", "stale: x (changed)", True)
    assert (fourth.action, fourth.depends_on) == ("depends", (2,))


def test_what_a_cell_could_change_is_said(tmp_path: Path) -> None:
    sources = ["found = []", "def note(it):\n    found.append(it)", "print(found)"]
    run(tmp_path, sources)
    previews = foretell(tmp_path, [*sources[:2], "note(1)", sources[2]])
    assert previews[2].action == "execute"
    last = previews[3]
    assert (last.action, last.depends_on) == ("restore", (2,))
    assert last.reason == "the history holds its result, unless cell 3 changes found"


def test_a_cell_that_depends_on_everything(tmp_path: Path) -> None:
    sources = ["x = 1", "exec('y = 2')"]
    run(tmp_path, sources)
    assert [each.action for each in foretell(tmp_path, sources)] == ["restore", "restore"]
    last = foretell(tmp_path, ["x = 2", sources[1]])[1]
    assert (last.action, last.depends_on) == ("depends", (0,))
    assert "cell 1 makes everything" in last.reason


def test_what_cannot_be_stored_is_recomputed(tmp_path: Path) -> None:
    sources = ["n = 3\nf = open('/dev/null')\ng = (f, n)", "m = n + 1"]
    run(tmp_path, sources)
    first, second = foretell(tmp_path, sources)
    assert first.action == "recompute"
    assert "f, g: an open file" in first.reason
    assert second.action in ("restore", "depends")  # n and g stand in one statement
    assert run(tmp_path, sources)[0] == "recomputed"


def test_what_cannot_be_stored_may_wait(tmp_path: Path) -> None:
    sources = ["n = 3\ngen = (i for i in range(n))", "m = n + 1"]
    run(tmp_path, sources)
    first, second = foretell(tmp_path, sources)
    assert (first.action, second.action) == ("restore", "restore")
    assert "it runs when a cell needs what can't be stored (gen: " in first.reason
    assert run(tmp_path, sources) == ["restored", "restored"]


def test_volatile_failed_and_new_cells(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    sources = ["# evercell: volatile\nt = 1", "1 / 0", "u = t", "fresh = 1"]
    for source in sources[:3]:
        notebook.cell(source)
    previews = preview(notebook, sources)
    notebook.session.close()
    assert [each.last for each in previews] == ["completed", "failed", "completed", "never"]
    assert [each.action for each in previews] == ["execute", "execute", "depends", "execute"]
    assert previews[1].reason == "it failed the last time"
    assert previews[3].reason == "not run before"
    assert not any(each.stale for each in previews)


def test_a_changed_project_file_is_seen_without_a_kernel(tmp_path: Path) -> None:
    data = tmp_path / "data.txt"
    data.write_text("1")
    sources = [f"text = open({str(data)!r}).read()"]
    run(tmp_path, sources)
    assert foretell(tmp_path, sources)[0].action == "restore"
    data.write_text("2")
    (only,) = foretell(tmp_path, sources)
    assert (only.action, only.stale) == ("execute", True)
    assert "data.txt (edited)" in only.reason


def test_the_recorded_cost_counts_paid_steps_over_restarts(tmp_path: Path) -> None:
    def pay() -> None:
        record_usage(model="m", input_tokens=10, output_tokens=2, cost=0.25)

    sources = ["from evercell import step\n@step\ndef ask(n):\n    pay()\n    return n", "ask(1)"]
    notebook = Notebook(tmp_path)
    notebook.live["pay"] = pay
    for source in sources:
        notebook.cell(source)
    notebook.cell("ask(1)\nask(2)\nx = 5")  # another cell: its own calls
    *_, last = preview(notebook, [*sources, "ask(1)\nask(2)\nx = 5"])
    notebook.session.close()
    assert (last.cost.steps, last.cost.input_tokens, last.cost.money) == (2, 20, 0.5)
    again = Notebook(tmp_path)
    again.live["pay"] = pay
    for source in sources:
        again.cell(source)
    again.cell("ask(1)\nask(2)\nx = 6")  # the history answers both
    *_, last = preview(again, [*sources, "ask(1)\nask(2)\nx = 7"])
    again.session.close()
    assert last.stale
    assert (last.cost.steps, last.cost.money) == (2, 0.5)
    assert last.cost.seconds > 0


def test_previews_are_json(tmp_path: Path) -> None:
    run(tmp_path, BASE)
    previews = foretell(tmp_path, BASE)
    first = json.loads(msgspec.json.encode(previews))[0]
    assert first["action"] == "restore"
    assert set(first["cost"]) == {"seconds", "steps", "input_tokens", "output_tokens", "money"}


def test_the_running_cell_is_told_apart_from_one_in_doubt(tmp_path: Path) -> None:
    notebook = Notebook(tmp_path)
    state = notebook.session.cells.run.state
    cell = NotebookCell("x = 1", "x = 1", 0, "c1")
    state.apply(CellStarted("r", 0, "a", "id:c1", 0, "c1", "", b"", 0, "executed", "", 1))
    (only,) = preview_cells(state, [cell])
    assert (only.last, only.reason) == ("in doubt", "it was cut off before it finished")
    (only,) = preview_cells(state, [cell], running="id:c1")
    assert only.last == "running"
    notebook.session.close()


def test_a_restore_points_to_what_it_came_from(tmp_path: Path) -> None:
    run(tmp_path, ["x = 1"])
    notebook = Notebook(tmp_path)
    notebook.cell("x = 1")
    state = notebook.session.cells.run.state
    record = state.latest("id:c1")
    events = notebook.session.history.events(notebook.session.run_id)
    (restored,) = [event for event in events if isinstance(event, CellRestored)]
    assert record is not None
    assert record.completed.activity_id == restored.origin
    notebook.session.close()


def test_a_file_that_a_cell_further_down_rewrote_is_no_edit(tmp_path: Path) -> None:
    file = tmp_path / "data.txt"
    sources = [
        f"import pathlib\nfile = pathlib.Path({str(file)!r})",
        "written = file.write_text('1')",
        "read = file.read_text()",
        "written = file.write_text('2')",
        "again = file.read_text()",
    ]
    run(tmp_path / "h", sources)
    assert [p.action for p in foretell(tmp_path / "h", sources)] == ["restore"] * 5
    assert run(tmp_path / "h", sources) == ["restored"] * 5
    edited = [*sources[:1], "written = file.write_text('3')", *sources[2:]]
    # What a cell above writes now is none of what a cell below left.
    assert run(tmp_path / "h", edited)[1:3] == ["executed", "executed"]
    file.write_text("by hand")
    assert [p.action for p in foretell(tmp_path / "h", edited)][2] == "execute"
