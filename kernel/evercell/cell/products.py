"""Products: each changed co-variable as a verified stream, with a version by content.

A version covers the stream and the versions of all that the stream refers to by name, so that an
instance is new when its class is. What can't be stored has its cell's key instead of content.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from evercell.cell.capture import CapturedGroup, Settled, Unverified
from evercell.cell.proof import is_heavy, verify
from evercell.cell.trial import begin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evercell.cell.covariables import Observation

__all__ = ["join_circles", "make_products", "unknowable"]

Group = frozenset[str]
_UNKNOWN = "whether it comes back from its pickle could not be found out in time"


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
) -> tuple[list[CapturedGroup], Unverified | None]:
    """The products of a cell with `key`, and what is still being tried of them.

    `versions` are those before the cell, for what is referred to outside of it. Unless the run can
    be `trusted`, what is not exactly as before gets a version that nothing else has.
    """
    heavy = [g for g, seen in observations.items() if is_heavy(seen)] if trusted else []
    trial = (
        begin(lambda: [verify(values[g], observations[g], live) for g in heavy]) if heavy else None
    )
    tried = frozenset(heavy if trial is not None else ())
    reasons = {
        g: None if g in tried else verify(values[g], seen, live) for g, seen in observations.items()
    }
    sketches = {
        g: _Sketch(seen.digest, seen.refers, seen.marks) for g, seen in observations.items()
    }
    found = _versions(sketches, reasons, key, versions)
    open_ = {g for g in observations if not tried.isdisjoint(_inside(g, sketches))}

    def product(group: Group) -> CapturedGroup:
        version = found[group]
        if not trusted and any(versions.get(name) != version for name in group):
            version = unknowable()
        return _product(group, observations[group], reasons[group], version, open_=group in open_)

    products = [product(group) for group in sorted(observations, key=sorted)]
    if trial is None:
        return products, None

    def settle(answer: tuple[str | None, ...] | None) -> tuple[Settled, ...]:
        told = (_UNKNOWN,) * len(heavy) if answer is None else answer
        final = reasons | dict(zip(heavy, told, strict=True))
        known = _versions(sketches, final, key, versions)
        return tuple(
            Settled(tuple(sorted(g)), known[g], final[g]) for g in sorted(open_, key=sorted)
        )

    return products, Unverified(trial, settle)


def _product(
    group: Group, seen: Observation, reason: str | None, version: bytes, *, open_: bool
) -> CapturedGroup:
    """`open_`: what its version covers is still being tried, so that nothing may build on it."""
    dumped = seen.dumped if reason is None else None
    return CapturedGroup(
        tuple(sorted(group)),
        unknowable() if open_ else version,
        None if dumped is None else dumped.stream,
        () if dumped is None else dumped.buffers,
        reason,
        tuple(sorted(seen.refers - group)),
        marked=bool(seen.marks),
        traced=version if open_ else None,
    )


class _Sketch(msgspec.Struct, frozen=True):
    """What a version needs of an observation."""

    digest: bytes
    refers: frozenset[str]
    marks: tuple[bytes, ...]


def _versions(
    sketches: Mapping[Group, _Sketch],
    reasons: Mapping[Group, str | None],
    key: bytes,
    versions: Mapping[str, bytes],
) -> dict[Group, bytes]:
    content: dict[Group, bytes] = {}
    for group, seen in sketches.items():
        names = repr(tuple(sorted(group))).encode()
        if reasons[group] is None:
            content[group] = blake3(b"content" + seen.digest + names).digest(16)
        else:
            content[group] = blake3(b"by cell" + key + names + b"".join(seen.marks)).digest(16)
    return {group: _version(group, sketches, content, versions) for group in sketches}


def _version(
    group: Group,
    sketches: Mapping[Group, _Sketch],
    content: Mapping[Group, bytes],
    versions: Mapping[str, bytes],
) -> bytes:
    inside = _inside(group, sketches)
    own = {name for other in inside for name in other}
    outside = {n for other in inside for n in sketches[other].refers if n not in own}
    hasher = blake3(b"version" + content[group])
    for part in sorted(content[other] for other in inside - {group}):
        hasher.update(part)
    for name in sorted(outside):
        hasher.update(repr((name, versions.get(name, b""))).encode())
    return hasher.digest(16)


def _inside(group: Group, sketches: Mapping[Group, _Sketch]) -> set[Group]:
    """The group, and all in the same cell that it holds by name."""
    owner = {name: other for other in sketches for name in other}
    inside, queue = {group}, [group]
    while queue:
        for name in sketches[queue.pop()].refers:
            other = owner.get(name)
            if other is not None and other not in inside:
                inside.add(other)
                queue.append(other)
    return inside


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
