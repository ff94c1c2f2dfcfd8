"""Products: each changed co-variable as a verified stream, with a version by content.

A version covers the stream and the versions of all that the stream refers to by name, so that an
instance is new when its class is. What can't be stored has its cell's key instead of content.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from evercell.cell.capture import CapturedGroup
from evercell.cell.proof import verify

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evercell.cell.covariables import Observation

__all__ = ["join_circles", "make_products", "unknowable"]

Group = frozenset[str]


def unknowable() -> bytes:
    """A version that nothing recorded has."""
    return os.urandom(16)


def join_circles(
    found: dict[Group, Observation], observe: Callable[[Group], Observation]
) -> dict[Group, Observation]:
    """Join the groups that refer to each other by name in a circle: neither could be decoded
    first."""
    while True:
        circle = _circle(found)
        if circle is None:
            return found
        joined: Group = frozenset().union(*circle)
        found = {group: seen for group, seen in found.items() if group not in circle}
        found[joined] = observe(joined)


def make_products(
    observations: dict[Group, Observation],
    values: dict[Group, dict[str, object]],
    key: bytes,
    versions: Mapping[str, bytes],
    live: dict[str, Any],
    *,
    trusted: bool,
) -> list[CapturedGroup]:
    """The products of a cell with `key`.

    `versions` are those before the cell, for what is referred to outside of it. Unless the run can
    be `trusted`, what is not exactly as before gets a version that nothing else has.
    """
    content: dict[Group, bytes] = {}
    reasons: dict[Group, str | None] = {}
    for group, seen in observations.items():
        reasons[group] = verify(values[group], seen, live)
        names = repr(tuple(sorted(group))).encode()
        if reasons[group] is None:
            content[group] = blake3(b"content" + seen.digest + names).digest(16)
        else:
            content[group] = blake3(b"by cell" + key + names + b"".join(seen.marks)).digest(16)
    found = []
    for group in sorted(observations, key=sorted):
        seen = observations[group]
        dumped = seen.dumped if reasons[group] is None else None
        version = _version(group, observations, content, versions)
        if not trusted and any(versions.get(name) != version for name in group):
            version = unknowable()
        found.append(
            CapturedGroup(
                tuple(sorted(group)),
                version,
                None if dumped is None else dumped.stream,
                () if dumped is None else dumped.buffers,
                reasons[group],
                tuple(sorted(seen.refers - group)),
                marked=bool(seen.marks),
            )
        )
    return found


def _version(
    group: Group,
    observations: dict[Group, Observation],
    content: dict[Group, bytes],
    versions: Mapping[str, bytes],
) -> bytes:
    owner = {name: other for other in observations for name in other}
    outside: dict[str, bytes] = {}
    inside, queue = {group}, [group]
    while queue:
        for name in observations[queue.pop()].refers:
            other = owner.get(name)
            if other is None:
                outside[name] = versions.get(name, b"")
            elif other not in inside:
                inside.add(other)
                queue.append(other)
    hasher = blake3(b"version" + content[group])
    for part in sorted(content[other] for other in inside - {group}):
        hasher.update(part)
    for name in sorted(outside):
        hasher.update(repr((name, outside[name])).encode())
    return hasher.digest(16)


def _circle(observations: dict[Group, Observation]) -> list[Group] | None:
    owner = {name: group for group in observations for name in group}
    follows = {
        group: {owner[name] for name in seen.refers if name in owner} - {group}
        for group, seen in observations.items()
    }
    for start in follows:
        reached = _reached(start, follows)
        if start in reached:
            return [group for group in reached if start in _reached(group, follows)]
    return None


def _reached(start: Group, follows: dict[Group, set[Group]]) -> set[Group]:
    reached: set[Group] = set()
    queue = [start]
    while queue:
        new = follows[queue.pop()] - reached
        reached |= new
        queue += new
    return reached
