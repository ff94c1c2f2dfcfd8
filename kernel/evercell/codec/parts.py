"""A pickle and its large buffers as one run of bytes: a file, whose memory arrays can be.

    u64 how many | u64 length of each | the pickle | buffer | buffer ...

Numbers are little-endian; each part begins at a multiple of 64 bytes, as arrays like it.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING

from evercell.errors import RestoreError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from evercell.codec.buffers import Buffer

__all__ = ["Pieces", "joined", "parted"]

_NUMBER = struct.Struct("<Q")
_ALIGNED = 64


class Pieces:
    """The bytes that `parted` takes apart, without a copy of the buffers: parts of them are read as
    those of bytes are. Whoever may change the buffers changes this, too."""

    __slots__ = ("_begins", "_pieces", "_size")

    def __init__(self, stream: bytes, buffers: Sequence[memoryview]) -> None:
        sizes = [len(stream), *(buffer.nbytes for buffer in buffers)]
        parts: list[bytes | memoryview] = [stream, *buffers]
        head = struct.pack(f"<{len(sizes) + 1}Q", len(sizes), *sizes)
        self._pieces: list[bytes | memoryview] = []
        for part, size in zip([head, *parts], [len(head), *sizes], strict=True):
            self._pieces += [part, bytes(-size % _ALIGNED)]
        *self._begins, self._size = accumulate(map(len, self._pieces), initial=0)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, part: slice) -> bytes:
        """A copy of a part."""
        begin, end, _ = part.indices(self._size)
        found = []
        number = bisect_right(self._begins, begin) - 1
        while begin < end:
            offset = begin - self._begins[number]
            found.append(memoryview(self._pieces[number])[offset : offset + end - begin])
            begin += len(found[-1])
            number += 1
        return b"".join(found)

    def __bytes__(self) -> bytes:
        return b"".join(self._pieces)

    def __iter__(self) -> Iterator[bytes | memoryview]:
        """What it is made of, in order."""
        return iter(self._pieces)


def joined(stream: bytes, buffers: Sequence[memoryview]) -> bytes:
    """The bytes that `parted` takes apart: the one copy that is made of the buffers."""
    return bytes(Pieces(stream, buffers))


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
