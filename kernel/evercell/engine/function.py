"""What a step's function is, for its key: a version that changes when an edit could change results.

    version = H(own code, code of the notebook and project functions it reaches,
                defaults, closures, constants and data it reads as globals)

Not counted: objects with a life of their own (clients, connections, modules), names that the
function itself assigns, and containers that it visibly fills (`LOG.append(...)`), because a replay
does not run the body and would find them empty.

Scalars are compared at each call. Containers count with their content at the first call in a cell
execution: a resumed cell finds the same content at the same place, while what the bodies add to
them in between must not change any key.
"""

from __future__ import annotations

import dis
import operator
import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any

import msgspec
from blake3 import blake3

from evercell.cell.bytecode import code_facts
from evercell.cell.words import words_of_code
from evercell.codec import canonical
from evercell.errors import NotStorableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["FunctionVersion", "Reached", "is_user_code"]

_MISSING = object()
_SCALARS = (type(None), bool, int, float, complex, str, bytes)
_CONTAINERS = (list, dict, set, frozenset, tuple)
_FILLERS = frozenset({
    "add", "append", "appendleft", "clear", "discard", "extend", "extendleft", "insert", "pop",
    "popitem", "popleft", "put", "put_nowait", "remove", "reverse", "setdefault", "sort", "update",
    "write", "writelines",
})  # fmt: skip


class Reached(msgspec.Struct):
    """One computation of a version: what it looked at, and what came out."""

    references: tuple[tuple[dict[str, Any], str], ...]
    values: list[object]  # strong references: an id is only unique while its object lives
    version: bytes

    def holds(self) -> bool:
        """Whether each name is still bound to the very object that was looked at."""
        if not self.references:
            return True
        current = [namespace.get(name, _MISSING) for namespace, name in self.references]
        return all(map(operator.is_, current, self.values))


class FunctionVersion:
    """Computes the version of one function; `declared` replaces the code by the author's word."""

    def __init__(self, function: Callable[..., Any], declared: str | None) -> None:
        self._function = function
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._declared = declared

    def compute(self, data_version: Callable[[str], bytes | None]) -> Reached:
        """The version now. `data_version` knows the versions of the notebook's stored variables
        by name, None for what it can't tell."""
        if self._declared is not None:
            return Reached((), [], _hash(self._name, self._declared))
        walk = _Walk(data_version)
        walk.function(self._function)
        return Reached(tuple(walk.references), walk.values, _hash(self._name, *walk.parts))


class _Walk:
    """Depth-first over the functions that user code reaches through globals and closures."""

    def __init__(self, data_version: Callable[[str], bytes | None]) -> None:
        self.references: list[tuple[dict[str, Any], str]] = []
        self.values: list[object] = []
        self.parts: list[str | bytes] = []
        self._data_version = data_version
        self._seen: set[int] = set()

    def function(self, function: Callable[..., Any]) -> None:
        function = _unwrap(function)
        if id(function) in self._seen or not isinstance(function, FunctionType):
            return
        self._seen.add(id(function))
        self.parts.append(canonical.code_digest(function.__code__))
        for value in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._value("default", value)
        for name, cell in zip(
            function.__code__.co_freevars, function.__closure__ or (), strict=True
        ):
            try:
                self._value(name, cell.cell_contents)
            except ValueError:  # an empty cell: assigned later
                self.parts.append(f"empty {name}")
        reads, state = _globals_of(function.__code__)
        for name in (*reads, *_in_texts(function)):
            value = function.__globals__.get(name, _MISSING)
            self.references.append((function.__globals__, name))
            self.values.append(value)
            if name not in state and value is not _MISSING:
                self._value(name, value, is_global=True)

    def _value(self, name: str, value: object, *, is_global: bool = False) -> None:
        inner = _unwrap(value)
        if isinstance(inner, FunctionType):
            if is_user_code(inner.__module__):
                self.parts.append(f"function {name}")
                self.function(inner)
        elif isinstance(value, ModuleType):
            self.parts.append(f"module {name} {value.__name__}")
        elif isinstance(value, type):
            if is_user_code(value.__module__):
                self._digest(name, value)
        elif type(value) in _SCALARS or isinstance(value, _CONTAINERS):
            self._digest(name, value)
        elif is_global and (version := self._data_version(name)) is not None:
            self.parts.extend((f"data {name}", version))

    def _digest(self, name: str, value: object) -> None:
        try:
            self.parts.extend((f"value {name}", canonical.digest(value)))
        except NotStorableError:  # holds a client or the like: not data
            self.parts.append(f"object {name}")


def _unwrap(value: Any) -> Any:
    """The plain function behind a step or a functools.wraps decorator.

    Looks only into `__dict__`: attribute access could run code of a user's object.
    """
    for _ in range(32):  # a cycle of wrappers ends here
        attributes = getattr(value, "__dict__", None)
        inner = attributes.get("__wrapped__") if type(attributes) is dict else None
        if inner is None:
            break
        value = inner
    return value


@lru_cache(maxsize=4096)
def _globals_of(code: CodeType) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names that the code and the code nested in it look up globally, and those among them that it
    assigns or visibly fills."""
    reads: dict[str, None] = {}
    state: set[str] = set()
    for each in _nested(code):
        window: list[dis.Instruction] = []
        for instruction in dis.get_instructions(each):
            name = instruction.argval
            if instruction.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
                reads[name] = None
            elif instruction.opname in ("STORE_GLOBAL", "DELETE_GLOBAL"):
                reads[name] = None
                state.add(name)
            state.update(_filled(window, instruction))
            window = [*window[-2:], instruction]
    return tuple(reads), frozenset(state)


def _in_texts(function: FunctionType) -> list[str]:
    """Variables that stand in a text, where the code may have one look names up in its texts."""
    code = function.__code__
    if not code_facts(code).looks_up:
        return []
    return sorted(words_of_code(code) & function.__globals__.keys())


def _filled(window: list[dis.Instruction], now: dis.Instruction) -> Iterator[str]:
    """The global that `NAME.append(`, `NAME[key] = ` or `del NAME[key]` changes."""
    if (
        now.opname in ("LOAD_ATTR", "LOAD_METHOD")
        and now.argval in _FILLERS
        and window
        and window[-1].opname == "LOAD_GLOBAL"
    ):
        yield window[-1].argval
    if (
        now.opname in ("STORE_SUBSCR", "DELETE_SUBSCR")
        and len(window) >= 2
        and window[-2].opname == "LOAD_GLOBAL"
    ):
        yield window[-2].argval


def _nested(code: CodeType) -> Iterator[CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _nested(constant)


@lru_cache(maxsize=4096)
def is_user_code(module: str | None) -> bool:
    """Whether a module is the notebook or the user's project, not an installed library."""
    if module is None or module == "__main__":
        return True
    if module.partition(".")[0] in sys.stdlib_module_names:
        return False
    file = getattr(sys.modules.get(module), "__file__", None)
    if file is None:
        return False
    path = Path(file).resolve()
    installed = {Path(sysconfig.get_path(key)).resolve() for key in ("purelib", "platlib")}
    return not any(path.is_relative_to(place) for place in (*installed, Path(__file__).parents[1]))


def _hash(*parts: str | bytes) -> bytes:
    hasher = blake3()
    for part in parts:
        data = part.encode("utf-8", "surrogatepass") if isinstance(part, str) else part
        hasher.update(len(data).to_bytes(8, "little") + data)
    return hasher.digest(16)
