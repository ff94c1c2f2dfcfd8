"""Which variables code may touch, followed through the values it can get hold of.

From the names in the cell's code to the variables, from a variable to the names that its functions,
classes and instances use, to every name in the same co-variable, until nothing is new. What only
the body of a step uses is marked so: the history answers for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.cell.covariables import Observation

__all__ = ["Reach", "follow"]

_NONE: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reach:
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
    )
