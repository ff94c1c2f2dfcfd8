"""Layers around an encoded value: compression, encryption, whatever a user adds.

json ─ zstd ─ aes-gcm      is the codec "json+zstd+aes-gcm": innermost first
buffer ─ chunks ─ zstd     a large value: each chunk went through the layers by itself, so that
                           any layer works in bounded memory

chunks: size of the value (8 bytes), then for each chunk its encoded length (8 bytes) and bytes
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, BinaryIO, Protocol, runtime_checkable

import msgspec

from evercell.errors import HistoryWriteError, PayloadError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from evercell.codec.parts import Pieces

__all__ = [
    "CHUNK",
    "CHUNKS",
    "COMPRESSED_FROM",
    "ZSTD",
    "Layer",
    "check_layer",
    "chunked",
    "compression_pays",
    "decode",
    "encode",
    "encrypts",
    "find_layers",
    "unchunked",
]

CHUNK = 16 << 20
CHUNKS = "chunks"
_LENGTH = 8

COMPRESSED_FROM = 8 << 10  # bytes; below, the journal and DuckDB lose little by it
_SAMPLE = 16 << 10
_LARGE = 1 << 20
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
_TAKEN = frozenset(
    {"json", "pickle", "buffer", "exception", "messages", "ambient", "arrow", "parts", CHUNKS}
)


@runtime_checkable
class Layer(Protocol):
    """Bytes to bytes and back. `name` is recorded: whoever reads needs a layer of this name.

    Without side effects, from any thread. A layer whose output tells nothing of its input sets
    `encrypts = True`; then nothing is recorded in clear beside the value either.
    """

    @property
    def name(self) -> str: ...

    def encode(self, data: bytes | memoryview) -> bytes: ...

    def decode(self, data: bytes) -> bytes: ...


if sys.version_info >= (3, 14):
    from compression import zstd

    def _compress(data: bytes | memoryview) -> bytes:
        return zstd.compress(data, level=1 if len(data) > _LARGE else 3)

    def _decompress(data: bytes) -> bytes:
        return zstd.decompress(data)

else:

    def _compress(data: bytes | memoryview) -> bytes:
        import zstandard  # noqa: PLC0415 - only for those who have something to compress

        large = len(data) > _LARGE
        made = zstandard.ZstdCompressor(level=1 if large else 3, threads=-1 if large else 0)
        compressed: bytes = made.compress(data)
        return compressed

    def _decompress(data: bytes) -> bytes:
        import zstandard  # noqa: PLC0415 - see above

        plain: bytes = zstandard.ZstdDecompressor().decompress(data)
        return plain


class _Zstd(msgspec.Struct, frozen=True):
    name: str = "zstd"

    def encode(self, data: bytes | memoryview) -> bytes:
        return _compress(data)

    def decode(self, data: bytes) -> bytes:
        return _decompress(data)


ZSTD: Layer = _Zstd()


def compression_pays(data: memoryview | Pieces, share: float) -> bool:
    """Whether zstd makes three samples of `data` at least as small as `share` of their size."""
    size = len(data)
    if size < COMPRESSED_FROM:
        return False
    places = (0, (size - _SAMPLE) // 2, size - _SAMPLE) if size > 3 * _SAMPLE else ()
    sample = b"".join(data[p : p + _SAMPLE] for p in places) if places else bytes(data)
    return len(_compress(sample)) <= share * len(sample)


def encrypts(layers: Iterable[Layer]) -> bool:
    """Whether what is recorded through `layers` can't be read by others."""
    return any(getattr(layer, "encrypts", False) is True for layer in layers)


def check_layer(layer: object) -> Layer:
    """`layer`, if it is one that works. Raises UsageError."""
    if not isinstance(layer, Layer) or not isinstance(layer.name, str):
        raise UsageError(
            f"{layer!r} is no codec layer: it needs a name, encode(data) and decode(data)."
        )
    name = layer.name
    if not _NAME.fullmatch(name) or name in _TAKEN:
        raise UsageError(
            f"A codec layer can't be named {name!r}. Names are lower-case letters, digits, '.', "
            f"'_' and '-', and {', '.join(sorted(_TAKEN))} are taken."
        )
    for probe in (b"", b"evercell"):
        if bytes(_decoded(layer, _encoded(layer, memoryview(probe)))) != probe:
            raise UsageError(f"Codec layer {name!r} does not decode what it encodes.")
    return layer


def find_layers(codec: str, known: Sequence[Layer]) -> tuple[Layer, ...]:
    """The layers of a recorded codec, innermost first. Raises PayloadError for a missing one."""
    named = {layer.name: layer for layer in (ZSTD, *known)}
    found = []
    for name in codec.split("+")[1:]:
        if name == CHUNKS:
            continue
        if name not in named:
            raise PayloadError(
                f"A recorded value needs the codec layer {name!r}, which this process does not "
                f"have. Call evercell.configure(codec=...) with it before, in the first cell; else "
                "the cell or step runs again."
            )
        found.append(named[name])
    return tuple(found)


def encode(data: bytes | memoryview, layers: Iterable[Layer]) -> bytes | memoryview:
    """`data` through all layers. Raises HistoryWriteError for one that fails."""
    for layer in layers:
        data = _encoded(layer, data)
    return data


def decode(data: bytes, layers: Sequence[Layer]) -> bytes:
    """What `encode` was given. Raises PayloadError for a layer that fails."""
    for layer in reversed(layers):
        data = _decoded(layer, data)
    return data


def chunked(data: memoryview | Pieces, layers: Sequence[Layer]) -> Iterator[bytes | memoryview]:
    """`data` chunk by chunk, as it is stored."""
    yield len(data).to_bytes(_LENGTH, "big")
    for begin in range(0, len(data), CHUNK):
        encoded = encode(data[begin : begin + CHUNK], layers)
        yield len(encoded).to_bytes(_LENGTH, "big")
        yield encoded


def unchunked(stored: BinaryIO, layers: Sequence[Layer]) -> tuple[int, Iterator[bytes]]:
    """The size of what `chunked` was given, and its chunks. Raises PayloadError, OSError."""
    size = int.from_bytes(stored.read(_LENGTH), "big")

    def chunks() -> Iterator[bytes]:
        left = size
        while length := stored.read(_LENGTH):
            piece = decode(stored.read(int.from_bytes(length, "big")), layers)
            left -= len(piece)
            yield piece
        if left:
            raise PayloadError(
                "A recorded value is not as long as it was; run its cell or step again."
            )

    return size, chunks()


def _encoded(layer: Layer, data: bytes | memoryview) -> bytes:
    try:
        return layer.encode(data)
    except Exception as error:
        raise HistoryWriteError(
            f"Codec layer {layer.name!r} failed, so the value was not recorded: "
            f"{type(error).__name__}: {error}. Correct it, or evercell.configure(codec=None)."
        ) from error


def _decoded(layer: Layer, data: bytes) -> bytes:
    try:
        return layer.decode(data)
    except Exception as error:
        raise PayloadError(
            f"Codec layer {layer.name!r} can't decode a recorded value: {type(error).__name__}: "
            f"{error}. Is it configured with another key? The cell or step runs again."
        ) from error
