"""What a cell's run is, as data: what it read, what it made, what it changed."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.cell.callbacks import Registered
    from evercell.cell.covariables import Observation
    from evercell.cell.pending import Waiting
    from evercell.cell.reach import Reach
    from evercell.cell.trial import Trial
    from evercell.cell.watch import Count
    from evercell.errors import RestoreError

__all__ = [
    "NOTHING",
    "RESULT",
    "Before",
    "Capture",
    "CapturedAmbient",
    "CapturedGroup",
    "Decoded",
    "Settled",
    "Unrestored",
    "Unverified",
    "lost_capture",
]

RESULT = "Out[]"  # the name of the product that is Out[n]; no variable can have it


class _Nothing:
    """A cell that displayed no value; None is a value that a cell can display."""

    def __repr__(self) -> str:
        return "NOTHING"


NOTHING = _Nothing()


class Before(msgspec.Struct, frozen=True):
    """The namespace as a cell found it."""

    bindings: dict[str, object]
    versions: dict[str, bytes]
    ambient: dict[str, Any]
    lineage: bytes
    reach: Reach
    fingerprints: dict[frozenset[str], bytes]  # of the co-variables it may touch
    singles: dict[str, Observation]  # what was known of each variable
    modules: dict[str, bytes]  # what the project's modules hold
    attributes: dict[str, dict[str, object]]  # of modules, that it may set
    count: Count  # of attributes of the classes of libraries
    callbacks: Registered  # of the notebook, outside of the namespace
    called: bytes | None  # what these hold; None: there are none, or it can't be told

    __repr__ = object.__repr__  # it holds values of the user's


class CapturedGroup(msgspec.Struct, frozen=True):
    """A co-variable that the cell created or changed."""

    names: tuple[str, ...]
    version: bytes
    stream: bytes | None  # None: it can't be stored, for `reason`
    buffers: tuple[memoryview, ...] = ()
    reason: str | None = None
    refers: tuple[str, ...] = ()  # other variables that it holds by name
    marked: bool = False  # its version says which secrets are in it
    traced: bytes | None = None  # its version if it comes back, which a trial has yet to find out


class CapturedAmbient(msgspec.Struct, frozen=True):
    """Process state that the cell changed; without `data` it can't be put back."""

    name: str
    version: bytes
    data: bytes | None
    reason: str | None = None


class Unverified(msgspec.Struct, frozen=True):
    """Products whose round trip is tried beside the kernel. Until it is known, their versions are
    such as nothing recorded has."""

    trial: Trial
    settle: Callable[[tuple[str | None, ...] | None], tuple[Settled, ...]]  # by what it found


class Settled(msgspec.Struct, frozen=True):
    """What a trial found of a product: its version for good, and why it can't be stored, if so."""

    names: tuple[str, ...]
    version: bytes
    reason: str | None


class Capture(msgspec.Struct, frozen=True):
    """All of it. Not `restorable`: never a hit. `reason` says why it is not, or why a hit means
    running it again (some product or ambient change has no data)."""

    key: bytes
    reads: dict[str, bytes]
    products: tuple[CapturedGroup, ...]
    deleted: tuple[str, ...]
    ambient: tuple[CapturedAmbient, ...]
    result_name: str | None
    restorable: bool
    reason: str | None
    reach: Reach | None = None  # what it could touch; None: not known
    unverified: Unverified | None = None


def lost_capture(reason: str) -> Capture:
    """Of a cell whose effects could not be recorded: never a hit."""
    return Capture(os.urandom(16), {}, (), (), (), None, restorable=False, reason=reason)


class Decoded(msgspec.Struct, frozen=True):
    """A recorded cell, ready to be applied."""

    values: dict[str, object]
    groups: tuple[tuple[tuple[str, ...], bytes], ...]  # names and version of each product
    traced: tuple[tuple[bytes, bytes], ...]  # versions that a trial decided, and what they go by
    refers: dict[tuple[str, ...], tuple[str, ...]]  # by a product's names: what it holds by name
    deleted: tuple[str, ...]
    ambient: tuple[tuple[str, bytes, Callable[[], None]], ...]
    result_name: str | None
    result: object
    key: bytes
    partial: bool = False
    waiting: tuple[Waiting, ...] = ()  # what is loaded when needed

    __repr__ = object.__repr__  # it holds values of the user's


class Unrestored:
    """Stands for a displayed value that could not be stored."""

    __slots__ = ("_reason",)

    def __init__(self, reason: str) -> None:
        object.__setattr__(self, "_reason", reason)

    def __repr__(self) -> str:
        return f"<not restored: {object.__getattribute__(self, '_reason')}>"

    def _refuse(self, *_args: object, **_kwargs: object) -> Any:
        raise _restore_error(object.__getattribute__(self, "_reason"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # displays and completers ask; they take no for an answer
            raise AttributeError(name)
        return self._refuse()

    __setattr__ = __delattr__ = __call__ = __iter__ = __len__ = __getitem__ = _refuse
    __setitem__ = __contains__ = __bool__ = __add__ = __radd__ = __enter__ = __await__ = _refuse
    __sub__ = __mul__ = __truediv__ = __int__ = __float__ = __index__ = __lt__ = __gt__ = _refuse


def _restore_error(reason: str) -> RestoreError:
    from evercell.errors import RestoreError  # noqa: PLC0415 - only when somebody uses it

    return RestoreError(f"this cell's result was not recorded: {reason}. Run the cell again.")
