"""Large values stay on disk until somebody needs them, and nobody can tell."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING

import pytest
from sessions import Notebook

from evercell import settings
from evercell.cell.pending import Deferred
from evercell.cell.words import words_in, words_of
from evercell.errors import PayloadError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGE = 100_000  # bytes: a file of its own


@pytest.fixture(autouse=True)
def _everything_waits() -> Iterator[None]:
    main = sys.modules["__main__"]
    settings.change(lazy_from=1, compress=False)
    yield
    settings.reset()
    sys.modules["__main__"] = main


@contextlib.contextmanager
def kernel(folder: Path) -> Iterator[Notebook]:
    notebook = Notebook(folder)
    try:
        yield notebook
    finally:
        notebook.session.close()


def ran(notebook: Notebook, sources: list[str]) -> list[bool]:
    return [notebook.cell(source).ran for source in sources]


@contextlib.contextmanager
def restored(folder: Path, sources: list[str]) -> Iterator[Notebook]:
    """A second kernel after the cells were run in a first and given back in this one."""
    with kernel(folder) as notebook:
        ran(notebook, sources)
    with kernel(folder) as notebook:
        assert not any(ran(notebook, sources))
        yield notebook


def test_what_nobody_reads_is_not_read(tmp_path: Path) -> None:
    with restored(tmp_path, [f"big = bytes({LARGE})", "n = 3", "size = len(big)"]) as notebook:
        assert not {"big", "n", "size"} & notebook.live.keys()
        blobs = [path for path in tmp_path.rglob("blobs/*/*") if path.stat().st_size >= LARGE]
        assert blobs
        for blob in blobs:
            blob.write_bytes(bytes(blob.stat().st_size))  # whoever reads it now is refused
        notebook.cell("m = n + 1")
        assert notebook.live["m"] == 4
        assert "big" not in notebook.live
        with pytest.raises(PayloadError):
            notebook.cell("len(big)")
        notebook.cell(f"big = bytes({LARGE})")
        assert notebook.cell("m = len(big)").ran
        assert notebook.live["m"] == LARGE


@pytest.mark.parametrize(
    "reader",
    [
        "seen = x[0]",
        "seen = read()",
        "seen = Reader().value",
        "seen = [x[0] for _ in range(1)][0]",
        "seen = globals()['x'][0]",
        "seen = eval('x')[0]",
        "try:\n    seen = x[0]\nexcept NameError:\n    seen = None",
        "seen = look_up(wanted)",
    ],
)
def test_every_way_to_a_variable_finds_it(tmp_path: Path, reader: str) -> None:
    sources = [
        "x = [41]",
        "def read():\n    return x[0]",
        "class Reader:\n    @property\n    def value(self):\n        return x[0]",
        "wanted = 'x'",
    ]
    with restored(tmp_path, sources) as notebook:
        assert "x" not in notebook.live
        # A library that looks a name up in its caller's frame: pandas' query, SQL over variables.
        sys.modules["evercell_test_frames"] = frames = type(sys)("frames")
        exec("def look_up(name):\n    import sys\n    return sys._getframe(1).f_globals[name][0]",
             vars(frames))  # fmt: skip
        notebook.cell("from evercell_test_frames import look_up")
        notebook.cell(reader)
        assert notebook.live["seen"] == 41
    del sys.modules["evercell_test_frames"]


def test_aliases_come_back_together(tmp_path: Path) -> None:
    with restored(tmp_path, ["a = [1]\nb = {'a': a}", "c = [2]"]) as notebook:
        notebook.cell("b['a'].append(2)")
        assert notebook.live["a"] is notebook.live["b"]["a"]
        assert notebook.live["a"] == [1, 2]
        assert "c" not in notebook.live
    with kernel(tmp_path) as notebook:
        ran(notebook, ["a = [1]\nb = {'a': a}", "c = [2]", "b['a'].append(2)"])
        notebook.cell("seen = a, b, a is b['a']")
        assert notebook.live["seen"] == ([1, 2], {"a": [1, 2]}, True)


def test_what_is_bound_anew_is_not_loaded_over_it(tmp_path: Path) -> None:
    with restored(tmp_path, ["a = [1]\nb = a", "c = [3]"]) as notebook:
        notebook.cell("a = 'new'")
        notebook.cell("del c")
        notebook.cell("seen = b")
        assert (notebook.live["a"], notebook.live["seen"]) == ("new", [1])
        assert "c" not in notebook.live
        notebook.cell("b.append(2)")
        assert notebook.live["b"] == [1, 2]
    with kernel(tmp_path) as notebook:
        sources = ["a = [1]\nb = a", "c = [3]", "a = 'new'", "del c", "seen = b", "b.append(2)"]
        assert not any(ran(notebook, sources))
        notebook.cell("all_of_it = a, b, seen")
        assert notebook.live["all_of_it"] == ("new", [1, 2], [1, 2])
        assert notebook.live["b"] is notebook.live["seen"]


def test_what_refers_to_others_by_name_does_not_wait(tmp_path: Path) -> None:
    sources = ["class Point:\n    x = 1", "point = Point()", "class Point:\n    x = 2"]
    with restored(tmp_path, sources) as notebook:
        notebook.cell("seen = point.x, Point.x")
        assert notebook.live["seen"] == (1, 2)


def test_a_function_that_waits_is_found_by_what_names_it(tmp_path: Path) -> None:
    sources = ["def double(n):\n    return 2 * n", "table = {'double': double}"]
    with restored(tmp_path, sources) as notebook:
        notebook.cell("seen = table['double'](4), table['double'] is double")
        assert notebook.live["seen"] == (8, True)


def test_versions_are_those_of_what_was_loaded(tmp_path: Path) -> None:
    sources = ["x = [1]", "y = len(x)", "z = y + len(x)"]
    with restored(tmp_path, sources) as notebook:
        notebook.cell("x[0]")  # loads it, and changes nothing
    with kernel(tmp_path) as notebook:
        assert not any(ran(notebook, [*sources, "x[0]"]))


def test_what_was_displayed_stands_aside_until_it_is_needed(tmp_path: Path) -> None:
    with restored(tmp_path, ["x = [7]"]) as notebook:
        space = notebook.session.cells.namespace
        (waiting,) = space.pending.of({"x"})
        stand = waiting.deferred("x")
        assert isinstance(stand, Deferred)
        assert repr(stand) == "<x: not loaded yet>"
        notebook.live["_oh"] = notebook.live["Out"] = {1: stand}
        notebook.live["_"] = stand
        notebook.cell("seen = _[0]")
        assert notebook.live["seen"] == 7
        assert notebook.live["Out"][1] is notebook.live["x"]


def test_a_value_that_is_gone_is_noticed_when_its_cell_is_restored(tmp_path: Path) -> None:
    source = f"big = bytes({LARGE})"
    with kernel(tmp_path) as notebook:
        notebook.cell(source)
    for blob in tmp_path.rglob("blobs/*/*"):
        blob.unlink()
    with kernel(tmp_path) as notebook:
        assert notebook.cell(source).ran
        assert len(notebook.live["big"]) == LARGE


def test_another_run_begins_with_everything_there(tmp_path: Path) -> None:
    with restored(tmp_path, ["x = [1]"]) as notebook:
        notebook.session.new_run()
        assert notebook.live["x"] == [1]


def test_the_limit_is_a_setting(tmp_path: Path) -> None:
    settings.change(lazy_from=None)
    with restored(tmp_path, [f"big = bytes({LARGE})"]) as notebook:
        assert "big" in notebook.live
    settings.change(lazy_from=LARGE)
    with kernel(tmp_path) as notebook:
        ran(notebook, [f"big = bytes({LARGE})", "small = 1"])
        assert "small" in notebook.live
        assert "big" not in notebook.live
        notebook.session.provide("print(big)")
        assert "big" in notebook.live
    for wrong in ("8MB", -1, True):
        with pytest.raises(UsageError, match="lazy_from is a number of bytes"):
            settings.change(lazy_from=wrong)


def test_words() -> None:
    assert words_in("df.query('x > @limit')") == {"df", "query", "x", "limit"}

    def local() -> str:
        return "a text in code"

    local.__module__ = "__main__"
    assert {"text", "code"} <= words_of([local])
    assert words_of([{"k": ["in a list"]}, ("and", 1)]) == {"in", "a", "list", "and"}
    assert words_of(["one two", 3, object()]) == {"one", "two"}
