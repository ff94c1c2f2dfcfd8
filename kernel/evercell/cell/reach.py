"""Which variables code may touch, followed through the values it can get hold of.

From the names in the cell's code to the variables, from a variable to the names that its functions,
classes and instances use, to every name in the same co-variable, until nothing is new. What only
the body of a step uses is marked so: the history answers for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from evercell.cell.names import is_hidden
from evercell.cell.words import words_of, words_of_code

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from evercell.cell.covariables import Observation
    from evercell.cell.paths import Path
    from evercell.cell.source import Source

__all__ = ["Reach", "follow", "reach_of", "texts_of"]

_NONE: frozenset[str] = frozenset()
_CALLED = "@called"  # stands for what is registered outside


class Reach(msgspec.Struct, frozen=True):
    """The closure over the namespace."""

    names: frozenset[str]  # touched, absent ones included
    direct: frozenset[str]  # of these, not only by the bodies of steps
    stores: frozenset[str]
    attributes_set: frozenset[str]
    escapes: tuple[str, ...]
    modules: frozenset[str]
    seeds: bool = False  # some code may set a random state, perhaps to what it was
    anywhere: bool = False  # some code may touch names that stand nowhere in it
    shell: bool = False  # some code may change the shell
    quiet: bool = True  # no code changes an array or a table
    direct_modules: frozenset[str] = frozenset()  # of `modules`: not only by the bodies of steps
    looks_up: bool = False  # some code may look up names that stand in texts
    setups: frozenset[Path] = frozenset()  # what code, but for the bodies of steps, may set up
    databases: frozenset[Path] = frozenset()  # and where it may use duckdb's default connection


def reach_of(  # noqa: PLR0917 - what a namespace knows
    source: Source,
    ns: dict[str, Any],
    observation: Callable[[str], Observation | None],
    groups: Mapping[str, frozenset[str]],
    visible: Callable[[], list[str]],
    called: Observation | None = None,
) -> Reach:
    """What a cell may touch in the namespace, whose `visible` names are the user's. `called` may
    run in any cell without being named: see callbacks.py."""
    if called is not None:
        found = _reach_of(source, ns, _with(observation, called), groups, visible, (_CALLED,))
        return replace(found, names=found.names - {_CALLED}, direct=found.direct - {_CALLED})
    return _reach_of(source, ns, observation, groups, visible)


def _with(
    observation: Callable[[str], Observation | None], called: Observation
) -> Callable[[str], Observation | None]:
    return lambda name: called if name == _CALLED else observation(name)


def _reach_of(  # noqa: PLR0917 - as above
    source: Source,
    ns: dict[str, Any],
    observation: Callable[[str], Observation | None],
    groups: Mapping[str, frozenset[str]],
    visible: Callable[[], list[str]],
    always: tuple[str, ...] = (),
) -> Reach:

    def mates(name: str) -> Iterable[str]:
        return groups.get(name, ())

    names, direct = source.reads.union(always), _direct(source, ns).union(always)
    found = follow(names, observation, mates, direct)
    while source.facts.looks_up or found.looks_up:
        texts = {n for n in texts_of(source, found.names, ns) - found.names if n in ns}
        texts = {n for n in texts if not is_hidden(n)}
        if not texts:
            break
        names, direct = names | texts, direct | texts
        found = follow(names, observation, mates, direct)
    if source.anywhere or found.anywhere:
        return follow([*names, *visible()], observation, mates)
    return found


def texts_of(source: Source, names: Iterable[str], ns: Mapping[str, object]) -> frozenset[str]:
    """What could be a name in the texts of the cell and of the variables `names`."""
    own = _NONE if source.code is None else words_of_code(source.code)
    values = [ns[name] for name in names if name in ns and not is_hidden(name)]
    return own | words_of(values)


def _direct(source: Source, ns: Mapping[str, object]) -> frozenset[str]:
    """What the cell uses itself. Functions that are only defined don't run, nor do the bodies of
    steps; another decorator may have called its function."""
    direct = set(source.direct)
    for name, body in source.decorated:
        made = ns.get(name)
        if made is not None and not hasattr(type(made), "__evercell_step__"):
            direct |= body
    return frozenset(direct)


def follow(
    names: Iterable[str],
    observation: Callable[[str], Observation | None],
    mates: Callable[[str], Iterable[str]],
    direct_names: frozenset[str] | None = None,
) -> Reach:
    """Close `names` over `observation` (None for an absent name) and `mates`, the names in the same
    co-variable. `direct_names`: those of `names` that the cell uses itself; None: all."""
    found: dict[str, bool] = {}  # whether directly
    met: dict[str, Observation] = {}
    queue = [(name, direct_names is None or name in direct_names) for name in names]
    while queue:
        name, direct = queue.pop()
        if name in found and (found[name] or not direct):
            continue
        found[name] = direct
        seen = observation(name)
        if seen is None:
            continue
        met[name] = seen
        queue += [(other, direct) for other in seen.names]
        queue += [(other, direct) for other in mates(name)]
        queue += [(other, False) for other in seen.step_names]
    return _sum(found, met)


def _sum(found: dict[str, bool], met: dict[str, Observation]) -> Reach:
    """`found` says of each name whether it is reached directly; `met` has those that are there."""
    direct = frozenset(name for name, is_direct in found.items() if is_direct)
    every, at_hand = met.values(), [seen for name, seen in met.items() if name in direct]
    return Reach(
        names=frozenset(found),
        direct=direct,
        stores=_NONE.union(*(seen.stores for seen in every)),
        attributes_set=_NONE.union(*(seen.attributes_set for seen in every)),
        escapes=tuple(f"{name}: {why}" for name, seen in met.items() for why in seen.escapes),
        modules=_NONE.union(*(seen.modules for seen in every)),
        seeds=any(seen.seeds for seen in every),
        anywhere=any(seen.anywhere for seen in every),
        shell=any(seen.shell for seen in at_hand),
        quiet=all(seen.quiet for seen in every),
        direct_modules=_NONE.union(*(seen.modules for seen in at_hand)),
        looks_up=any(seen.looks_up for seen in every),
        setups=frozenset().union(*(seen.setups for seen in at_hand)),
        databases=frozenset().union(*(seen.databases for seen in at_hand)),
    )
