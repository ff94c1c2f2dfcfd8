"""A pickle and its large buffers as one run of bytes: a file, whose memory arrays can be.

    u64 how many | u64 length and kind of each | the pickle | buffer | buffer ...

Numbers are little-endian, a kind is the upper two bits; each part begins at a multiple of 64 bytes,
as arrays like it. Memory of arrays is handed out as it lies there. A bytes object can't be, so what
holds one is read part by part, each into the object that it becomes.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from evercell.errors import RestoreError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from evercell.codec.buffers import Buffer

__all__ = ["Parted", "Pieces", "are_apart", "gathered", "joined", "parted"]

_NUMBER = struct.Struct("<Q")
_ALIGNED = 64
_MEMORY, _BYTES, _BYTEARRAY = range(3)
_KINDS = {bytes: _BYTES, bytearray: _BYTEARRAY}
_KIND = 62  # bits of a length
_LENGTH = (1 << _KIND) - 1


class Parted(msgspec.Struct, frozen=True):
    """The parts, each in memory of its own."""

    stream: bytes
    buffers: list[bytes | bytearray]

    def __bytes__(self) -> bytes:
        """What they were taken from."""
        return bytes(Pieces(self.stream, [memoryview(buffer) for buffer in self.buffers]))


class Pieces:
    """The bytes that `parted` takes apart, without a copy of the buffers: parts of them are read as
    those of bytes are. Whoever may change the buffers changes this, too."""

    __slots__ = ("_begins", "_pieces", "_size")

    def __init__(self, stream: bytes, buffers: Sequence[memoryview]) -> None:
        sizes = [len(stream), *(buffer.nbytes for buffer in buffers)]
        kinds = [_MEMORY, *(_KINDS.get(type(buffer.obj), _MEMORY) for buffer in buffers)]
        parts: list[bytes | memoryview] = [stream, *buffers]
        marked = (size | kind << _KIND for size, kind in zip(sizes, kinds, strict=True))
        head = struct.pack(f"<{len(sizes) + 1}Q", len(sizes), *marked)
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


def parted(data: Buffer | Parted) -> tuple[bytes, Sequence[Buffer]]:
    """The stream, and the buffers as they lie in `data`. Raises RestoreError."""
    if isinstance(data, Parted):
        return data.stream, data.buffers
    view = memoryview(data)
    sizes = [size for size, _ in _sizes(view)]
    stream, *buffers = (view[begin : begin + size] for begin, size in _places(len(view), sizes))
    return bytes(stream), buffers


def are_apart(file: BinaryIO, whole: int) -> bool:
    """Whether the `whole` bytes that the file holds, from here on, are for `gathered`. Raises
    RestoreError, OSError."""
    begin = file.tell()
    number = file.read(_NUMBER.size)
    count = min(int.from_bytes(number, "little"), whole)
    head = memoryview(number + file.read(count * _NUMBER.size))
    file.seek(begin)
    return any(kind != _MEMORY for _, kind in _sizes(head))


def gathered(chunks: Iterable[bytes | memoryview], whole: int) -> Parted:
    """The parts of `whole` bytes that come in chunks, of which the first holds the lengths. Each is
    copied into memory of its own at once; no more than a chunk is held beside it. Raises
    RestoreError."""
    source = _Source(chunks)
    sizes, kinds = zip(*_sizes(source.chunk), strict=True)
    found: list[bytes | bytearray] = []
    for (begin, size), kind in zip(_places(whole, sizes), (_BYTES, *kinds[1:]), strict=True):
        source.skip(begin)
        found.append(_made(source.take(size), size, kind))
    source.skip(whole)
    source.end()
    stream, *buffers = found
    return Parted(bytes(stream), buffers)


class _Source:
    """Bytes that come in chunks."""

    def __init__(self, chunks: Iterable[bytes | memoryview]) -> None:
        self._chunks = (memoryview(chunk) for chunk in chunks)
        self._position = 0
        self.chunk = next(self._chunks, memoryview(b""))

    def take(self, size: int) -> Iterator[memoryview]:
        """The next bytes; each part is good until the next one is asked for."""
        while size:
            if not self.chunk:
                self.chunk = next(self._chunks, self.chunk)
            part, self.chunk = self.chunk[:size], self.chunk[size:]
            if not part:
                raise RestoreError("a recorded value is not in the parts it should be: it was cut.")
            self._position += len(part)
            size -= len(part)
            yield part

    def skip(self, to: int) -> None:
        """Go on at the offset `to`."""
        for _ in self.take(to - self._position):
            pass

    def end(self) -> None:
        """Nothing may be left. Raises RestoreError."""
        if self.chunk or next(self._chunks, None) is not None:
            raise RestoreError("a recorded value is not in the parts it should be: it has grown.")


def _made(parts: Iterable[memoryview], size: int, kind: int) -> bytes | bytearray:
    """The object that they become, made in place."""
    if kind == _BYTES:
        file = io.BytesIO()
        file.writelines(parts)
        return file.getvalue()
    data, filled = bytearray(size), 0
    for part in parts:
        data[filled : filled + len(part)] = part
        filled += len(part)
    return data


def _sizes(view: memoryview) -> list[tuple[int, int]]:
    """The length and the kind of each part, from the beginning of the whole."""
    try:
        (count,) = _NUMBER.unpack_from(view)
        marked = struct.unpack_from(f"<{count}Q", view, _NUMBER.size)
    except (struct.error, MemoryError, OverflowError) as error:
        raise RestoreError(
            f"a recorded value is not in the parts it should be: {error}."
        ) from error
    return [(each & _LENGTH, each >> _KIND) for each in marked]


def _places(whole: int, sizes: Sequence[int]) -> list[tuple[int, int]]:
    """Where each part begins, and its size."""
    taken = [_padded(_NUMBER.size * (len(sizes) + 1)), *map(_padded, sizes)]
    begins = list(accumulate(taken))
    if not sizes or begins[-1] != whole:
        raise RestoreError("a recorded value is not in the parts it should be: it was cut.")
    return [(begin, size) for (begin, _), size in zip(pairwise(begins), sizes, strict=True)]


def _padded(size: int) -> int:
    return size + -size % _ALIGNED
