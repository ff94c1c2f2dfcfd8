"""Which names of the namespace are the user's, and which are the shell's own."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["is_hidden"]

_SHELL_OWNS = frozenset({
    "In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh", "get_ipython", "exit",
    "quit", "open", "__builtins__", "__builtin__", "__name__", "__doc__", "__package__",
    "__loader__", "__spec__", "__session__", "__vsc_ipynb_file__", "__file__",
    "__warningregistry__",
})  # fmt: skip
_NUMBERED = re.compile(r"_i?\d+\Z")


@lru_cache(maxsize=16384)
def is_hidden(name: object) -> bool:
    """Whether the shell owns `name`; such names are neither recorded nor restored."""
    return not isinstance(name, str) or name in _SHELL_OWNS or bool(_NUMBERED.match(name))
