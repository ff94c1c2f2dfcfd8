"""What the variables of the project's modules hold, told apart."""

import sys
import types
from typing import Any

import pytest

from evercell.cell.contents import fingerprints


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """A module of the project's own."""
    module = types.ModuleType("project_of_contents")
    module.__file__ = "/nowhere/project_of_contents.py"
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def print_of(module: types.ModuleType) -> bytes:
    return fingerprints([module])["project_of_contents.value"]


@pytest.mark.parametrize("kind", ["lists", "instances"])
def test_what_is_nested_deeper_than_calls_can_be_is_followed(
    module: types.ModuleType, kind: str
) -> None:
    exec("class Box:\n    def __init__(self, held): self.held = held", vars(module))
    value: Any = [1]
    inner = value
    for _ in range(10 * sys.getrecursionlimit()):
        value = [value] if kind == "lists" else module.Box(value)
    module.value = value
    before = print_of(module)
    assert print_of(module) == before
    inner.append(2)
    assert print_of(module) != before
    while value is not inner:  # one by one: an instance's end is a call in its holder's
        value = value[0] if kind == "lists" else value.held
        module.value = value


@pytest.mark.parametrize(
    "other", [2, -1, 1 << 70, -(1 << 71), 10**50, True, 1.0, "1", b"1", None, "\u00ff", [1], (1,)]
)
def test_scalars_are_told_apart(module: types.ModuleType, other: object) -> None:
    module.value = held = [1]
    before = print_of(module)
    held[0] = other  # type: ignore[call-overload]
    assert print_of(module) != before
    held[0] = 1
    assert print_of(module) == before


def test_the_order_of_parts_counts(module: types.ModuleType) -> None:
    one, other = [1], [2]
    module.value = held = [one, other]
    before = print_of(module)
    held.reverse()
    assert print_of(module) != before
