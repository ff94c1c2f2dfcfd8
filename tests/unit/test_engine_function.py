"""The version of a step's function: what counts as a part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.engine.function import FunctionVersion

if TYPE_CHECKING:
    import pytest


def test_a_variable_in_a_text_that_is_evaluated_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(table: Any) -> Any:
        return table.query("x > @in_text")

    monkeypatch.setitem(globals(), "in_text", 1)
    before = FunctionVersion(body, None).compute(lambda _: None)
    assert FunctionVersion(body, None).compute(lambda _: None).version == before.version
    monkeypatch.setitem(globals(), "in_text", 2)
    assert not before.holds()
    assert FunctionVersion(body, None).compute(lambda _: None).version != before.version


def test_a_variable_in_any_other_text_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    def body(table: Any) -> Any:
        return table.describe("x > @in_text")

    monkeypatch.setitem(globals(), "in_text", 1)
    before = FunctionVersion(body, None).compute(lambda _: None)
    monkeypatch.setitem(globals(), "in_text", 2)
    assert before.holds()
