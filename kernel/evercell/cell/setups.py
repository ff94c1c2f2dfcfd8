"""Statements that set up a library: `alt.renderers.enable("mimetype")`, `dspy.configure(lm=lm)`.

A library keeps such settings in objects of its own, where nothing of ours looks; a restored cell
would leave them as they are in a fresh process. So the cell is recomputed. What counts is read off
the code: a statement at the top that calls, and uses no result, or that assigns

    module.renderers.enable(...)    a name that says so, on a module of an installed package
    init_printing()                 such a function of one
    module.config.update(...)       anything on its settings
    module.templates.default = x    what belongs to an object inside it

The settings of libraries that have a component in libraries.py are stored and put back instead.
"""

from __future__ import annotations

import ast
import re
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING

from evercell.codec.definitions import is_users_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["setups", "setups_in"]

_VERBS = re.compile(
    r"(?:un|re)?set(?:_\w+|up)?|(?:un)?register(?:_\w+)?|(?:de)?activate|(?:en|dis)able(?:_\w+)?"
    r"|use(?:_\w+)?|init(?:_\w+|ialize)?|config(?:ure|ure_\w+)?|(?:un)?install|(?:un)?patch(?:_\w+)?"
    r"|apply|(?:notebook_)?extension|output_(?:notebook|file)|autolog"
)
_HOLDERS = frozenset({
    "config", "settings", "options", "defaults", "globals", "renderers", "templates", "themes",
    "theme", "Config", "rcParams",
})  # fmt: skip
# Their settings are stored and put back (libraries.py); what is registered with them is not.
_KEPT = frozenset({"matplotlib", "numpy", "pandas", "sklearn", "evercell"})
_KEPT_CALLS = frozenset({
    *(("torch", name) for name in ("set_default_dtype", "set_num_threads", "set_grad_enabled")),
    *(("seaborn", f"set{name}") for name in (
        "", "_theme", "_style", "_context", "_palette", "_color_codes")),
    *(("seaborn", f"reset_{name}") for name in ("defaults", "orig")),
})  # fmt: skip
_REGISTERS = re.compile(r"(?:un)?register(?:_\w+)?")
Path = tuple[str, ...]


def setups_in(statements: list[ast.stmt]) -> tuple[Path, ...]:
    """Dotted paths that the statements call or assign to, as the code tells it."""
    return tuple(dict.fromkeys(path for each in statements for path in _paths(each)))


def _paths(statement: ast.stmt) -> Iterator[Path]:
    match statement:
        case ast.Expr(value=ast.Call(func=function) | ast.Await(value=ast.Call(func=function))):
            path = _path(function)
            if path and (_VERBS.fullmatch(path[-1]) or not _HOLDERS.isdisjoint(path[1:-1])):
                yield path
        case ast.Assign(targets=targets):
            yield from _assigned(targets)
        case ast.AugAssign(target=target) | ast.AnnAssign(target=target):
            yield from _assigned([target])
        case ast.Delete(targets=targets):
            yield from _assigned(targets)
        case ast.If() | ast.Try() | ast.For() | ast.While() | ast.With() | ast.AsyncWith():
            blocks = [statement.body, *(getattr(statement, n, []) for n in ("orelse", "finalbody"))]
            blocks += [handler.body for handler in getattr(statement, "handlers", [])]
            for block in blocks:
                for inner in block:
                    yield from _paths(inner)
        case _:
            pass


def _assigned(targets: list[ast.expr]) -> Iterator[Path]:
    for target in targets:
        if isinstance(target, ast.Tuple | ast.List):
            yield from _assigned(target.elts)
        path = _path(target.value if isinstance(target, ast.Subscript) else target)
        # An attribute of the module itself is looked at anyway, see patches.py.
        if len(path) > 1 + (not isinstance(target, ast.Subscript)):
            yield (*path, "=")


def _path(node: ast.expr) -> Path:
    """("a", "b", "c") of `a.b.c`; () for anything else."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def setups(paths: tuple[Path, ...], ns: Mapping[str, object]) -> list[str]:
    """The settings of installed libraries that they change, in words."""
    found = []
    for path in paths:
        package = _package(path, ns)
        if package is not None and _is_lost(package, path):
            found.append(f"the settings of {package} ({'.'.join(path).removesuffix('.=')})")
    return found


def _package(path: Path, ns: Mapping[str, object]) -> str | None:
    """The installed package that it belongs to; None for what is the user's own."""
    value = ns.get(path[0])
    if isinstance(value, ModuleType):
        module = value.__name__
    elif len(path) == 1 and isinstance(value, FunctionType | BuiltinFunctionType):
        module = value.__module__ or ""
    elif len(path) == 2 and isinstance(value, type):
        module = value.__module__
    else:
        return None
    package = module.partition(".")[0]
    own = package in sys.stdlib_module_names or package == "__main__" or is_users_module(module)
    return None if own else package


def _is_lost(package: str, path: Path) -> bool:
    if package in _KEPT:
        return bool(_REGISTERS.fullmatch(path[-1]))
    return (package, path[-1]) not in _KEPT_CALLS
