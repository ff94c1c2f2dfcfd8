"""A function that is known is not looked at again, unless it could be another one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest
from cellbench import Bench

from evercell.cell import namespace

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _main_module() -> Iterator[None]:
    main = sys.modules["__main__"]
    yield
    sys.modules["__main__"] = main


def test_using_a_plain_function_does_not_look_at_it(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    bench.run("def f(x, y=1): return x + y\nxs = [1]")
    looked: list[str] = []
    observe = namespace.observe

    def counted(values: dict[str, object], live: dict[str, object]) -> object:
        looked.extend(values)
        return observe(values, live)

    monkeypatch.setattr(namespace, "observe", counted)
    bench.run("y = f(xs[0])")
    assert "f" not in looked
    assert "xs" in looked


_CHANGES = {
    "code": "f.__code__ = (lambda x, y=1: x - y).__code__",
    "defaults": "f.__defaults__ = (2,)",
    "keyword defaults": "f.__kwdefaults__ = {'z': 1}",
    "an attribute": "f.note = [1]",
    "its text": "f.__doc__ = 'what it does'",
    "its name": "f.__name__ = 'g'",
    "annotations": "f.__annotations__ = {'x': int}",
    "another one": "def f(x, y=1): return x * y",
}


@pytest.mark.parametrize("name", _CHANGES)
def test_a_function_that_was_changed_is_seen(name: str) -> None:
    bench = Bench()
    bench.run("def f(x, y=1): return x + y")
    bench.run("f(1)")
    before = bench.space.versions["f"]
    capture = bench.run(_CHANGES[name])
    assert any("f" in product.names for product in capture.products)
    assert bench.space.versions["f"] != before


_MUTABLE = {
    "a list for a default": ("def f(x=[]): x.append(1); return x", "f()"),
    "a closure": (
        "def make():\n    n = []\n    def f(): n.append(1)\n    return f\nf = make()",
        "f()",
    ),
    "an attribute": ("def f(): f.calls.append(1)\nf.calls = []", "f()"),
    "keyword defaults": ("def f(*, x=()): return x", "f.__kwdefaults__['x'] = 1"),
    "annotations": ("def f(x: int): return x", "f.__annotations__['y'] = str"),
}


@pytest.mark.parametrize("name", _MUTABLE)
def test_what_can_change_in_place_is_looked_at(name: str) -> None:
    make, change = _MUTABLE[name]
    bench = Bench()
    bench.run(make)
    before = bench.space.versions["f"]
    bench.run(change)
    assert bench.space.versions["f"] != before
