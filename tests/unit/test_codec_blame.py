"""What users are told of a value that can't be stored: which object it was, and what failed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


_CLASS = "class A:\n    def __init__(self): self.x = [1]\n"
_CASES = {
    "a reducer that raises": (
        _CLASS + "    def __reduce__(self): raise ValueError('never')\nv = [A()]",
        "A: its __reduce__ raised ValueError: never",
    ),
    "a state that raises, some way down": (
        _CLASS + "    def __getstate__(self): return self.state()\n"
        "    def state(self): return None.upper()\nv = {'a': A()}",
        "A: its __getstate__ raised AttributeError: 'NoneType' object has no attribute 'upper'",
    ),
    "an error that says nothing": (
        _CLASS + "    def __reduce__(self): raise LookupError\nv = A()",
        "A: its __reduce__ raised LookupError",
    ),
    "an object of C": (
        "import threading\nv = [threading.Lock()]",
        "cannot pickle '_thread.lock' object",
    ),
    "an iterator": (
        "import itertools\nv = itertools.count()",
        "itertools.count hides how far it has run",
    ),
    "one that does not load": (
        _CLASS + "    def __setstate__(self, state): raise KeyError('gone')\nv = A()",
        "its pickle can't be loaded: A.__setstate__ raised KeyError: 'gone'",
    ),
    "a class that can't be made from what it says": (
        "class A(tuple):\n    def __new__(cls, a, b): return super().__new__(cls, (a, b))\n"
        "v = A(1, 2)",
        "its pickle can't be loaded: TypeError: "
        "A.__new__() missing 1 required positional argument: 'b'",
    ),
    "an attribute that comes back otherwise": (
        _CLASS + "    def __setstate__(self, state): self.x = [len(state), 7]\nv = [A()]",
        "A.x comes back from its pickle as something else",
    ),
    "another object": (
        "class A(dict):\n    def __reduce__(self): return list, ()\nv = {'k': A()}",
        "A comes back from its pickle as something else",
    ),
    "a class without a module": (
        "A = type('A', (), {'__reduce__': lambda self: 1 / 0})\nA.__module__ = None\nv = A()",
        "A: its <lambda> raised ZeroDivisionError: division by zero",
    ),
}


@pytest.mark.parametrize("name", _CASES)
def test_a_reason_names_the_object_and_what_failed(name: str) -> None:
    code, reason = _CASES[name]
    bench = Bench()
    capture = bench.run(code)
    (found,) = (p.reason for p in capture.products if "v" in p.names)
    assert found == reason
