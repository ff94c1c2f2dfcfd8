"""A pickle and its large buffers as one run of bytes: a file, whose memory arrays can be.

    u64 how many | u64 length of each | the pickle | buffer | buffer ...

Numbers are little-endian; each part begins at a multiple of 64 bytes, as arrays like it.
"""

from __future__ import annotations

import struct
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from evercell.errors import RestoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evercell.codec.buffers import Buffer

__all__ = ["joined", "parted"]

_NUMBER = struct.Struct("<Q")
_ALIGNED = 64


def joined(stream: bytes, buffers: Sequence[memoryview]) -> bytes:
    """The bytes that `parted` takes apart: the one copy that is made of the buffers."""
    sizes = [len(stream), *(buffer.nbytes for buffer in buffers)]
    parts: list[bytes | memoryview] = [stream, *buffers]
    head = struct.pack(f"<{len(sizes) + 1}Q", len(sizes), *sizes)
    pieces: list[bytes | memoryview] = []
    for part, size in zip([head, *parts], [len(head), *sizes], strict=True):
        pieces += [part, bytes(-size % _ALIGNED)]
    return b"".join(pieces)


def parted(data: Buffer) -> tuple[bytes, list[memoryview]]:
    """The stream, and the buffers as they lie in `data`. Raises RestoreError."""
    view = memoryview(data)
    try:
        (count,) = _NUMBER.unpack_from(view)
        sizes = struct.unpack_from(f"<{count}Q", view, _NUMBER.size)
    except (struct.error, MemoryError, OverflowError) as error:
        raise RestoreError(
            f"a recorded value is not in the parts it should be: {error}."
        ) from error
    places = list(_places(len(view), count, sizes))
    stream, *buffers = (view[begin : begin + size] for begin, size in places)
    return bytes(stream), buffers


def _places(whole: int, count: int, sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Where each part begins, and its size."""
    taken = [_padded(_NUMBER.size * (count + 1)), *map(_padded, sizes)]
    begins = list(accumulate(taken))
    if not sizes or begins[-1] != whole:
        raise RestoreError("a recorded value is not in the parts it should be: it was cut.")
    for (begin, _), size in zip(pairwise(begins), sizes, strict=True):
        yield begin, size


def _padded(size: int) -> int:
    return size + -size % _ALIGNED
