"""The key of a cell: everything that decides what running it gives."""

from __future__ import annotations

import sys
import sysconfig
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from evercell.codec.canonical import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCHEMA", "cell_key", "python_abi"]

SCHEMA = 1  # raised when the same cell must get another key


def cell_key(
    source_digest: bytes,
    ordinal: int,
    reads: Mapping[str, bytes],
    parameters: Mapping[str, Any],
    abi: str | None = None,
) -> bytes:
    """16 bytes over the cell's normal form, its place among equal cells, the version of each input,
    the run's parameters and the Python that pickles and bytecode depend on.

    Raises NotStorableError for a parameter without content.
    """
    inputs = tuple(part for name in sorted(reads) for part in (name, reads[name]))
    arguments = digest(dict(parameters), None, "parameters")
    content = (SCHEMA, abi or python_abi(), source_digest, ordinal, inputs, arguments)
    return blake3(b"cell" + digest(content)).digest(16)


def python_abi() -> str:
    """Such as "cpython-311-x86_64-linux-gnu"."""
    return sysconfig.get_config_var("SOABI") or sys.implementation.cache_tag or sys.version
