"""One thread at a time imports Evercell's modules.

A kernel loads the engine at its first cell, and what a JupyterLab page needs when a page asks: on
a subshell, which is another thread, and often at the same moment. Python locks each module while
it is imported. Two threads that come to a package and its modules in different orders wait for
each other; Python notices, and hands one of them a module that is half there: an ImportError.
So whatever is imported later than at the start is imported `with importing:`.

What imports jsonschema (nbformat and nbclient do) calls `import_jsonschema()` before: where
JupyterLab is installed, jsonschema imports a grammar of IRIs that takes more than a second to be
built, for two formats that hardly any schema names.
"""

from __future__ import annotations

import importlib.util
import sys
import threading
from types import ModuleType

__all__ = ["import_jsonschema", "importing"]

importing = threading.RLock()
"""Held while modules are imported, and never while a module's import waits for anything else."""

_GRAMMAR = "rfc3987_syntax"


def import_jsonschema() -> None:
    """Import jsonschema, and its grammar of IRIs at the first value that is checked against it."""
    with importing:
        known = "jsonschema" in sys.modules or _GRAMMAR in sys.modules
        if known or importlib.util.find_spec(_GRAMMAR) is None:
            return
        later = ModuleType(_GRAMMAR)
        later.is_valid_syntax = _is_valid_syntax  # type: ignore[attr-defined]
        sys.modules[_GRAMMAR] = later
        try:
            import jsonschema  # noqa: F401, PLC0415 - after its grammar's place is taken
        finally:
            del sys.modules[_GRAMMAR]


def _is_valid_syntax(term: str, value: str) -> bool:
    """What jsonschema takes from its grammar."""
    with importing:
        from rfc3987_syntax import is_valid_syntax  # noqa: PLC0415 - the second that is put off
    return bool(is_valid_syntax(term, value))
