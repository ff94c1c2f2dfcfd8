from __future__ import annotations

import pytest

from evercell.cell.source import linked_names


@pytest.mark.parametrize(
    ("cell", "lost", "tied"),
    [
        ("port = free()\nserver = start(port)\ntag = new()", "server", "free port server start"),
        ("client = Client()\nrun = uuid4()", "client", "client Client"),
        ("a = 1\nb = a\nc = b\nd = 2", "c", "a b c"),
        ("def f():\n    return key\nkey = 1\nother = 2", "f", "f key"),
        ("import os.path as p\nx = p.sep\ny = 1", "x", "p x"),
        ("for i in items:\n    total += i\nz = 1", "items", "i items total"),
        ("class A:\n    k = base\nbase = 1", "A", "A base k"),
        ("x = 1", "", ""),
    ],
)
def test_statements_tie_names(cell: str, lost: str, tied: str) -> None:
    assert linked_names(cell, lost.split()) == set(tied.split())


def test_loose_names_tie_nothing() -> None:
    cell = "import os\na = os.getpid()\nb = os.getcwd()"
    assert linked_names(cell, ["a"]) == {"a", "b", "os"}
    assert linked_names(cell, ["a"], loose=["os"]) == {"a"}
