"""Parameters: declared by a cell, typed by their defaults, injected in a cell of their own."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from evercell.errors import UnknownParameterError, UsageError
from evercell.jupyter.headless.parameters import check_names, inject, parse_values, read_parameters

DECLARATIONS = """\
%matplotlib inline
n = 3
rate: float = 0.5
model = "small"
verbose = False
sizes = [1, 2]
options = {"a": 1}
anything = None
limit: int | None = None
computed = n * 2
a, b = 1, 2
if n > 2:
    inner = "x"
def function():
    local = 1
"""


def notebook(source: str | None = DECLARATIONS, *more: dict[str, Any]) -> dict[str, Any]:
    cells = [{"cell_type": "markdown", "id": "top", "metadata": {}, "source": "# Title"}]
    if source is not None:
        metadata = {"tags": ["parameters"]}
        cells.append({"cell_type": "code", "id": "p", "metadata": metadata, "source": source})
    return {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [*cells, *more]}


def values(*texts: str) -> dict[str, Any]:
    return parse_values(texts, read_parameters(notebook()))


def test_the_names_that_the_cell_assigns_in_its_own_scope_are_declared() -> None:
    declared = read_parameters(notebook())
    assert declared is not None
    assert list(declared) == [
        *("n", "rate", "model", "verbose", "sizes", "options", "anything", "limit", "computed"),
        *("a", "b", "inner"),
    ]


def test_a_notebook_without_the_tag_declares_nothing() -> None:
    assert read_parameters(notebook(None)) is None


def test_a_cell_that_is_not_python_is_named() -> None:
    with pytest.raises(UsageError, match=r"tagged `parameters` is not Python: .* line 2"):
        read_parameters(notebook("n = 3\nm = = 4"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("n=5", 5),
        ("n=-5", -5),
        ("n=0.5", 0.5),
        ("rate=2", 2.0),
        ("rate=.25", 0.25),
        ("model=7", "7"),
        ("model=", ""),
        ("model=a=b", "a=b"),
        ('model="quoted"', '"quoted"'),
        ("verbose=true", True),
        ("verbose=True", True),
        ("sizes=[3]", [3]),
        ('options={"b": [true, null]}', {"b": [True, None]}),
        ("anything=text", "text"),
        ("anything=3", 3),
        ("anything=null", None),
        ("anything=NaN", "NaN"),
        ("anything=1e999", "1e999"),
        ("limit=None", None),
        ("limit=7", 7),
        ("computed=8", 8),
        ("inner=y", "y"),
    ],
)
def test_a_value_is_read_by_the_type_of_its_default(text: str, value: object) -> None:
    (read,) = values(text).values()
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    "text", ["n=abc", "n=true", "n=nan", "rate=inf", "verbose=1", "verbose=yes", "sizes=3", "n="]
)
def test_a_value_that_does_not_fit_is_refused_with_the_default_shown(text: str) -> None:
    name = text.partition("=")[0]
    with pytest.raises(
        UsageError, match=f"of the parameter {name} does not fit its default `{name}"
    ):
        values(text)


@pytest.mark.parametrize("text", ["n", "=5", "1n=5", "n m=5", ""])
def test_a_malformed_text_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="not of the form name=value"):
        values(text)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="n is given twice"):
        values("n=1", "n=2")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        UnknownParameterError, match=r"It assigns: n, rate, .* Did you mean model\?"
    ):
        values("modell=x")


def test_a_notebook_that_declares_none_says_how_to() -> None:
    with pytest.raises(UnknownParameterError, match="give that cell the tag `parameters`"):
        check_names(["n"], None)


def test_values_come_in_the_order_of_their_declaration() -> None:
    assert list(values("model=x", "n=1")) == ["n", "model"]


def test_the_injected_cell_follows_the_parameters_and_assigns_the_values() -> None:
    target = notebook()
    inject(target, {"n": 5, "model": "it's", "sizes": [None, True]})
    cell = target["cells"][2]
    assert (cell["id"], cell["metadata"]) == (
        "injected-parameters",
        {"tags": ["injected-parameters"]},
    )
    namespace: dict[str, Any] = {}
    exec(cell["source"], namespace)
    assert (namespace["n"], namespace["model"], namespace["sizes"]) == (5, "it's", [None, True])


def test_injecting_again_replaces_the_cell_and_keeps_its_id() -> None:
    once, twice = notebook(), notebook()
    inject(once, {"n": 5})
    inject(twice, {"n": 4})
    inject(twice, {"n": 5})
    assert once == twice


def test_a_format_without_ids_gets_none() -> None:
    target = notebook()
    target["nbformat_minor"] = 4
    for cell in target["cells"]:
        del cell["id"]
    before = copy.deepcopy(target["cells"])
    inject(target, {"n": 5})
    assert "id" not in target["cells"][2]
    assert [target["cells"][0], target["cells"][1]] == before
