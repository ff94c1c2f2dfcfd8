"""Context variables, in which libraries keep settings: dspy, structlog, langfuse, prefect.

Their values can't be stored: they belong to the library. A cell that leaves one set otherwise is
recomputed.
"""

from __future__ import annotations

import contextvars
import sys
from typing import TYPE_CHECKING, Any

from evercell.cell.components import Component
from evercell.codec.canonical import SCALARS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["CONTEXTS"]

_ABSENT = object()
# The kernel's own, what says which event loop runs, and what has a component of its own.
_OTHERS = frozenset({
    "shell_parent", "shell_parent_ident", "parent_header", "decimal_context", "numpy.ufunc.extobj",
    "format_options", "sniffio_async_library", "current_async_library_cvar", "threadlocals",
})  # fmt: skip


def _changed(before: contextvars.Context, after: contextvars.Context) -> Iterator[Any]:
    for variable, value in after.items():
        old = before.get(variable, _ABSENT)
        if old is value or variable.name in _OTHERS or variable.name.startswith("evercell_"):
            continue
        if type(old) is not type(value) or type(value) not in SCALARS or old != value:
            yield variable
    if len(before) != len(after):
        yield from (v for v in before if v not in after and v.name not in _OTHERS)


def _same(before: contextvars.Context, after: contextvars.Context) -> bool:
    return next(_changed(before, after), None) is None


def _words(before: contextvars.Context, after: contextvars.Context) -> str:
    return ", ".join(sorted({f"context variable {_name(v)}" for v in _changed(before, after)}))


def _name(variable: Any) -> str:
    """With the module that has it, if one does."""
    for module_name, module in list(sys.modules.items()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if value is variable and module_name != "__main__":
                return f"{module_name}.{name}"
    return str(variable.name)


CONTEXTS: tuple[Component, ...] = (
    Component("@contextvars", contextvars.copy_context, None, same=_same, words=_words),
)
