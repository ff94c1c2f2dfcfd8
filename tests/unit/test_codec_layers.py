"""Layers: names, chains, chunks, and what pays."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass

import pytest

from evercell.codec import layers
from evercell.codec.layers import ZSTD
from evercell.errors import HistoryWriteError, PayloadError, UsageError


@dataclass(frozen=True)
class Flip:
    """Not a secret of any kind."""

    name: str = "flip"

    def encode(self, data: bytes | memoryview) -> bytes:
        return bytes(255 - byte for byte in bytes(data))

    decode = encode


class Broken(Flip):
    def encode(self, data: bytes | memoryview) -> bytes:
        raise RuntimeError("no")

    def decode(self, data: bytes) -> bytes:
        raise RuntimeError("no")


def test_a_chain_goes_in_and_out() -> None:
    data = b"abc" * 100
    stored = bytes(layers.encode(data, (ZSTD, Flip())))
    assert stored != data
    assert layers.decode(stored, layers.find_layers("json+zstd+flip", [Flip()])) == data


def test_a_missing_layer_says_what_to_do() -> None:
    with pytest.raises(PayloadError, match=r"'flip'.*configure"):
        layers.find_layers("json+zstd+flip", [])


@pytest.mark.parametrize("size", [0, 1, layers.CHUNK, layers.CHUNK + 1])
def test_chunks_come_back(size: int) -> None:
    data = memoryview(b"a" * size)
    stored = b"".join(layers.chunked(data, (ZSTD,)))
    size, chunks = layers.unchunked(io.BytesIO(stored), (ZSTD,))
    assert (size, b"".join(chunks)) == (len(data), data)


def test_chunks_cut_short_are_refused() -> None:
    stored = b"".join(layers.chunked(memoryview(b"abc"), (ZSTD,)))
    other = (4).to_bytes(8, "big") + stored[8:]
    with pytest.raises(PayloadError):
        list(layers.unchunked(io.BytesIO(other), (ZSTD,))[1])


def test_a_failing_layer_is_named() -> None:
    with pytest.raises(HistoryWriteError, match=r"'flip' failed.*RuntimeError: no"):
        layers.encode(b"a", (Broken(),))
    with pytest.raises(PayloadError, match=r"'flip' can't decode"):
        layers.decode(b"a", (Broken(),))


def test_compression_pays_for_text_and_not_for_noise() -> None:
    noise = random.Random(0).randbytes(200_000)
    text = b"the quick brown fox " * 10_000
    assert layers.compression_pays(memoryview(text), 0.8)
    assert not layers.compression_pays(memoryview(noise), 0.8)
    assert not layers.compression_pays(memoryview(layers.encode(noise, (ZSTD,))), 0.8)
    assert not layers.compression_pays(memoryview(text[:1000]), 0.8)
    assert not layers.compression_pays(memoryview(bytes(30_000) + noise), 0.5)


@pytest.mark.parametrize("wrong", [
    object(), Flip("json"), Flip("a+b"), Flip(""), Flip("Upper"), Flip("chunks"),
])  # fmt: skip
def test_what_is_no_layer(wrong: object) -> None:
    with pytest.raises(UsageError):
        layers.check_layer(wrong)


def test_a_layer_must_give_back_what_it_got() -> None:
    class Lossy(Flip):
        def decode(self, data: bytes) -> bytes:
            return b""

    with pytest.raises(UsageError, match="does not decode"):
        layers.check_layer(Lossy())
