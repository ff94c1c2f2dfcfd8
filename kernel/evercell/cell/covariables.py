"""Co-variables: names that share mutable objects, observed and grouped.

    observe(values) -> Observation: a fingerprint, the stream if it can be stored, and what the
                       values refer to: other names, code, modules, memory
    connect(...)    -> groups of names whose observations share an object or memory

Functions, classes, steps and modules that are referred to by name join nobody.
"""

from __future__ import annotations

import os
import pickle
from itertools import pairwise, product
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from evercell.cell.bytecode import NO_FACTS, QUERIES, code_facts, merge
from evercell.cell.opaque import Observer
from evercell.cell.shared import module_of
from evercell.codec.canonical import SCALARS
from evercell.codec.identities import Met, number_of
from evercell.codec.pickling import Dumped, dump
from evercell.codec.reducers import Arrays, Span
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from types import CodeType

    from evercell.cell.paths import Path

__all__ = ["Observation", "conflicts", "connect", "observe", "together"]

_NONE: frozenset[Any] = frozenset()
_NO_POSITIONS = pickle.dumps((), 5)
_LARGE = 10_000  # objects from which sets are compared as a whole
_NOTHING_MET = Met(_NONE)


class Observation(msgspec.Struct, frozen=True):
    """What one group of variables holds at one moment."""

    digest: bytes
    dumped: Dumped | None  # None: it can't be stored, for `reason`
    reason: str | None = None
    refers: frozenset[str] = _NONE  # names that values hold by name
    names: frozenset[str] = _NONE  # names that values or their code may use
    step_names: frozenset[str] = _NONE  # names that only the bodies of steps use
    stores: frozenset[str] = _NONE  # names that their code may bind
    attributes_set: frozenset[str] = _NONE
    escapes: tuple[str, ...] = ()
    seeds: bool = False  # their code may set a random state
    anywhere: bool = False  # their code may touch names that stand nowhere in it
    shell: bool = False  # their code may change the shell
    quiet: bool = True  # their code changes no array and no table
    looks_up: bool = False  # their code may look up names that stand in texts
    setups: frozenset[Path] = _NONE  # what their code may set up
    databases: frozenset[Path] = _NONE  # what of it may use duckdb's default connection
    modules: frozenset[str] = _NONE
    ids: frozenset[int] = _NONE
    spans: tuple[Span, ...] = ()
    borrowed: frozenset[int] = _NONE
    volatile: bool = False
    marks: tuple[bytes, ...] = ()  # of secrets in it: another secret, another value
    pins: tuple[object, ...] = ()
    held: frozenset[int] = _NONE  # numbers of what hides in it; other variables may share them

    __repr__ = object.__repr__  # it holds values of the user's

    def touches(self, other: Observation) -> bool:
        """Whether the two share an object, apart from the memory of arrays."""
        return not (
            self.ids.isdisjoint(other.ids)
            and self.held.isdisjoint(other.ids)
            and self.ids.isdisjoint(other.held)
            and self.borrowed.isdisjoint(other.borrowed)
            and self.borrowed.isdisjoint(other.ids)
            and self.ids.isdisjoint(other.borrowed)
        )


def observe(values: Mapping[str, object], live: dict[str, Any]) -> Observation:
    """Look at a group of variables without touching them."""
    if len(values) == 1:
        ((_, value),) = values.items()
        # A NaN is told by its identity, which variables can share.
        if type(value) in SCALARS and value == value:  # noqa: PLR0124
            return _scalar(values)
    # Names of their own: whether a value holds the very string that is its name, says nothing.
    content = {f"{name[:1]}{name[1:]}": values[name] for name in sorted(values)}
    try:
        dumped = dump(content, live, own=values, out_of_band=True)
    except NotStorableError as error:
        return _opaque(content, live, error.message)
    reason = _memory_conflict(dumped)
    if reason is None and (owner := module_of(values.values())) is not None:
        reason = f"it is {owner}, which belongs to the module"
    if reason is None and dumped.ending is not None:
        reason = f"{dumped.ending} has a __del__, which would run for a copy as well"
    stored = dumped if reason is None else None
    # Without the stream, the identities of what only the pickler made stay taken all the same.
    pins = () if stored is not None else dumped.met.pins
    return _observation(dumped, dumped.digest(), stored, reason, pins=pins)


def connect(observations: Mapping[str, Observation]) -> list[frozenset[str]]:
    """The names in groups: linked when they share an object or memory."""
    parent = {name: name for name in observations}

    def root(name: str) -> str:
        while parent[name] != name:
            parent[name] = name = parent[parent[name]]
        return name

    for one, other in _links(observations):
        parent[root(one)] = root(other)
    groups: dict[str, set[str]] = {}
    for name in observations:
        groups.setdefault(root(name), set()).add(name)
    return [frozenset(group) for group in groups.values()]


def _links(observations: Mapping[str, Observation]) -> Iterator[tuple[str, str]]:
    """Pairs of names that share something: enough of them to link all that do."""
    large = {name for name, seen in observations.items() if len(seen.ids) > _LARGE}
    small = {name: seen for name, seen in observations.items() if name not in large}
    owner: dict[int, str] = {}
    for name, seen in small.items():
        for identity in seen.ids | seen.borrowed:
            first = owner.setdefault(identity, name)
            if first is not name:
                yield name, first
    for name, seen in small.items():
        yield from ((name, owner[identity]) for identity in seen.held & owner.keys())
    for one, other in product(large, observations):
        if one != other and observations[one].touches(observations[other]):
            yield one, other
    spans = [(*s, n) for n, o in observations.items() for s in o.spans]
    yield from ((one[4], other[4]) for one, other in _overlaps(spans))


def together(observations: Iterable[Observation]) -> list[Observation]:
    """The same for `touches`, with the small ones as one."""
    large: list[Observation] = []
    small: list[Observation] = []
    for seen in observations:
        (large if len(seen.ids) > _LARGE else small).append(seen)
    one = Observation(
        b"",
        None,
        ids=_NONE.union(*(seen.ids for seen in small)),
        borrowed=_NONE.union(*(seen.borrowed for seen in small)),
        held=_NONE.union(*(seen.held for seen in small)),
    )
    return [one, *large]


def conflicts(one: Iterable[Span], other: Iterable[Span]) -> bool:
    """Whether two sets of arrays share memory."""
    marked = [(*s, "one") for s in one] + [(*s, "other") for s in other]
    return any(a[4] != b[4] for a, b in _overlaps(marked))


def _scalar(values: Mapping[str, object]) -> Observation:
    main = pickle.dumps(dict(values), 5)
    dumped = Dumped(main, _NO_POSITIONS, (), _NONE, (), (), _NONE, _NOTHING_MET, Arrays())
    return Observation(blake3(main).digest(16), dumped)


def _opaque(values: dict[str, object], live: dict[str, Any], reason: str) -> Observation:
    observers: list[Observer] = []

    def make(*arguments: Any) -> Observer:
        observers.append(Observer(*arguments))
        return observers[0]

    try:
        dumped = dump(values, live, own=values, pickler=make)  # type: ignore[arg-type]
    except NotStorableError:  # not even that: count it as changed whenever it is touched
        ids = frozenset(map(number_of, values.values()))
        return Observation(os.urandom(16), None, reason, ids=ids, volatile=True)
    observer = observers[0]
    digest = os.urandom(16) if observer.volatile else dumped.digest()
    return _observation(
        dumped,
        digest,
        None,
        reason,
        volatile=observer.volatile,
        # Identities of what only the stream held would be taken by other objects.
        pins=(*observer.pins, *dumped.met.pins),
        marks=tuple(observer.marks),
        held=frozenset(observer.held),
    )


def _observation(
    found: Dumped,
    digest: bytes,
    stored: Dumped | None,
    reason: str | None,
    *,
    volatile: bool = False,
    marks: tuple[bytes, ...] = (),
    pins: tuple[object, ...] = (),
    held: frozenset[int] = _NONE,
) -> Observation:
    names, modules = set(found.names), set(found.modules)
    facts = merge(*map(code_facts, found.codes)) if found.codes else NO_FACTS
    names |= facts.reads | facts.deletes
    modules |= facts.imports
    return Observation(
        digest=digest,
        dumped=stored,
        reason=reason,
        refers=found.names,
        names=frozenset(names),
        step_names=_step_names(found.step_codes),
        stores=facts.stores,
        attributes_set=facts.attributes_set | ({"*"} if facts.indirect_sets else set()),
        escapes=facts.escapes,
        seeds=facts.seeds,
        anywhere=facts.anywhere,
        shell=facts.shell,
        quiet=facts.quiet,
        looks_up=facts.looks_up or not QUERIES.isdisjoint(modules),
        setups=facts.setups,
        databases=facts.databases,
        modules=frozenset(modules),
        ids=found.met.ids,
        spans=tuple(found.arrays.spans),
        borrowed=frozenset(found.arrays.borrowed),
        volatile=volatile,
        marks=marks,
        pins=pins,
        held=held,
    )


def _step_names(codes: Iterable[CodeType]) -> frozenset[str]:
    return frozenset(n for c in codes for n in code_facts(c).reads | code_facts(c).deletes)


def _memory_conflict(dumped: Dumped) -> str | None:
    """Sharing that the stream would lose."""
    arrays = dumped.arrays
    if not arrays.borrowed.isdisjoint(dumped.met.ids):
        return "an array shares its memory with a bytearray or the like"
    spans = [(*s, "") for s in arrays.spans]
    for one, other in _overlaps(spans):
        if one[2] != other[2] and not (one[3] == other[3] == "pandas"):
            return "a numpy array shares its memory with another object, which would be lost"
    return None


def _overlaps(spans: list[Any]) -> list[tuple[Any, Any]]:
    """Pairs that overlap: enough of them to link all that do. Two pandas blocks are independent:
    copy-on-write."""
    found = []
    ordered = sorted(spans, key=lambda span: (span[0], span[1]))
    if all(one[1] <= other[0] for one, other in pairwise(ordered)):
        return []
    open_spans: list[Any] = []
    for span in ordered:
        open_spans = [other for other in open_spans if other[1] > span[0]]
        found += [(other, span) for other in open_spans if not other[3] == span[3] == "pandas"]
        open_spans.append(span)
    return found
