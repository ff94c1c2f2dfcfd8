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
    found: dict[str, bool] = {}
    stores: set[str] = set()
    sets: set[str] = set()
    modules: set[str] = set()
    direct_modules: set[str] = set()
    escapes: dict[str, None] = {}
    seeds = anywhere = shell = False
    quiet = True
    queue = [(name, direct_names is None or name in direct_names) for name in names]
    while queue:
        name, direct = queue.pop()
        if name in found and (found[name] or not direct):
            continue
        found[name] = direct
        seen = observation(name)
        if seen is None:
            continue
        stores |= seen.stores
        sets |= seen.attributes_set
        modules |= seen.modules
        if direct:
            direct_modules |= seen.modules
        seeds = seeds or seen.seeds
        anywhere = anywhere or seen.anywhere
        shell = shell or (direct and seen.shell)
        quiet = quiet and seen.quiet
        escapes.update(dict.fromkeys(f"{name}: {reason}" for reason in seen.escapes))
        queue += [(other, direct) for other in seen.names]
        queue += [(other, direct) for other in mates(name)]
        queue += [(other, False) for other in seen.step_names]
    return Reach(
        frozenset(found),
        frozenset(name for name, direct in found.items() if direct),
        frozenset(stores),
        frozenset(sets),
        tuple(escapes),
        frozenset(modules),
        seeds,
        anywhere,
        shell,
        quiet,
        frozenset(direct_modules),
    )
