"""Pickle protocol 5 that knows the live namespace: see pickler.py for what that means.

dump(value, live)   -> Dumped: the stream, its out-of-band buffers, and what was met on the way
load(stream, ...)   -> the value, its functions reading the live namespace
"""

from __future__ import annotations

import gc
import io
import pickle
import types
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from evercell.codec import rebuild
from evercell.codec.blame import summary, why_not_pickled
from evercell.codec.nans import holds_nan
from evercell.codec.pickler import APART, NOTHING_OWN, ApartPickler, NanPickler, Pickler
from evercell.codec.streams import content
from evercell.codec.unpickling import Unpickler
from evercell.errors import EvercellError, NotStorableError, RestoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from evercell.codec.buffers import Buffer
    from evercell.codec.identities import Met
    from evercell.codec.reducers import Arrays

__all__ = ["Dumped", "dump", "load"]

_SMALL = 8192  # bytes of a pickle that are read again by Python code, at a microsecond for ten


class Dumped(msgspec.Struct, frozen=True):
    """A stored value. `main` decides its version; positions in source files don't."""

    main: bytes
    positions: bytes
    buffers: tuple[memoryview, ...]
    names: frozenset[str]  # of the namespace, referred to by name
    codes: tuple[types.CodeType, ...]  # of the notebook's functions in the stream
    step_codes: tuple[types.CodeType, ...]  # of the bodies of steps
    modules: frozenset[str]
    met: Met  # the objects
    arrays: Arrays
    ending: str | None = None  # a class of the user's in it that has a `__del__`

    @property
    def plain(self) -> bool:
        """Whether it comes back exactly without a proof."""
        return self.met.plain and self.arrays.plain

    @property
    def stream(self) -> bytes:
        """What `load` wants: the pickle, the positions, the length of the positions."""
        return b"".join((self.main, self.positions, len(self.positions).to_bytes(4, "big")))

    def digest(self) -> bytes:
        """16 bytes over the content.

        A class or an instance that was loaded has other strings as one object than a fresh one.
        """
        small = self.met.kinds and len(self.main) <= _SMALL
        return self._hash(content(self.main) if small else self.main)

    def content_of_buffers(self) -> bytes:
        """16 bytes over what is beside the stream."""
        return self._hash(b"")

    def _hash(self, main: bytes) -> bytes:
        hasher = blake3(main)
        for buffer in self.buffers:
            hasher.update(b"buffer" + buffer.nbytes.to_bytes(8, "big"))
            hasher.update(buffer)
        return hasher.digest(16)


def dump(
    value: object,
    live: dict[str, Any],
    *,
    own: Mapping[str, object] = NOTHING_OWN,
    out_of_band: bool = False,
    apart: bool = False,
    pickler: type[Pickler] | None = None,
) -> Dumped:
    """Pickle `value`. `own` holds the variables that are being stored themselves: their functions
    and classes are written by definition. `out_of_band`: the memory of arrays goes into buffers;
    `apart`: large bytes objects and bytearrays do, too. Raises NotStorableError."""
    make = pickler or Pickler
    found = _write(make, value, live, own, out_of_band=out_of_band, apart=apart)
    # Pickle writes floats by value, and asking for each object which one it is would take longer
    # than writing it. So this is done a second time where it matters.
    if make is Pickler and holds_nan(found.main):
        return _write(NanPickler, value, live, own, out_of_band=out_of_band)
    return found


def _write(
    make: Callable[..., Pickler],
    value: object,
    live: dict[str, Any],
    own: Mapping[str, object],
    *,
    out_of_band: bool,
    apart: bool = False,
) -> Dumped:
    buffers: list[memoryview] = []

    def beside(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < rebuild.OUT_OF_BAND:
            return True
        buffers.append(raw)
        return False

    # Pickle hands out what is large as it is, without a copy: of objects, references are kept.
    written: list[bytes] = []
    file = SimpleNamespace(write=written.append)
    writer = make(file, live, own, beside if out_of_band else None)
    if isinstance(writer, ApartPickler):
        writer.buffers = buffers
    try:
        # Each look of the collector at a million objects costs as much as pickling them.
        with _uncollected():
            writer.dump(value)
        if apart and any(map(_is_large, written)):
            written.clear()
            return _write(ApartPickler, value, live, own, out_of_band=out_of_band)
        positions = pickle.dumps(tuple(writer.positions), 5)
    except EvercellError:
        raise
    except Exception as error:
        raise NotStorableError(why_not_pickled(error, writer.latest)) from error
    with _uncollected():
        met = writer.met(value)
    return Dumped(
        b"".join(written),
        positions,
        tuple(buffers),
        frozenset(writer.names),
        tuple(writer.codes),
        tuple(writer.step_codes),
        frozenset(writer.modules),
        met,
        writer.arrays,
        writer.ending,
    )


def _is_large(written: bytes) -> bool:
    return len(written) >= APART


def load(
    stream: Buffer,
    buffers: Sequence[Buffer],
    live: dict[str, Any],
    resolve: Callable[[str], Any] | None = None,
    *,
    owned: bool = False,
    unpickler: Callable[..., Unpickler] = Unpickler,
) -> Any:
    """The value that `dump` stored. `resolve` finds what is stored by name (default: in `live`).
    Buffers that are bytearrays or private mappings become part of the value; others are copied,
    unless they are `owned`: memory that can be written and that nobody else has.

    Raises RestoreError; nothing in `live` is touched.
    """
    try:
        size = int.from_bytes(stream[-4:], "big")
        positions = pickle.loads(stream[len(stream) - 4 - size : -4])
        # Whole, for bytes are shared, not copied; the pickle says itself where it ends.
        file = io.BytesIO(stream)
        reader = unpickler(file, live, positions, resolve, buffers, owned)
        return _read(reader, large=bool(buffers))
    except EvercellError:
        raise
    except Exception as error:
        raise RestoreError(
            f"a recorded value can't be rebuilt: {type(error).__name__}: {summary(error)}. "
            "Is a package missing or of another version?"
        ) from error


def _read(reader: Unpickler, *, large: bool) -> Any:
    value = reader.load()
    if large:  # the memo may hold methods of its reader, and so the buffers until it is collected
        reader.memo.clear()
    return value


@contextmanager
def _uncollected() -> Iterator[None]:
    """No garbage collection meanwhile."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
