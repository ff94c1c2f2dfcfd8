"""Dotted paths that compiled code uses: `alt.renderers.enable` in a function of the notebook.

    LOAD_GLOBAL alt, LOAD_ATTR renderers, LOAD_METHOD enable -> ("alt", "renderers", "enable")
    import duckdb inside the function                        -> ("duckdb:", "sql")

A root that ends in a colon is a module by its full name, any other is a variable.
"""

from __future__ import annotations

import dis
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["Path", "Use", "uses_in"]

Path = tuple[str, ...]
_GLOBAL = frozenset({"LOAD_NAME", "LOAD_GLOBAL"})
_ATTRIBUTE = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_CALLS = frozenset({"CALL", "CALL_KW", "CALL_FUNCTION_EX"})
_FILLERS = frozenset({"CACHE", "EXTENDED_ARG", "NOP"})


class Use(msgspec.Struct, frozen=True):
    """One place where a path is loaded."""

    path: Path
    set: bool = False  # what stands there is assigned to
    dropped: bool = False  # it is called, and nobody uses the result


def uses_in(instructions: Sequence[dis.Instruction]) -> Iterator[Use]:
    """The paths of one code object."""
    code = [each for each in instructions if each.opname not in _FILLERS]
    imported: dict[str, Path] = {}
    module = ""
    for index, each in enumerate(code):
        operation = each.opname
        if operation == "IMPORT_NAME":
            module = each.argval
        elif operation == "STORE_FAST" and index:
            before = code[index - 1]
            if before.opname == "IMPORT_NAME":
                imported[each.argval] = (f"{module}:",)
            elif before.opname == "IMPORT_FROM":
                imported[each.argval] = (f"{module}:", before.argval)
        elif operation in _GLOBAL:
            yield _use(code, index, (each.argval,))
        elif operation.startswith("LOAD_FAST") and each.argval in imported:
            yield _use(code, index, imported[each.argval])


def _use(code: Sequence[dis.Instruction], index: int, path: Path) -> Use:
    after = index + 1
    while after < len(code) and code[after].opname in _ATTRIBUTE:
        path = (*path, code[after].argval)
        after += 1
    rest = code[after : after + 2]
    if rest and rest[0].opname in ("STORE_ATTR", "DELETE_ATTR"):
        return Use((*path, rest[0].argval), set=True)
    if any(each.opname in ("STORE_SUBSCR", "DELETE_SUBSCR") for each in rest):
        return Use((*path, ""), set=True)
    return Use(path, dropped=_is_dropped(code, after))


def _is_dropped(code: Sequence[dis.Instruction], after: int) -> bool:
    """Whether the callable that was just loaded is called by a statement of its own. Where the end
    of the call can't be found, it counts as one."""
    if after < len(code) and code[after].opname == "PUSH_NULL":
        after += 1
    depth, index = 0, after
    while index < len(code):
        each = code[index]
        depth += dis.stack_effect(each.opcode, each.arg, jump=False)
        if depth == -1 and each.opname in _CALLS:
            follower = code[index + 1].opname if index + 1 < len(code) else ""
            return follower in ("POP_TOP", "GET_AWAITABLE")
        if depth < 0 and each.opname != "PRECALL":
            return False  # it was no call
        index += 1
        if each.opname == "JUMP_FORWARD":  # over the other side of a conditional argument
            index = next(
                (i for i in range(index, len(code)) if code[i].offset >= each.argval), index
            )
    return True
