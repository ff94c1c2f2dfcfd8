"""Whether a cell may be run again later than in its turn, because of what it did and made.

A cell that made something unstorable is given back without it; it runs again when another cell
needs that. Then it must do what it would have done in its turn, and nobody may be able to tell:

- it leaves behind variables and process state that can be put back, and reached nothing beyond
  the process
- it uses only modules of which that can be seen, or is known
- it changed nothing that such a cell may not make: what goes into an open file goes there in turn
- what of it is stored does not hang on what is not: a recorded port and a server that listens on
  another one would be a state that never was
"""

from __future__ import annotations

import ast
import inspect
import sys
from threading import Thread
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from evercell.cell.capture import RESULT
from evercell.cell.source import linked_names
from evercell.codec.canonical import SCALARS
from evercell.codec.definitions import importable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from evercell.cell.capture import Capture
    from evercell.cell.namespace import Namespace
    from evercell.cell.reach import Reach
    from evercell.cell.source import Source

__all__ = ["is_fixed", "may_wait"]

# Of the standard library: what reaches beyond the process without telling audit hooks, or asks.
_BEYOND = frozenset({
    "_contextvars", "_posixshmem", "_posixsubprocess", "contextvars", "ctypes", "curses", "dbm",
    "getpass", "mmap",
    "multiprocessing", "ossaudiodev", "readline", "shelve", "sqlite3", "termios", "tkinter",
    "tty", "turtle",
})  # fmt: skip
# Packages that work in memory, or through Python's own files and sockets.
_KNOWN = frozenset({
    "IPython", "aiohttp", "anthropic", "anyio", "attr", "attrs", "cloudpickle", "cohere",
    "dateutil", "evercell", "google", "groq", "httpcore", "httpx", "instructor", "jinja2",
    "jiter", "jsonschema", "litellm", "matplotlib", "mistralai", "msgspec", "networkx", "numpy",
    "ollama", "openai", "pandas", "pydantic", "pydantic_core", "pytz", "requests", "rich",
    "scipy", "seaborn", "sklearn", "sniffio", "statsmodels", "sympy", "tenacity", "tiktoken",
    "tqdm", "typing_extensions", "urllib3", "yaml",
})  # fmt: skip
_ASKING = frozenset({"input", "breakpoint", "open"})


def may_wait(
    source: Source,
    transformed: str,
    capture: Capture,
    space: Namespace,
    outside: str | None,
) -> bool:
    """Whether the cell that was just captured may be run again later than in its turn. `outside`
    is what it did beyond the process. The namespace notes what must be made in its turn."""
    if _is_noticed(space):
        outside = outside or "what it does may be noticed by what is registered"
    products = [p for p in capture.products if p.names != (RESULT,)]
    tried = [p for p in products if p.traced is not None]
    if tried:  # as if none of these came back; with more than one, some could and others not
        given_up = {p.names: replace(p, stream=None) for p in tried}
        capture = replace(
            capture, products=tuple(given_up.get(p.names, p) for p in capture.products)
        )
        outside = outside if len(tried) == 1 else "what it made is not known yet"
        products = [p for p in capture.products if p.names != (RESULT,)]
    lost = {name for p in products if p.stream is None for name in p.names}
    waits = space.in_turn.isdisjoint(lost) and _keeps_to_itself(
        source, transformed, capture, space.ns, outside
    )
    space.in_turn.difference_update(*(p.names for p in products))
    space.in_turn.update(() if waits else lost)
    return waits


def _is_noticed(space: Namespace) -> bool:
    """Whether what is registered outside, a filter of a logger for example, may change a variable
    when the cell runs once more."""
    called = space.registered()
    if called is None:
        return False
    live = space.ns
    held = [live[name] for name in called.names if name in live]
    definitions = () if called.attributes_set else (type, FunctionType)
    return bool(called.stores) or any(
        type(value) not in SCALARS
        and not isinstance(value, definitions)
        and not is_fixed(value, live)
        for value in held
    )


def _keeps_to_itself(
    source: Source,
    transformed: str,
    capture: Capture,
    live: dict[str, Any],
    outside: str | None,
) -> bool:
    reach = capture.reach
    products = [p for p in capture.products if p.names != (RESULT,)]
    lost = {name for p in products if p.stream is None for name in p.names}
    if not lost or not capture.restorable or reach is None or outside is not None:
        return False
    if any(p.marked for p in products if p.stream is None):
        return False  # another secret makes stale what read it, which is seen when it is made
    started = any(isinstance(live.get(name), Thread) and live[name].ident for name in lost)
    if started or any(change.data is None for change in capture.ambient):
        return False
    if not _is_plain(source, transformed, reach) or not all(
        map(_is_known, reach.direct_modules | source.facts.imports)
    ):
        return False
    made = {name for p in products if p.stream is not None for name in p.names}
    refers = {name for p in products if p.stream is None for name in p.refers}
    if RESULT in lost or not made.isdisjoint(refers):
        return False
    tree = ast.parse(transformed)
    fixed = {name for name, value in live.items() if is_fixed(value, live)}
    tied = linked_names(transformed, lost, loose=fixed | _settled(tree), headers=True)
    shown = _shown(tree) if any(p.names == (RESULT,) for p in capture.products) else set()
    return tied.isdisjoint(made) and tied.isdisjoint(shown)


def is_fixed(value: object, live: dict[str, Any]) -> bool:
    """Whether it is a module, or a function or class of one: the same object wherever its name is
    imported."""
    if isinstance(value, ModuleType | BuiltinFunctionType):
        return True
    return isinstance(value, type | FunctionType) and importable(value, live)


def _is_plain(source: Source, transformed: str, reach: Reach) -> bool:
    """Whether it is ordinary code, of which is known what it touches."""
    code = source.code
    if code is None or code.co_flags & inspect.CO_COROUTINE or source.directives or source.shell:
        return False
    if source.escapes or reach.escapes or source.anywhere or reach.anywhere or reach.shell:
        return False
    if source.facts.indirect_sets or "get_ipython" in transformed:
        return False
    return _ASKING.isdisjoint(source.reads | reach.direct)


def _is_known(module: str) -> bool:
    package = module.partition(".")[0]
    if package in ("__main__", "builtins"):
        return True
    return package in _KNOWN or (package in sys.stdlib_module_names and package not in _BEYOND)


def _settled(tree: ast.Module) -> frozenset[str]:
    """Names that the cell binds once, to what is the same each time: a constant, an undecorated
    function with constant defaults."""
    bound: list[str] = []
    constant: set[str] = set()
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()) | ast.ClassDef(name=name):
                bound.append(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                bound.append(name)
            case ast.Attribute(ctx=ast.Store() | ast.Del(), value=ast.Name(id=name)):
                bound += [name, name]  # no longer what it was bound to
            case _:
                pass
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant()):
                constant.add(name)
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if _is_bare(
                statement
            ):
                constant.add(name)
            case _:
                pass
    return frozenset(name for name in constant if bound.count(name) == 1)


def _is_bare(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    arguments = function.args
    defaults = [*arguments.defaults, *(d for d in arguments.kw_defaults if d is not None)]
    return not function.decorator_list and all(isinstance(d, ast.Constant) for d in defaults)


def _shown(tree: ast.Module) -> set[str]:
    """The names in the expression that the cell displays."""
    last = tree.body[-1] if tree.body else None
    return set(_names(last)) if isinstance(last, ast.Expr) else set()


def _names(node: ast.AST) -> Iterator[str]:
    return (each.id for each in ast.walk(node) if isinstance(each, ast.Name))
