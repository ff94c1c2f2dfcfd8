"""What an author asks for with a cell's tags, and what a step's body changes besides its result."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from sessions import Shell, Watched

from evercell.engine.host import CellRequest
from evercell.events import CellRestored, CellStarted

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def decision(folder: Path, tag: str) -> str:
    """What a kernel does with a tagged cell."""
    with Watched(folder) as notebook:
        source = "x = 1"
        request = CellRequest(source, source, 1, cell_id="c1", tags=("other", tag))
        shell = Shell(source, notebook.live)
        notebook._runner.run(notebook.session.execute(request, shell))
        assert notebook.live["x"] == 1
        (begun,) = (e for e in notebook.events if isinstance(e, CellStarted | CellRestored))
        assert shell.ran == isinstance(begun, CellStarted)
        return begun.decision if isinstance(begun, CellStarted) else "restored"


@pytest.mark.parametrize(
    ("tag", "first", "then"),
    [
        ("evercell:volatile", "volatile", "volatile"),
        ("evercell:recompute", "executed", "recomputed"),
        ("mine", "executed", "restored"),
    ],
)
def test_a_tag_is_a_mark(tmp_path: Path, tag: str, first: str, then: str) -> None:
    assert [decision(tmp_path, tag) for _ in range(3)] == [first, then, then]


ADD = """
from evercell import step
@step
def add(items):
    items.append(1)
    return len(items)
"""
CALL = "items = []\ncount = add(items)"


def test_what_a_step_changes_in_place_comes_back_with_its_cell(tmp_path: Path) -> None:
    for ran in (True, False):
        with Watched(tmp_path) as notebook:
            assert [notebook.cell(source).ran for source in (ADD, CALL)] == [ran, ran]
            assert (notebook.live["items"], notebook.live["count"]) == ([1], 1)


def test_a_replay_gives_the_result_and_what_became_of_the_arguments(tmp_path: Path) -> None:
    """As docs/steps.md says."""
    with Watched(tmp_path) as notebook:
        notebook.cell(ADD)
        notebook.cell(CALL)
    with Watched(tmp_path) as notebook:
        notebook.cell(ADD)
        assert notebook.cell(CALL + "\nedited = True").ran
        assert (notebook.live["items"], notebook.live["count"]) == ([1], 1)
