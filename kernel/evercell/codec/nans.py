"""NaNs in pickles: a NaN equals only itself, and is found in a list or a dict by being that object.

Those that everybody shares (`math.nan`, `numpy.nan`) are written by name, others by a number and
their bits, so that one object is one object again. Arrays hold no objects: nothing here is about
them.
"""

from __future__ import annotations

import re
import struct
import sys
from typing import Any

from evercell.errors import RestoreError

__all__ = ["NanIds", "NanObjects", "holds_nan"]

_BITS = struct.Struct(">d")
# The opcode of a float with a NaN's bits; infinity, which has none of the lower ones, is none.
_NAN = re.compile(rb"G[\x7f\xff](?:[\xf1-\xff]|\xf0(?!\0{6}))", re.DOTALL)
_NAMED = (("math", "nan"), ("cmath", "nan"), ("numpy", "nan"), ("json.decoder", "NaN"))


def holds_nan(stream: bytes) -> bool:
    """Whether a NaN is written in the pickle; now and then also for other bytes that look so."""
    return _NAN.search(stream) is not None


class NanIds:
    """The NaNs of one stream."""

    def __init__(self) -> None:
        found = ((name, getattr(sys.modules.get(name[0]), name[1], None)) for name in _NAMED)
        self._names = {id(nan): name for name, nan in found if nan is not None}
        self._numbers: dict[int, int] = {}
        self.own: list[float] = []  # those without a name, which stay alive with this

    def of(self, nan: float) -> tuple[str, str] | tuple[int, bytes]:
        """What stands for it in the stream."""
        name = self._names.get(id(nan))
        if name is not None:
            return name
        number = self._numbers.get(id(nan))
        if number is None:
            number = self._numbers[id(nan)] = len(self.own)
            self.own.append(nan)
        return number, _BITS.pack(nan)


class NanObjects:
    """The NaNs of one stream that is read."""

    def __init__(self) -> None:
        self._made: dict[int, float] = {}

    def of(self, pid: Any) -> float:
        """The object that `pid` stands for. Raises RestoreError."""
        match pid:
            case (str(module), str(name)) if (module, name) in _NAMED:
                __import__(module)
                shared: float = getattr(sys.modules[module], name)
                return shared
            case (int(number), bytes(bits)):
                if number not in self._made:
                    (self._made[number],) = _BITS.unpack(bits)
                return self._made[number]
            case _:
                raise RestoreError(f"a recorded value refers to {pid!r}, which is not known.")
