"""What the user's modules hold right after they were imported.

A cell that imports a module and changes it at once can only be told from one that imports it by a
look in between: once the outermost import is through, before the cell goes on.
"""

from __future__ import annotations

import threading
from functools import wraps
from importlib.machinery import SourceFileLoader
from typing import TYPE_CHECKING, Any

from evercell.cell.contents import fingerprints
from evercell.codec.definitions import is_users_module

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["Imports", "watch_imports"]


class Imports(threading.local):
    """Of one thread: the imports under way, and what they brought."""

    def __init__(self) -> None:
        self.depth = 0
        self.loaded: list[ModuleType] = []
        self.fresh: dict[str, bytes] = {}  # by "module.variable", since `begin`

    def begin(self) -> None:
        """A cell is about to run."""
        self.fresh = {}

    def ended(self, module: ModuleType) -> None:
        """A module has run its code."""
        if is_users_module(module.__name__):
            self.loaded.append(module)
        if self.depth == 0 and self.loaded:
            self.fresh.update(fingerprints(self.loaded))
            self.loaded = []


_imports = Imports()


def watch_imports() -> Imports:
    """Have each import of a source file noted from now on. Once is enough."""
    loader: Any = SourceFileLoader
    original = loader.exec_module
    if hasattr(original, "__evercell__"):
        return _imports

    @wraps(original)
    def exec_module(self: SourceFileLoader, module: ModuleType) -> None:
        _imports.depth += 1
        try:
            original(self, module)
        finally:
            _imports.depth -= 1
        _imports.ended(module)

    vars(exec_module)["__evercell__"] = True
    loader.exec_module = exec_module
    return _imports
