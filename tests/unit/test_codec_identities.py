"""Which objects of a value can be shared: each counts once, however it is reached."""

from __future__ import annotations

import random
from typing import Any

import pytest

from evercell.codec.identities import number_of, walk

_CONTAINERS = (list, dict, set, bytearray, tuple, frozenset)


class Plain:
    """An instance that is pickled by its attributes."""

    def __init__(self, held: object) -> None:
        self.held = held


def shared() -> tuple[Any, list[Any]]:
    leaf: list[Any] = []
    return {"once": leaf, "again": [leaf, leaf]}, [leaf]


def circle() -> tuple[Any, list[Any]]:
    ring: list[Any] = []
    ring.append([ring])
    return [ring, 1, "text"], [ring, ring[0]]


def levels() -> tuple[Any, list[Any]]:
    """An object of one level is met again on the next."""
    leaf: list[Any] = []
    return [leaf, [leaf, [leaf]]], [leaf]


def without_identity() -> tuple[Any, list[Any]]:
    leaf: list[Any] = []
    return ([leaf], (leaf, frozenset({1})), (2, (leaf,))), [leaf]


@pytest.mark.parametrize("make", [shared, circle, levels, without_identity])
def test_walk_meets_each_object_once(make: Any) -> None:
    root, expected = make()
    holder = {"value": root}
    found = walk(holder, frozenset()).ids
    assert {number_of(each) for each in expected} <= found
    inner = [each for each in _containers(root) if type(each) not in (tuple, frozenset)]
    assert found == {number_of(each) for each in inner}


@pytest.mark.parametrize("seed", range(20))
def test_walk_of_any_graph_meets_what_can_be_reached(seed: int) -> None:
    chance = random.Random(seed)
    nodes: list[Any] = [
        chance.choice((list, dict, set, bytearray, tuple))() for _ in range(chance.randrange(1, 60))
    ]
    for at, node in enumerate(nodes):
        for other in chance.choices(nodes, k=chance.randrange(6)):
            if isinstance(node, list):
                node.append(other)
            elif isinstance(node, dict):
                node[len(node)] = other
        if isinstance(node, tuple):
            nodes[at] = tuple(chance.choices(nodes[:at], k=3)) if at else ()
    root = [nodes[-1], *chance.choices(nodes, k=3)]
    deep: Any = root
    for _ in range(chance.randrange(100)):
        deep = [deep]
    mine = [each for each in _containers(deep) if type(each) not in (tuple, frozenset)]
    assert walk({"value": deep}, frozenset()).ids == set(map(number_of, mine))


def test_walk_looks_into_plain_instances() -> None:
    leaf: list[Any] = []
    objects = [Plain(leaf), Plain(leaf)]
    for each in objects:
        vars(each)  # has a dict of its own from now on, as one that was pickled
    found = walk({"value": objects}, frozenset({Plain})).ids
    assert {number_of(each) for each in (objects, *objects, leaf)} <= found


def _containers(root: Any) -> list[Any]:
    found: dict[int, Any] = {}
    queue = [root]
    while queue:
        value = queue.pop()
        if id(value) in found or not isinstance(value, _CONTAINERS):
            continue
        found[id(value)] = value
        queue += value.values() if isinstance(value, dict) else value
    return list(found.values())
