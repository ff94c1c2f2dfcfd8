"""Process state outside the namespace, piece by piece: the interpreter's own."""

from __future__ import annotations

import decimal
import gc
import locale
import logging
import operator
import os
import random
import signal
import socket
import sys
import warnings
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

# The public `signal.getsignal` makes an enum member of each answer, which takes 500 us for all.
get_signal = sys.modules["_signal"].getsignal

__all__ = ["PROCESS", "SIGNALS", "UNUSED", "Component", "get_signal"]

UNUSED = 624  # where a Mersenne Twister stands when it was seeded and nothing was drawn since


class Component(msgspec.Struct, frozen=True):
    """One piece of process state.

    `take` gives a snapshot that `same` compares; `change` makes the stored form of going from one
    to the other (None: the whole new state); `restore` applies a stored form, None if nothing can.
    `first` is what to compare with when a cell loads the library; None: it counts as changed.
    """

    name: str  # begins with "@"
    take: Callable[[], Any]
    restore: Callable[[Any], None] | None
    module: str | None = None  # the library that must be loaded
    random: bool = False  # read only by a cell that changed it, or may have set it to what it was
    seeded: Callable[[Any], bool] | None = None  # whether a random state may just have been set
    change: Callable[[Any, Any], Any] | None = None
    same: Callable[[Any, Any], bool] = operator.eq
    first: Callable[[], Any] | None = None
    essence: Callable[[Any], Any] | None = None  # of a whole state: what its version covers
    words: Callable[[Any, Any], str] | None = None  # what of it changed, if it can't be put back


def _cwd() -> str | None:
    try:
        return os.getcwd()  # noqa: PTH109 - twice for each cell
    except FileNotFoundError:
        return None


def _take_environ() -> dict[Any, Any]:
    """As the interpreter keeps it: `dict(os.environ)` decodes each entry by Python code."""
    entries: dict[Any, Any] = os.environ._data.copy()  # type: ignore[attr-defined]
    return entries


def _environ_change(before: dict[Any, Any], after: dict[Any, Any]) -> dict[str, str | None]:
    text: Any = os.environ.decodevalue
    change = {
        n: after.get(n) for n in before.keys() | after.keys() if before.get(n) != after.get(n)
    }
    decoded = {text(n): None if value is None else text(value) for n, value in change.items()}
    return dict(sorted(decoded.items()))


def _restore_environ(change: dict[str, str | None]) -> None:
    for name, value in change.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _restore_path(entries: list[str]) -> None:
    sys.path[:] = entries


def _take_filters() -> list[Any]:
    return list(warnings.filters)


def _user_filters(filters: list[Any]) -> list[Any]:
    """Libraries add filters for messages and categories of their own when they are imported;
    which ones are loaded must not decide whether a record fits."""
    return [f for f in filters if f[1] is None and f[3] is None and f[2].__module__ == "builtins"]


def _restore_filters(filters: list[Any]) -> None:
    warnings.filters[:] = filters  # type: ignore[index]
    warnings._filters_mutated()  # type: ignore[attr-defined]


def _take_levels() -> dict[str, tuple[int, bool, bool]]:
    root = logging.root
    levels = {"": (root.level, root.disabled, root.propagate)}
    for name, logger in list(root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger):
            levels[name] = (logger.level, logger.disabled, logger.propagate)
    levels[" disable"] = (root.manager.disable, False, False)
    return levels


_PLAIN_LEVEL = (logging.NOTSET, False, True)


def _same_levels(
    before: dict[str, tuple[int, bool, bool]], after: dict[str, tuple[int, bool, bool]]
) -> bool:
    """A logger that appeared with the plain level is no change: imports make them by the dozen."""
    return not _levels_change(before, after)


def _levels_change(
    before: dict[str, tuple[int, bool, bool]], after: dict[str, tuple[int, bool, bool]]
) -> dict[str, tuple[int, bool, bool]]:
    return {n: v for n, v in after.items() if before.get(n, _PLAIN_LEVEL) != v}


def _restore_levels(levels: dict[str, tuple[int, bool, bool]]) -> None:
    for name, (level, disabled, propagate) in levels.items():
        if name == " disable":
            logging.disable(level)
            continue
        logger = logging.getLogger(name or None)
        logger.setLevel(level)
        logger.disabled, logger.propagate = disabled, propagate


def _take_handlers() -> tuple[int, ...]:
    """Identities only: a handler writes to a stream or a file, which can't be stored."""
    return tuple(map(id, logging.root.handlers))


def _take_decimal() -> Any:
    context = decimal.getcontext()
    traps = sorted(s.__name__ for s, on in context.traps.items() if on)
    return (
        context.prec, context.rounding, context.Emin, context.Emax, context.capitals,
        context.clamp, traps,
    )  # fmt: skip


def _restore_decimal(state: Any) -> None:
    precision, rounding, low, high, capitals, clamp, traps = state
    signals = [getattr(decimal, name) for name in traps]
    decimal.setcontext(
        decimal.Context(precision, rounding, low, high, capitals, clamp, [], signals)
    )


def _take_locale() -> str:
    return locale.setlocale(locale.LC_ALL)


def _restore_locale(name: str) -> None:
    locale.setlocale(locale.LC_ALL, name)


def _take_signals() -> tuple[int, ...]:
    """Identities only. The kernel itself handles interrupts, anew for each cell."""
    handlers = map(get_signal, SIGNALS)  # nearly all of them are numbers: the default, ignored
    return tuple([h if type(h) is int else id(h) for h in handlers])


SIGNALS = sorted(int(s) for s in signal.valid_signals() - {signal.SIGINT})


def _take_collector() -> tuple[bool, tuple[int, ...]]:
    return gc.isenabled(), gc.get_threshold()


def _restore_collector(state: tuple[bool, tuple[int, ...]]) -> None:
    enabled, threshold = state
    gc.set_threshold(*threshold)
    (gc.enable if enabled else gc.disable)()


PROCESS: tuple[Component, ...] = (
    Component("@cwd", _cwd, lambda cwd: os.chdir(cwd) if cwd else None),
    Component("@environ", _take_environ, _restore_environ, change=_environ_change),
    Component("@sys.path", lambda: list(sys.path), _restore_path),
    Component(
        "@random",
        random.getstate,
        random.setstate,
        random=True,
        seeded=lambda state: state[1][-1] == UNUSED,
    ),
    Component("@warnings", _take_filters, _restore_filters, essence=_user_filters),
    Component("@logging", _take_levels, _restore_levels, change=_levels_change, same=_same_levels),
    Component("@logging.handlers", _take_handlers, None),
    Component("@decimal", _take_decimal, _restore_decimal),
    Component("@recursionlimit", sys.getrecursionlimit, sys.setrecursionlimit),
    Component("@locale", _take_locale, _restore_locale),
    Component("@signals", _take_signals, None),
    Component("@gc", _take_collector, _restore_collector),
    Component("@socket.timeout", socket.getdefaulttimeout, socket.setdefaulttimeout),
)
