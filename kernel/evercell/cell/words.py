"""Names that stand in texts: `df.query("x > @limit")`, SQL over variables, formulas.

What runs such a text looks the names up among the caller's variables, so they are inputs, and they
have to be there.
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import islice
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["words_in", "words_of", "words_of_code"]

_WORD = re.compile(r"[^\W\d]\w*")
_LONGEST = 100_000  # characters of a text that is searched for names
_MOST = 1000  # parts of a container that are


def words_in(text: str) -> frozenset[str]:
    """Everything in a text that could be a name."""
    return frozenset(_WORD.findall(text[:_LONGEST]))


def words_of(values: Iterable[object]) -> set[str]:
    """What could be a name in the texts among `values`, and in the texts of their code."""
    found: set[str] = set()
    for value in values:
        texts = list(_texts(value))
        if texts:
            found.update(*map(words_in, texts))
            continue
        for holder in (value, type(value)):
            found.update(*map(words_of_code, _codes(holder)))
    return found


def _texts(value: object, depth: int = 2) -> Iterator[str]:
    """The text that a value is, or those that a container holds."""
    if type(value) is str:
        yield value
    elif depth and type(value) in (list, tuple, set, dict):
        parts = value.values() if type(value) is dict else value
        for part in islice(parts, _MOST):  # type: ignore[call-overload]
            yield from _texts(part, depth - 1)


def _codes(holder: object) -> Iterator[CodeType]:
    """The notebook's code in a function, a step, a class, or what an instance holds."""
    if isinstance(holder, FunctionType):
        yield holder.__code__
    try:
        attributes = object.__getattribute__(holder, "__dict__")  # runs nobody's code
    except AttributeError:
        return
    for value in list(attributes.values()):
        if isinstance(value, FunctionType) and value.__module__ == "__main__":
            yield value.__code__


@lru_cache(maxsize=4096)
def words_of_code(code: CodeType) -> frozenset[str]:
    """What could be a name in the texts of `code`."""
    found: set[str] = set()
    for constant in code.co_consts:
        if isinstance(constant, str):
            found |= words_in(constant)
        elif isinstance(constant, CodeType):
            found |= words_of_code(constant)
    return frozenset(found)
