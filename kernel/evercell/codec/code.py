"""Code objects without their positions: what they do, not where they were written.

A code object is stored as `marshal` data of its stripped form (file name, line numbers and nested
positions removed) and, beside it, the positions. The digest covers the stripped form only, so that
moving a function to another line or another process's temporary file changes nothing.
"""

from __future__ import annotations

import marshal
import os
import re
import tempfile
from functools import lru_cache
from types import CodeType
from typing import Any

from blake3 import blake3

__all__ = [
    "Positions",
    "code_constant",
    "code_digest",
    "local_file",
    "marshal_code",
    "plain_constant",
    "portable_file",
    "positions_of",
    "unmarshal_code",
]

# (file name, first line, line table, positions of the nested code objects in constant order)
Positions = tuple[str, int, bytes, tuple["Positions", ...]]

# ipykernel names a cell's code by the source and the process id. The part for the process is left
# open, so that a traceback through a restored function finds its cell's source.
_CELL = "<cell>"
_CELL_FILE = re.compile(r"\A.*[\\/]ipykernel_\d+(?=[\\/]\d+\.py\Z)")
_OPEN_FILE = re.compile(rf"\A{_CELL}[\\/]\d+\.py\Z")


@lru_cache(maxsize=4096)
def marshal_code(code: CodeType) -> bytes:
    """The stripped code as bytes. Raises ValueError for constants that no compiler makes."""
    # Version 2 writes no back references and no interning flags: equal code gives equal bytes.
    return marshal.dumps(_strip(code), 2)


@lru_cache(maxsize=4096)
def code_digest(code: CodeType) -> bytes:
    """16 bytes over everything that decides what the code does."""
    return blake3(b"code" + marshal_code(code)).digest(16)


def positions_of(code: CodeType) -> Positions:
    """What `marshal_code` leaves out."""
    nested = tuple(positions_of(c) for c in code.co_consts if type(c) is CodeType)
    return portable_file(code.co_filename), code.co_firstlineno, code.co_linetable, nested


def portable_file(name: str) -> str:
    """A code's file name with the part for the process left open."""
    return _CELL_FILE.sub(_CELL, name)


def local_file(name: str) -> str:
    """What `portable_file` was given, for this process."""
    return f"{_cell_folder()}{name.removeprefix(_CELL)}" if _OPEN_FILE.match(name) else name


def unmarshal_code(data: bytes, positions: Positions) -> CodeType:
    """The code object again, with its positions."""
    return _place(marshal.loads(data), positions)  # noqa: S302 - authenticated before it gets here


def _cell_folder() -> str:
    return f"{tempfile.gettempdir()}{os.sep}ipykernel_{os.getpid()}"


def _strip(code: CodeType) -> CodeType:
    return code.replace(
        co_filename="",
        co_firstlineno=1,
        co_linetable=b"",
        co_consts=tuple(
            _strip(c) if type(c) is CodeType else plain_constant(c) for c in code.co_consts
        ),
    )


def plain_constant(constant: Any) -> Any:
    """A constant as marshal's version 2 can write it: it knows no slices, which CPython 3.14 makes
    constants of. They become tuples that begin with an Ellipsis, and those that do so, others."""
    if type(constant) is slice:
        return (..., "slice", constant.start, constant.stop, constant.step)
    if type(constant) is tuple:
        inner = tuple(map(plain_constant, constant))
        return (..., "tuple", inner) if inner and inner[0] is ... else inner
    return constant


def code_constant(plain: Any) -> Any:
    """What `plain_constant` was given."""
    if type(plain) is not tuple:
        return plain
    if plain and plain[0] is ...:
        _, kind, *rest = plain
        return slice(*rest) if kind == "slice" else tuple(map(code_constant, rest[0]))
    return tuple(map(code_constant, plain))


def _place(code: CodeType, positions: Positions) -> CodeType:
    filename, line, table, nested = positions
    inner = iter(nested)
    return code.replace(
        co_filename=local_file(filename),
        co_firstlineno=line,
        co_linetable=table,
        co_consts=tuple(
            _place(c, next(inner)) if type(c) is CodeType else code_constant(c)
            for c in code.co_consts
        ),
    )
