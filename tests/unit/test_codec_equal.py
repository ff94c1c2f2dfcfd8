"""Whether a value came back: content and sharing, in one walk; and pickles that say the same."""

from __future__ import annotations

import pickle
from threading import Lock
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from evercell.codec.equal import same
from evercell.codec.streams import same_streams
from evercell.errors import NotStorableError


def _ring(length: int) -> list[Any]:
    first: list[Any] = []
    last = first
    for _ in range(length):
        last = [last]
    first.append(last)
    return first


def _shared(part: list[int]) -> list[list[int]]:
    return [part, part]


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1, (2, {"a": {3}})], [1, (2, {"a": {3}})]),
        (_ring(3), _ring(3)),
        (_shared([1]), _shared([1])),
        (float("nan"), float("nan")),
        ({"a": 1, "b": [2]}, {"b": [2], "a": 1}),
        (SimpleNamespace(x=[1]), SimpleNamespace(x=[1])),
        (np.arange(3), np.arange(3)),
    ],
)
def test_equal(one: object, other: object) -> None:
    assert same(one, other, None)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([1], [1.0]),
        (True, 1),
        (0.0, -0.0),
        ([1], (1,)),
        ([[1], [1]], _shared([1])),
        (_shared([1]), [[1], [1]]),
        (_ring(3), _ring(4)),
        ({1: "a", 2: "b"}, {2: "b", 1: "a"}),
        (SimpleNamespace(x=[1]), SimpleNamespace(x=[1], y=2)),
        (np.arange(3), np.arange(3.0)),
        (lambda: 1, lambda: 2),
    ],
)
def test_different(one: object, other: object) -> None:
    assert not same(one, other, None)


def test_circles_of_many_objects_take_one_walk() -> None:
    """A digest of this takes time that doubles with every object."""

    def web() -> list[Any]:
        nodes: list[list[Any]] = [[] for _ in range(200)]
        for node in nodes:
            node.extend(nodes[:20])
        return nodes

    assert same(web(), web(), None)


def test_what_has_no_content_raises() -> None:
    with pytest.raises(NotStorableError):
        same(SimpleNamespace(x=Lock()), SimpleNamespace(x=Lock()), None)


def test_pickles_differ_by_what_they_say_not_by_which_strings_are_one_object() -> None:
    text = "a string"
    copy = "".join(list(text))
    once, twice = pickle.dumps([text, text], 5), pickle.dumps([text, copy], 5)
    assert once != twice
    assert same_streams(once, twice)
    assert not same_streams(once, pickle.dumps([text, "another"], 5))


def test_pickles_differ_by_which_other_objects_are_one() -> None:
    part = [1]
    once, twice = pickle.dumps([part, part], 5), pickle.dumps([part, [1]], 5)
    assert not same_streams(once, twice)
    assert not same_streams(once, pickle.dumps([part], 5))
