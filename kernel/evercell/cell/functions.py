"""Plain functions of the notebook, which need not be looked at again while they are what they were.

A cell may change a function in place only by giving it another code, other defaults or attributes.
Where nothing of these can change in place itself, comparing them by identity tells. What another
variable holds by the function's name, it holds by itself once that name means something else.
"""

from __future__ import annotations

from operator import is_
from types import FunctionType
from typing import Any

from evercell.codec.canonical import SCALARS
from evercell.codec.definitions import function_state

__all__ = ["KnownFunctions"]


class KnownFunctions:
    """What variables' functions were made of when they were looked at."""

    def __init__(self, live: dict[str, Any]) -> None:
        self._live = live
        self._parts: dict[str, tuple[Any, ...]] = {}

    def note(self, name: str, value: object) -> None:
        """`value` was looked at."""
        parts = self._fixed_parts(value)
        if parts is None:
            self._parts.pop(name, None)
        else:
            self._parts[name] = parts

    def unchanged(self, name: str, value: object) -> bool:
        """Whether it is the function that was looked at, as it was."""
        known = self._parts.get(name)
        if known is None:
            return False
        now = self._fixed_parts(value)
        return now is not None and len(now) == len(known) and all(map(is_, now, known))

    def _fixed_parts(self, value: object) -> tuple[Any, ...] | None:
        """All that a function is made of; None where any of it can change in place."""
        if type(value) is not FunctionType or value.__globals__ is not self._live:
            return None
        state = function_state(value)
        annotated = state.pop("__annotations__", None) or state.get("__annotate__")
        attributes, defaults = state.pop("__dict__"), state.pop("__defaults__") or ()
        if attributes or annotated or state["__kwdefaults__"] or value.__closure__:
            return None
        if not all(type(default) in SCALARS for default in defaults):
            return None
        by_name = self._live.get(value.__qualname__) is value
        return (value, value.__code__, value.__name__, by_name, *defaults, *state.values())
