"""What variables had to do with each other when they were recorded, and who has left since.

A version names the content of a product: variables that share objects, and functions and classes
that they hold by name. When one of those names is bound anew or deleted, the others keep their
content but share it with nobody, or hold what has no name any more. Then they have another version:
a record made before must not fit what is there now, nor the other way round.

Only what is recorded counts, never what is there, so that a restored session comes to the very
versions of the one that was recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Bonds"]


class Bonds:
    """By variable: the names that its product held, and the names that it referred to."""

    def __init__(self) -> None:
        self._bonds: dict[str, frozenset[str]] = {}

    def leave(self, names: Iterable[str], versions: dict[str, bytes]) -> None:
        """`names` are bound to something else or gone; changes the versions of those they left."""
        gone = frozenset(names)
        for name in gone:
            self._bonds.pop(name, None)
        for name, bonds in self._bonds.items():
            left = bonds & gone
            if left and name in versions:
                self._bonds[name] = bonds - left
                parts = repr(sorted(left)).encode()
                versions[name] = blake3(b"left" + versions[name] + parts).digest(16)

    def form(self, names: Iterable[str], refers: Iterable[str]) -> None:
        """`names` are one product now, which holds `refers` by name."""
        product = frozenset(names)
        bonds = product | frozenset(refers)
        for name in product:
            self._bonds[name] = bonds - {name}
