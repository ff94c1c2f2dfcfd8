"""What can't be stored: which of it counts as changed by being used."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from typing import Any

import httpx
import openai
import pytest

from evercell.cell.covariables import observe
from evercell.codec.identities import number_of


def changed(client: Any, act: Any) -> bool:
    live = {"__name__": "__main__", "client": client}
    before = observe({"client": client}, live)
    act(client)
    return observe({"client": client}, live).digest != before.digest


CLIENTS = [
    lambda: openai.OpenAI(api_key="x"),
    lambda: openai.AsyncOpenAI(api_key="x"),
    httpx.Client,
]


@pytest.mark.parametrize("make", CLIENTS)
def test_a_client_that_is_only_looked_at_is_unchanged(make: Any) -> None:
    assert not changed(make(), lambda client: None)


@pytest.mark.parametrize("make", CLIENTS[:2])
def test_a_client_whose_resources_are_made_on_demand_is_unchanged(make: Any) -> None:
    assert not changed(make(), lambda client: client.chat.completions)


@pytest.mark.parametrize("make", CLIENTS)
def test_a_client_that_is_configured_is_changed(make: Any) -> None:
    assert changed(make(), lambda client: setattr(client, "timeout", 5))


@pytest.mark.parametrize(
    "value",
    [(n for n in range(3)), threading.local()],
    ids=lambda value: type(value).__name__,
)
def test_hidden_state_counts_as_changed_by_every_touch(value: Any) -> None:
    assert changed(value, lambda value: None)


class Copying:
    """Its state is made for each pickle, nested objects included."""

    def __init__(self) -> None:
        self.items = [1]

    def __getstate__(self) -> dict[str, Any]:
        return {"items": [list(self.items)]}

    def __setstate__(self, state: dict[str, Any]) -> None:
        (self.items,) = state["items"]


def test_only_objects_that_stay_are_shared_by_identity() -> None:
    nested = [[1], [2]]
    live = {"__name__": "__main__", "nested": nested, "copying": (copying := Copying())}
    seen = observe({"nested": nested}, live)
    assert seen.ids == {number_of(each) for each in (nested, *nested)}
    assert observe({"copying": copying}, live).ids == {number_of(copying)}


def test_a_librarys_net_of_objects_is_gone_through_once(monkeypatch):
    """Every artist of a figure holds the figure: one that can't be stored took minutes."""
    asked = Counter()

    class Node:
        def __init__(self, figure):
            self.figure = figure

        def __reduce_ex__(self, protocol):
            asked[id(self)] += 1
            return object.__reduce_ex__(self, protocol)

    Node.__module__ = "json"  # as if it were a library's
    monkeypatch.setattr("json.Node", Node, raising=False)
    Node.__qualname__ = "Node"
    figure = Node(None)
    for number in range(60):
        setattr(figure, f"part{number}", Node(figure))
    figure.secret = itertools.count()
    seen = observe({"figure": figure}, {"figure": figure})
    assert seen.dumped is None
    assert max(asked.values()) < 10
