"""What `weakref.finalize` will call: the notebook's finalizers.

    @finalizers     registered, or gone, in a cell: it is recomputed, for nothing can put them back
    registries.py   what they call may change a variable in any cell
    finalized()     objects that have one: a restored copy would lack it, and putting it in the
                    place of the object would set it off

Libraries give objects of their own finalizers of their own. Those belong to the library, and so
does making them again: only what the notebook or the project calls, or has called for an object of
its own, counts here.
"""

from __future__ import annotations

import functools
import sys
import weakref
from typing import Any

from evercell.cell.components import Component
from evercell.codec.definitions import is_users, is_users_module
from evercell.codec.identities import number_of

__all__ = ["FINALIZERS", "finalized", "finalizers"]


class _Own:
    """Which of all finalizers are the notebook's, found out when one is first met. Nothing here
    keeps one alive, nor what it would be called with."""

    def __init__(self) -> None:
        self._next = 0  # number of the first one that was not met
        self._own: set[int] = set()

    def __call__(self) -> list[Any]:
        """What is registered, in the order in which it was."""
        registry: dict[Any, Any] = weakref.finalize._registry  # type: ignore[attr-defined]
        every = list(registry.copy().values())
        for info in every:
            if info.index >= self._next:
                self._next = info.index + 1
                if _is_own(info):
                    self._own.add(info.index)
        return [info for info in every if info.index in self._own] if self._own else []


def _is_own(info: Any) -> bool:
    function, target = info.func, info.weakref()
    while isinstance(function, functools.partial):
        function = function.func
    module = str(getattr(function, "__module__", None) or type(function).__module__)
    if is_users_module(module):
        return True
    if target is None:
        return False
    if is_users(type(target)):
        return True
    package = module.partition(".")[0]
    if package not in sys.stdlib_module_names or module == type(target).__module__:
        return False
    # Something of the interpreter's, to be called for an object of a library: it counts for a
    # variable, for libraries keep theirs elsewhere.
    return any(value is target for value in list(vars(sys.modules["__main__"]).values()))


finalizers = _Own()


def finalized() -> frozenset[int]:
    """The numbers of the objects that have a finalizer of the notebook's."""
    return frozenset(number_of(info.weakref()) for info in finalizers())


FINALIZERS: tuple[Component, ...] = (
    Component(
        "@finalizers",
        lambda: [info.index for info in finalizers()],
        None,
        random=True,  # they matter to a cell only where it registers one or sets one off
        seeded=lambda _: False,
        words=lambda *_: "weakref.finalize",
    ),
)
