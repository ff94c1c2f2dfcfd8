"""Which names of the namespace are the user's, and which are the shell's own."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["ShellNames", "is_hidden", "shown_places"]

_SHELL_OWNS = frozenset({
    "In", "Out", "_", "__", "___", "_i", "_ii", "_iii", "_ih", "_oh", "_dh", "get_ipython", "exit",
    "quit", "open", "__builtins__", "__builtin__", "__name__", "__doc__", "__package__",
    "__loader__", "__spec__", "__session__", "__vsc_ipynb_file__", "__file__",
    "__warningregistry__",
})  # fmt: skip
# Of these, those whose value is the user's once it is another one than the shell's. The others the
# shell goes on binding itself.
_LENT = frozenset({"In", "Out", "exit", "quit", "open", "__doc__", "__file__"})
_SHOWN = frozenset({"_", "__", "___"})  # what was displayed last, until the user binds them
_ABSENT = object()
_NUMBERED = re.compile(r"_i?\d+\Z")


@lru_cache(maxsize=16384)
def is_hidden(name: object) -> bool:
    """Whether the shell owns `name`; such names are neither recorded nor restored, unless the user
    has bound them."""
    return not isinstance(name, str) or name in _SHELL_OWNS or bool(_NUMBERED.match(name))


def shown_places(ns: Mapping[str, object]) -> tuple[dict[str, Any], ...]:
    """Where the shell of this namespace keeps what it bound `_`, `__` and `___` to: while they are
    that, it binds them again. Nowhere without a shell."""
    shell: Any = getattr(ns.get("get_ipython"), "__self__", None)
    return () if shell is None else (shell.user_ns_hidden, vars(shell.displayhook))


class ShellNames:
    """The shell's names in one namespace, as they are before the first cell."""

    def __init__(self, ns: Mapping[str, object]) -> None:
        self._ns = ns
        self._own = {name: ns.get(name, _ABSENT) for name in _LENT}

    def hides(self, name: object) -> bool:
        """Whether what `name` stands for now is the shell's own."""
        if not is_hidden(name):
            return False
        now = self._ns.get(name, _ABSENT)  # type: ignore[call-overload]
        if name in _SHOWN:
            places = shown_places(self._ns)
            own = any(place.get(name, _ABSENT) is now for place in places)
            return own or not places or now is _ABSENT
        return name not in _LENT or now is self._own[str(name)]

    def give_back(self, names: Iterable[str], ns: dict[str, Any]) -> None:
        """The user bound `names` no longer."""
        own = {name: self._own[name] for name in names if name in _LENT}
        ns.update({name: value for name, value in own.items() if value is not _ABSENT})
