"""Tracebacks as data and back, as far as they are shown: where each frame was, and its line.

    points_of(traceback)  -> a Point for each frame: file, names, lines and columns
    packed(points)        -> bytes, which depend on nothing but what the points say
    make_traceback(...)   -> a traceback that is printed the same; its frames have no variables

A frame can only be made by running code: a function that returns its own, of a code object that
says it was written where the recorded one was.
"""

from __future__ import annotations

import dis
import inspect
import sys
from functools import lru_cache
from itertools import islice
from types import CodeType, FunctionType, TracebackType
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.codec.code import local_file, portable_file

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Point", "make_traceback", "packed", "points_of", "unpacked"]

_Columns = tuple[int, int, int, int]  # first and last line, first and last column
_Code = tuple[str, str, str, int, tuple[str, ...], int, int, int]
# (module, code, line of the error, line that the frame came to, columns, instruction)
Point = tuple[str, _Code, int, int, _Columns | None, tuple[int, int] | None]

_Frame = tuple[str, int, int, int, _Columns | None, tuple[int, int] | None]  # the code's number
_decode = msgspec.msgpack.Decoder(tuple[tuple[_Code, ...], tuple[_Frame, ...]]).decode

_OWN = ("evercell", "evercell_widgets")
_NOTHING = bytes(32)  # room for the caches of an instruction that never runs
_NAMED = frozenset((*dis.hasname, *dis.haslocal, *dis.hasfree, *dis.hasconst, *dis.hasjrel))
_UNITS = 8  # instructions that one entry of a line table covers at most
_REST = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
_TEMPLATE: CodeType = (lambda: _own()).__code__  # type: ignore[name-defined]  # noqa: F821, PLW0108


class _NotKept:
    """Stands for an argument."""

    def __repr__(self) -> str:
        return "<not kept>"


_NOT_KEPT = _NotKept()


def points_of(traceback: TracebackType | None, *, own: bool = True) -> tuple[Point, ...]:
    """The frames of a traceback, the outermost first; without Evercell's `own`, if so asked."""
    found = []
    while traceback is not None:
        frame, line = traceback.tb_frame, traceback.tb_lineno
        module = _text(frame.f_globals.get("__name__", ""))
        if own or module.partition(".")[0] not in _OWN:
            where = _where(frame.f_code, traceback.tb_lasti)
            found.append((module, _code(frame.f_code), line, frame.f_lineno or line, *where))
        traceback = traceback.tb_next
    return tuple(found)


def packed(points: Iterable[Point]) -> bytes:
    """The points as bytes; each code object stands there once."""
    codes: dict[_Code, int] = {}
    frames = [(p[0], codes.setdefault(p[1], len(codes)), *p[2:]) for p in points]
    return msgspec.msgpack.encode((tuple(codes), frames)) if frames else b""


def unpacked(data: bytes) -> tuple[Point, ...]:
    """What `packed` was given. Raises msgspec.DecodeError."""
    if not data:
        return ()
    codes, frames = _decode(data)
    return tuple((frame[0], codes[frame[1]], *frame[2:]) for frame in frames)


def make_traceback(points: Iterable[Point]) -> TracebackType | None:
    """The traceback that has these frames; None for no frame."""
    made = None
    for point in reversed(tuple(points)):
        module, (*_, parameters, _, keywords, flags), line, *_, instruction = point
        code = _code_at(*point[1:])
        scope = {"__name__": module, "__file__": code.co_filename, "_own": sys._getframe}
        named = parameters[code.co_argcount : code.co_argcount + keywords]
        named += ("**",) if flags & inspect.CO_VARKEYWORDS else ()
        given = code.co_argcount + bool(flags & inspect.CO_VARARGS)
        frame = FunctionType(code, scope)(*[_NOT_KEPT] * given, **dict.fromkeys(named, _NOT_KEPT))
        del scope["_own"]
        index = -1 if instruction is None else len(_TEMPLATE.co_code)
        made = TracebackType(made, frame, index, line)
    return made


def _text(text: object) -> str:
    """As UTF-8 can say it: file names may hold what it can't."""
    return str(text).encode(errors="backslashreplace").decode()


@lru_cache(maxsize=256)
def _code(code: CodeType) -> _Code:
    """What a code object says of itself: its file, names and first line, its parameters."""
    arguments, keywords, flags = code.co_argcount, code.co_kwonlyargcount, code.co_flags & _REST
    parameters = code.co_varnames[: arguments + keywords + flags.bit_count()]
    names = _text(portable_file(code.co_filename)), code.co_name, code.co_qualname
    return *names, code.co_firstlineno, parameters, arguments, keywords, flags


@lru_cache(maxsize=256)
def _where(code: CodeType, index: int) -> tuple[_Columns | None, tuple[int, int] | None]:
    """Lines and columns of the instruction at `index`, and the instruction."""
    if index < 0:
        return None, None
    columns: Any = next(islice(code.co_positions(), index // 2, None), (None,))
    operations = code.co_code
    while operations[index] == 0 < index:  # what an instruction keeps behind itself
        index -= 2
    argument = 0 if operations[index] in _NAMED else operations[index + 1]
    return None if None in columns else columns, (operations[index], argument)


@lru_cache(maxsize=256)
def _code_at(
    described: _Code,
    line: int,
    reached: int,
    columns: _Columns | None,
    instruction: tuple[int, int] | None,
) -> CodeType:
    """Code that returns its own frame and says it was written there. Behind that stands, for those
    who mark the failed expression, the instruction that was interrupted."""
    file, name, qualified, first, parameters, arguments, keywords, flags = described
    operations = _TEMPLATE.co_code
    table = _line_table(first, reached, None, len(operations) // 2)
    if instruction is not None:
        behind = bytes(instruction) + _NOTHING
        operations += behind
        table += _line_table(reached, line, columns, len(behind) // 2)
    return _TEMPLATE.replace(
        co_code=operations,
        co_filename=local_file(file),
        co_name=name,
        co_qualname=qualified,
        co_firstlineno=first,
        co_linetable=table,
        co_varnames=parameters,
        co_nlocals=len(parameters),
        co_argcount=arguments,
        co_kwonlyargcount=keywords,
        co_flags=_TEMPLATE.co_flags | flags,
    )


def _line_table(before: int, line: int, columns: _Columns | None, units: int) -> bytes:
    """`units` instructions at one place, as CPython's Objects/locations.md has it: entries of
    kind 14 (lines and columns) or 13 (a line), which count lines from the entry `before`."""
    table, delta = bytearray(), (line if columns is None else columns[0]) - before
    while units > 0:
        size = min(units, _UNITS)
        table.append(0x80 | (13 if columns is None else 14) << 3 | size - 1)
        table += _number(-delta << 1 | 1 if delta < 0 else delta << 1)
        if columns is not None:
            start, end, column, end_column = columns
            for number in (end - start, column + 1, end_column + 1):
                table += _number(number)
        units, delta = units - size, 0
    return bytes(table)


def _number(value: int) -> bytes:
    """Six bits a byte, the lowest first; all but the last are marked."""
    found = bytearray()
    while value >= 64:
        found.append(0x40 | value & 63)
        value >>= 6
    found.append(value)
    return bytes(found)
