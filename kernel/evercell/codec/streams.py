"""Whether two pickles say the same, whichever strings happen to be one object.

CPython makes equal strings one object or two as it pleases, and pickle writes the second mention of
an object as a reference. So the same value, loaded and pickled again, can give other bytes.
"""

from __future__ import annotations

import marshal
import pickletools
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["content", "same_streams"]

_PUTS = frozenset({"MEMOIZE", "BINPUT", "LONG_BINPUT", "PUT"})
_GETS = frozenset({"BINGET", "LONG_BINGET", "GET"})
_SILENT = frozenset({"FRAME", "PROTO"})


def same_streams(one: bytes, other: bytes) -> bool:
    """Compare what the pickles do, operation by operation."""
    return all(a == b for a, b in zip_longest(_operations(one), _operations(other)))


def content(stream: bytes) -> bytes:
    """What the pickle says, as bytes: equal for two that `same_streams` finds equal."""
    return marshal.dumps(list(_operations(stream)), 2)


def _operations(stream: bytes) -> Iterator[tuple[str, Any]]:
    """The operations, with strings and bytes in place of references to them, and with references
    to other objects by their number among those."""
    memo: list[tuple[str, Any]] = []
    objects = 0
    last: tuple[str, Any] = ("", None)
    for operation, argument, _ in pickletools.genops(stream):
        name = operation.name
        if name in _SILENT:
            continue
        if name in _PUTS:
            if isinstance(last[1], str | bytes) and "GLOBAL" not in last[0]:
                memo.append(last)
            else:
                memo.append(("object", objects))
                objects += 1
            continue
        last = memo[int(argument)] if name in _GETS and argument is not None else (name, argument)
        yield last
