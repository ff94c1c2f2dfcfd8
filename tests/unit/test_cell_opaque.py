"""What can't be stored: which of it counts as changed by being used."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import openai
import pytest

from evercell.cell.covariables import observe


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
    assert seen.ids == {id(nested), id(nested[0]), id(nested[1])}
    assert observe({"copying": copying}, live).ids == {id(copying)}
