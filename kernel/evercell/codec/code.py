"""Code objects without their positions: what they do, not where they were written.

A code object is stored as `marshal` data of its stripped form (file name, line numbers and nested
positions removed) and, beside it, the positions. The digest covers the stripped form only, so that
moving a function to another line or another process's temporary file changes nothing.
"""

from __future__ import annotations

import dis
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

_LINE: Any = (..., "line")  # unlike any constant as it is stored: those that begin so are longer

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
    _, constants = _without_line(code)
    nested = tuple(positions_of(c) for c in constants if type(c) is CodeType)
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
    instructions, constants = _without_line(code)
    return code.replace(
        co_filename="",
        co_firstlineno=1,
        co_linetable=b"",
        co_code=instructions,
        co_consts=tuple(
            _strip(c) if type(c) is CodeType else c if c is _LINE else plain_constant(c)
            for c in constants
        ),
    )


def _without_line(code: CodeType) -> tuple[bytes, tuple[Any, ...]]:
    """The instructions and constants. From CPython 3.13 on, a class's body begins by setting the
    number of its first line, for which `_LINE` stands. As that may be one of its other constants,
    or none at all, they are put in the order in which they are used."""
    unchanged = code.co_code, code.co_consts
    if "__firstlineno__" not in code.co_names:
        return unchanged
    every = list(dis.get_instructions(code))
    stored = [(each.opname, each.argval) for each in every]
    if ("STORE_NAME", "__firstlineno__") not in stored:
        return unchanged
    line = every[stored.index(("STORE_NAME", "__firstlineno__")) - 1]
    uses = [each for each in every if each is line or each.opcode in dis.hasconst]
    if line.argval != code.co_firstlineno or any((each.arg or 0) > 255 for each in uses):
        return unchanged
    constants: dict[int | None, Any] = {}
    instructions = bytearray(code.co_code)
    for each in uses:
        key = None if each is line else each.arg
        constants.setdefault(key, _LINE if each is line else code.co_consts[each.arg or 0])
        instructions[each.offset + 1] = list(constants).index(key)
    instructions[line.offset] = dis.opmap["LOAD_CONST"]
    return bytes(instructions), tuple(constants.values())


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
            _place(c, next(inner))
            if type(c) is CodeType
            else line
            if c == _LINE
            else code_constant(c)
            for c in code.co_consts
        ),
    )
