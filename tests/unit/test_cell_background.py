"""Threads and tasks that run on beside the cells: what they change is nobody's record."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench
from sessions import Notebook

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def test_what_changed_in_place_between_cells_has_a_version_of_its_own() -> None:
    bench = Bench()
    bench.run("a = [1]; b = [2]; p = {'a': a}; n = 3")
    versions, lineage = dict(bench.space.versions), bench.space.lineage
    bench.space.disturb()
    bench.ns["a"].append(2)
    reads = {"a": versions["a"]}
    assert bench.space.lookup(reads) == "a (changed)"
    changed = {n for n, v in bench.space.versions.items() if versions[n] != v}
    assert changed == {"a", "p"}
    assert bench.space.lineage != lineage


def test_nothing_changed_nothing_happens() -> None:
    bench = Bench()
    bench.run("a = [1]; b = [a]")
    second = Bench()
    second.replay(["a = [1]; b = [a]"], bench)
    versions, lineage = dict(second.space.versions), second.space.lineage
    second.space.disturb()
    assert second.space.lookup({"a": versions["a"]}) is None
    assert (second.space.versions, second.space.lineage) == (versions, lineage)


_THREAD = (
    "import threading\nbegun, go, done = (threading.Event() for _ in range(3))\n"
    "def work():\n    begun.set(); go.wait(60); a.append(2); done.set()\n"
    "thread = threading.Thread(target=work); thread.start(); begun.wait(60);"
)


@pytest.mark.parametrize("when", ["between cells", "while a cell runs"])
def test_a_thread_that_changes_a_variable(tmp_path: Path, when: str) -> None:
    cells = ["a = [1]", _THREAD, "n = len(a)"]
    if when == "while a cell runs":
        cells[2] = "go.set(); thread.join(60); n = len(a)"
    first = Notebook(tmp_path)
    for source in cells[:2]:
        first.cell(source)
    if when == "between cells":
        first.live["go"].set()
        first.live["thread"].join(60)
    first.cell(cells[2])
    assert first.live["n"] == 2
    first.close()

    second = Notebook(tmp_path)
    ran = [second.cell(source).ran for source in cells[:2]]
    assert ran == [False, True]
    if when == "between cells":  # this time the thread has not done it yet
        assert second.cell(cells[2]).ran
        assert second.live["n"] == 1
        second.live["go"].set()
    else:
        assert second.cell(cells[2]).ran
        assert second.live["n"] == 2
    second.live["thread"].join(60)
    second.close()
