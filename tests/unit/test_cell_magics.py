"""What a magic may touch, and what of the shell a function changes."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench

from evercell.cell.source import linked_names, parse_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evercell.cell.source import Source


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def _cell(magic: str, line: str, body: str | None = None) -> str:
    runner = "run_line_magic" if body is None else "run_cell_magic"
    texts = [magic, line] if body is None else [magic, line, body]
    return f"get_ipython().{runner}({', '.join(map(repr, texts))})"


def _source(text: str) -> Source:
    return parse_source(text, text)


@pytest.mark.parametrize(
    "text",
    [
        _cell("time", "", "import xml.dom\nx = y + 1\nz.attribute = 2\n"),
        _cell("time", "import xml.dom; x = y + 1; z.attribute = 2"),
        _cell("timeit", "-n 3 -r1 -q import xml.dom; x = y + 1; z.attribute = 2"),
        _cell("capture", "--no-stderr x", "import xml.dom; y; z.attribute = 2"),
        _cell("prun", "", "import xml.dom; x = y + 1; z.attribute = 2"),
    ],
)
def test_the_python_that_a_magic_runs_is_code_of_the_cell(text: str) -> None:
    source = _source(text)
    assert {"y", "z"} <= source.reads
    assert {"y", "z"} <= source.direct
    assert "x" in source.stores
    assert "attribute" in source.facts.attributes_set
    assert source.submodules == ("xml.dom",)
    assert (source.escapes, source.shell, source.anywhere) == ((), (), False)


@pytest.mark.parametrize(
    ("text", "reads"),
    [
        ("get_ipython().system('ls $folder {name}/{rows[0].x}')", {"folder", "name", "rows", "x"}),
        (_cell("bash", "--out found", "echo hello"), set()),
        (_cell("cd", "$folder"), {"folder"}),
        ("lines = get_ipython().getoutput('cat {path}')", {"path"}),
    ],
)
def test_what_happens_outside_reads_what_its_text_names(text: str, reads: set[str]) -> None:
    source = _source(text)
    assert reads <= source.reads
    assert source.escapes  # it depends on all that came before
    assert (source.shell, source.anywhere) == ((), False)
    if "bash" in text:
        assert "found" in source.stores


@pytest.mark.parametrize(
    "text",
    [
        _cell("time", "", "!ls\nx = 1"),
        _cell("prun", "-s cumulative f()"),
        _cell("timeit", "-v saved f()"),
        _cell("run", "script.py"),
        "get_ipython().system(command)",
        "exec(text)",
    ],
)
def test_what_its_text_does_not_tell_can_touch_any_name(text: str) -> None:
    source = _source(text)
    assert source.anywhere
    assert source.escapes
    assert source.shell == ()


@pytest.mark.parametrize("text", ["from math import *", "names = dir()", "In[1]"])
def test_what_looks_at_names_only_touches_no_variable(text: str) -> None:
    source = _source(text)
    assert source.escapes
    assert not source.anywhere


def test_the_body_of_a_magic_ties_names_as_its_statements_do() -> None:
    text = _cell("time", "", "port = free()\nserver = start(port)\ntag = new()")
    assert linked_names(text, {"server"}) == {"server", "port", "start", "free"}


def test_a_patch_in_the_body_of_a_magic_is_seen() -> None:
    bench = Bench()
    bench.ns["get_ipython"] = lambda: _Shell(bench.ns)
    bench.run("import textwrap")
    cell = _cell("time", "", "def dedent(text): return 'patched'\ntextwrap.dedent = dedent")
    import textwrap

    before = textwrap.dedent
    try:
        assert "textwrap.dedent" in str(bench.run(cell).reason)
    finally:
        textwrap.dedent = before


class _Shell:
    def __init__(self, ns: dict[str, object]) -> None:
        self._ns = ns

    def run_cell_magic(self, _name: str, _line: str, body: str) -> None:
        exec(body, self._ns)

    def run_line_magic(self, _name: str, _line: str) -> None:
        """Nothing."""

    def system(self, _command: str) -> None:
        """Nothing."""

    def register(self) -> None:
        """Nothing."""


@pytest.mark.parametrize(
    ("body", "again"),
    [
        ("get_ipython().register()", True),
        ("get_ipython().run_line_magic('matplotlib', 'inline')", True),
        ("shell = get_ipython()\n    shell.register()", True),
        ("get_ipython().system('ls')", False),
        ("get_ipython().run_line_magic('cd', '/')", False),
    ],
)
def test_a_function_that_changes_the_shell_makes_its_callers_run_again(
    body: str, again: bool
) -> None:
    bench = Bench()
    bench.ns["get_ipython"] = lambda: _Shell(bench.ns)
    bench.run(f"def f():\n    {body}")
    reason = bench.run("f()").reason
    assert ("may change the shell" in str(reason)) is again
