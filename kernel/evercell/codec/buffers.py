"""The memory of large values: arrays live in buffers that travel beside the pickle."""

from __future__ import annotations

from mmap import mmap

__all__ = ["Buffer", "PrivateMapping", "own_memory"]

Buffer = bytes | bytearray | memoryview | mmap


class PrivateMapping(mmap):
    """A file's bytes as memory, copied when written to: what is done to it stays in the process.
    Unlike a mapping that a user made, values over it are stored as any others."""


def own_memory(buffer: Buffer) -> bytearray | mmap:
    """Memory that nobody else has: arrays over bytes would come back read-only."""
    return buffer if isinstance(buffer, bytearray | PrivateMapping) else bytearray(buffer)
