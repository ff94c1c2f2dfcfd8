"""Data files that a cell names, and that a library may open in C, where no audit event tells of it.

    pd.read_parquet("sales.parquet")          a text among the arguments of a call
    pd.read_parquet(DATA / "sales.parquet")   below a folder that a variable holds
    con.execute("SELECT * FROM 'sales.csv'")  quoted in a text
    load(SOURCE)                              a variable; a text in a function that is called

What is there before the cell runs and as it was when it has run counts as read: the library may not
have opened it, but then an edit of it costs a run of the cell and nothing else. What changed
meanwhile, or is new, the cell wrote itself.
"""

from __future__ import annotations

import ast
import os
import re
from itertools import islice, product
from pathlib import PurePath
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

from evercell.cell.names import is_hidden

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from evercell.cell.reach import Reach
    from evercell.cell.source import Source

__all__ = ["argument_texts", "files_asked", "files_named"]

_FILE = re.compile(r"[^\n\0]{0,999}\.[A-Za-z]\w{0,9}\Z")
_QUOTED = re.compile(r"'([^'\n]{1,1000}\.\w{1,10})'")
_CODE = (".py", ".ipynb", ".pyi")
_SAYS = frozenset({"print", "display", "log", "debug", "info", "warning", "error", "exception"})
_ASKS = frozenset({
    "access", "exists", "getmtime", "getsize", "is_dir", "is_file", "isdir", "isfile", "lexists",
    "stat",
})  # fmt: skip
_MOST = 200  # combinations of a folder and a text
_LONGEST = 1000  # characters of a path


def argument_texts(tree: ast.Module) -> frozenset[str]:
    """Texts among the arguments of calls, and behind a slash, but for calls that only say something
    and for bodies of functions: where one is called, its texts count."""
    found: set[str] = set()
    pending: list[ast.AST] = list(tree.body)
    for node in pending:
        match node:
            case (
                ast.FunctionDef(decorator_list=header) | ast.AsyncFunctionDef(decorator_list=header)
            ):
                pending += header
                continue
            case ast.Lambda():
                continue
            case ast.BinOp(op=ast.Div(), right=ast.Constant(value=str(text))):
                found.add(text)
            case ast.Call(func=ast.Attribute(attr=name) | ast.Name(id=name)) if name in _SAYS:
                pass
            case ast.Call():
                inner = [each for argument in _arguments(node) for each in ast.walk(argument)]
                texts = [each.value for each in inner if isinstance(each, ast.Constant)]
                found.update(text for text in texts if isinstance(text, str))
        pending += ast.iter_child_nodes(node)
    return frozenset(found)


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def files_named(source: Source, reach: Reach, ns: Mapping[str, object]) -> frozenset[str]:
    """Absolute paths of what the cell may mean by its texts, those of the variables that it uses
    and those in its functions. Whether there is such a file remains to be seen."""
    values = [ns[name] for name in reach.direct if name in ns and not is_hidden(name)]
    held = [str(value) for value in values if _is_path(value)]
    codes = [value.__code__ for value in values if isinstance(value, FunctionType)]
    texts = {*source.texts, *held, *(text for code in codes for text in _all_strings(code))}
    files = [text for text in texts if _names_file(text)]
    files += [part for text in texts for part in _QUOTED.findall(text) if _names_file(part)]
    folders = [text for text in held if len(text) < _LONGEST and os.path.isdir(text)]  # noqa: PTH112
    pairs = islice(product(folders, files), _MOST)
    below = [os.path.join(folder, file.lstrip(os.sep)) for folder, file in pairs]  # noqa: PTH118
    return frozenset(os.path.abspath(file) for file in (*files, *below))  # noqa: PTH100


def files_asked(source: Source, reach: Reach, ns: Mapping[str, object]) -> frozenset[str]:
    """Those of `files_named` of which the cell may ask whether they are there."""
    values = [ns[name] for name in reach.direct if name in ns and not is_hidden(name)]
    codes = [value.__code__ for value in values if isinstance(value, FunctionType)]
    codes += [] if source.code is None else [source.code]
    asks = any(not _ASKS.isdisjoint(_all_names(code)) for code in codes)
    return files_named(source, reach, ns) if asks else frozenset()


def _all_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _all_names(constant)


def _is_path(value: object) -> bool:
    return isinstance(value, PurePath) or (type(value) is str and "\0" not in value)


def _names_file(text: str) -> bool:
    return _FILE.match(text) is not None and not text.endswith(_CODE)


def _all_strings(code: CodeType) -> Iterator[str]:
    for constant in code.co_consts:
        if isinstance(constant, str):
            yield constant
        elif isinstance(constant, CodeType):
            yield from _all_strings(constant)
