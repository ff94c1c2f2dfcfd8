"""Statements that set up a library: `alt.renderers.enable("mimetype")`, `dspy.configure(lm=lm)`.

A library keeps such settings in objects of its own, where nothing of ours looks; a restored cell
would leave them as they are in a fresh process. So the cell is recomputed. What counts is read off
the code: a statement at the top that calls, and uses no result, or that assigns

    module.renderers.enable(...)    a name that says so, on a module of an installed package
    init_printing()                 such a function of one
    module.config.update(...)       anything on its settings
    module.templates.default = x    what belongs to an object inside it

The settings of libraries that have a component in libraries.py are stored and put back instead.
In functions of the notebook that the cell can reach, the same is read off their bytecode. Of the
standard library, what nobody can see from outside counts wherever it stands: `codecs.register`.
"""

from __future__ import annotations

import ast
import re
import sys
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING

from evercell.codec.definitions import is_users_module

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from evercell.cell.paths import Path, Use

__all__ = ["is_hidden_setup", "setups", "setups_among", "setups_in"]

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
# Module and function of the standard library, whose effect can neither be seen nor put back.
_HIDDEN = {
    "register": ("codecs", "atexit", "webbrowser"),
    "unregister": ("codecs", "atexit"),
    "register_error": ("codecs",),
    "addaudithook": ("sys",),
    "set_asyncgen_hooks": ("sys",),
    "nice": ("os",),
    "setpriority": ("os",),
    "sched_setaffinity": ("os",),
    "register_at_fork": ("os",),
    "alarm": ("signal",),
    "setitimer": ("signal",),
    "siginterrupt": ("signal",),
    "set_wakeup_fd": ("signal",),
    "set_start_method": ("multiprocessing",),
    "set_executable": ("multiprocessing",),
    "set_event_loop": ("asyncio",),
    "set_event_loop_policy": ("asyncio",),
    "register_archive_format": ("shutil",),
    "register_unpack_format": ("shutil",),
    "unregister_archive_format": ("shutil",),
    "unregister_unpack_format": ("shutil",),
    "reset_tzpath": ("zoneinfo",),
    "setLoggerClass": ("logging",),
    "setLogRecordFactory": ("logging",),
    "addLevelName": ("logging",),
    "register_namespace": ("xml",),
    "install_opener": ("urllib",),
    "freeze": ("gc",),
}


def setups_among(uses: Iterable[Use]) -> Iterator[Path]:
    """Those of the paths that code uses which may set up a library."""
    for use in uses:
        path, last = use.path, use.path[-1]
        if use.set:
            if len(path) > 2:  # an attribute of the module itself is looked at anyway
                yield (*path[:-1], "=") if last == "" else (*path, "=")
        elif last in _HIDDEN or (use.dropped and _is_named_so(path)):
            yield path


def is_hidden_setup(path: Path) -> bool:
    """Whether it is named like a function of the standard library that works unseen."""
    return path[-1] in _HIDDEN


def _is_named_so(path: Path) -> bool:
    return bool(_VERBS.fullmatch(path[-1])) or not _HOLDERS.isdisjoint(path[1:-1])


def setups_in(statements: list[ast.stmt]) -> tuple[Path, ...]:
    """Dotted paths that the statements call or assign to, as the code tells it."""
    return tuple(dict.fromkeys(path for each in statements for path in _paths(each)))


def _paths(statement: ast.stmt) -> Iterator[Path]:
    match statement:
        case ast.Expr(value=ast.Call(func=function) | ast.Await(value=ast.Call(func=function))):
            path = _path(function)
            if path and _is_named_so(path):
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


def setups(paths: Iterable[Path], ns: Mapping[str, object]) -> list[str]:
    """The settings of installed libraries that they change, in words."""
    found = []
    for path in paths:
        words = ".".join(path).removesuffix(".=").replace(":", "")
        module = _module(path, ns)
        package = module.partition(".")[0]
        if package in sys.stdlib_module_names:
            if package in _HIDDEN.get(path[-1], ()):
                found.append(f"what {words} does")
        elif module and _is_installed(module) and _is_lost(package, path):
            found.append(f"the settings of {package} ({words})")
    return list(dict.fromkeys(found))


def _module(path: Path, ns: Mapping[str, object]) -> str:
    """The module that it belongs to, by name; "" for what is known not to belong to one."""
    if path[0].endswith(":"):
        return path[0].removesuffix(":") if len(path) > 1 else ""
    value = ns.get(path[0])
    if isinstance(value, ModuleType):
        return value.__name__
    if len(path) == 1 and isinstance(value, FunctionType | BuiltinFunctionType):
        return value.__module__ or ""
    if len(path) == 2 and isinstance(value, type):
        return value.__module__
    return ""


def _is_installed(module: str) -> bool:
    return module.partition(".")[0] != "__main__" and not is_users_module(module)


def _is_lost(package: str, path: Path) -> bool:
    if package in _KEPT:
        return bool(_REGISTERS.fullmatch(path[-1]))
    return (package, path[-1]) not in _KEPT_CALLS
