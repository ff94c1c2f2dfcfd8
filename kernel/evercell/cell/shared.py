"""Containers that belong to a module: `os.environ`, `plt.rcParams`, `config.SETTINGS`.

A variable that is bound to one is an alias of the module's own: a copy would be another object, and
by name it would lose what cells have put in. Such a variable is not stored; its cell runs again.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, MutableMapping, MutableSequence, MutableSet
from types import ModuleType

__all__ = ["module_of"]

_KINDS = (list, dict, set, bytearray, deque, MutableMapping, MutableSequence, MutableSet)
_scanned: dict[int, ModuleType] = {}
_index: dict[int, tuple[ModuleType, str]] = {}  # id of a container -> who has it
_containers: dict[type, bool] = {}
_seen = 0


def module_of(values: Iterable[object]) -> str | None:
    """The module and name of the first module's container among `values`, as "os.environ"."""
    _scan()
    for value in values:
        if id(value) in _index:
            module, name = _index[id(value)]
            if vars(module).get(name) is value:
                return f"{module.__name__}.{name}"
    return None


def _is_container(kind: type) -> bool:
    known = _containers.get(kind)
    if known is None:
        known = _containers[kind] = issubclass(kind, _KINDS)
    return known


def _scan() -> None:
    """Look at the modules that were loaded since the last time."""
    global _seen  # noqa: PLW0603 - the modules are the process's
    if len(sys.modules) == _seen:
        return
    _seen = len(sys.modules)
    for module in list(sys.modules.values()):
        if type(module) is not ModuleType or id(module) in _scanned:
            continue
        spec = module.__spec__
        if module.__name__ == "__main__" or getattr(spec, "_initializing", False):
            continue
        _scanned[id(module)] = module
        for name, value in vars(module).items():
            # Of the type: a lazy proxy's `__class__` would load what it stands for.
            if _is_container(type(value)) and not name.startswith("__"):
                _index.setdefault(id(value), (module, name))
