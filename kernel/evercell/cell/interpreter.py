"""Process state outside the namespace, piece by piece: settings of the interpreter and of modules
of the standard library, and the functions that are hooked into them.

    @interpreter    plain settings: stored, and put back
    @mimetypes      what was registered: stored, and put back
    @hooks          functions and objects that something calls later: they can't be stored

An unused module is not loaded in order to look at it.
"""

from __future__ import annotations

import copyreg
import csv
import faulthandler
import logging
import operator
import os
import sys
import threading
import time
import tracemalloc
from asyncio.events import _get_running_loop
from itertools import chain
from typing import TYPE_CHECKING, Any

from evercell.cell.components import Component
from evercell.codec.definitions import is_users_module

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

try:
    import resource
except ImportError:  # not on this platform
    resource = None  # type: ignore[assignment]

__all__ = ["INTERPRETER"]

# -- plain settings -------------------------------------------------------------------------------

_LIMITS = tuple(
    getattr(resource, f"RLIMIT_{name}")
    for name in ("AS", "CORE", "CPU", "DATA", "FSIZE", "NOFILE", "NPROC", "STACK")
    if hasattr(resource, f"RLIMIT_{name}")
)


def _umask() -> int:
    mask = os.umask(0o077)  # there is no way to read it; a file made meanwhile is closed to others
    os.umask(mask)
    return mask


def _stack_size() -> int:
    size = threading.stack_size()  # which sets it to the default
    if size:
        threading.stack_size(size)
    return size


def _restore_limits(limits: dict[int, tuple[int, int]]) -> None:
    """As far as this kernel's own limits allow: an earlier kernel may have been given higher."""
    for number, (soft, _) in limits.items():
        hard = resource.getrlimit(number)[1]
        bounded = hard == resource.RLIM_INFINITY or 0 <= soft <= hard
        resource.setrlimit(number, (soft if bounded else hard, hard))


def _loop_settings() -> tuple[bool, float] | None:
    loop: Any = _get_running_loop()
    return None if loop is None else (loop.get_debug(), loop.slow_callback_duration)


def _restore_loop(settings: tuple[bool, float] | None) -> None:
    loop = _get_running_loop()
    if loop is not None and settings is not None:
        loop.set_debug(settings[0])
        loop.slow_callback_duration = settings[1]


def _restore_zone(_: object) -> None:
    time.tzset()  # after TZ, which is part of the environment


def _restore_tracing(frames: int) -> None:
    tracemalloc.stop()
    if frames:
        tracemalloc.start(frames)


def _restore_faults(enabled: bool) -> None:
    if enabled:
        faulthandler.enable(sys.__stderr__ or 2)
    else:
        faulthandler.disable()


_DIALECT = (
    "delimiter", "quotechar", "escapechar", "doublequote", "skipinitialspace", "lineterminator",
    "quoting", "strict",
)  # fmt: skip


def _dialects() -> tuple[tuple[str, Any], ...]:
    return tuple([(name, csv.get_dialect(name)) for name in csv.list_dialects()])


def _dialects_change(
    before: tuple[tuple[str, Any], ...], after: tuple[tuple[str, Any], ...]
) -> dict[str, dict[str, Any] | None]:
    old, new = dict(before), dict(after)
    names = sorted(n for n in old.keys() | new.keys() if old.get(n) is not new.get(n))
    return {n: {a: getattr(new[n], a) for a in _DIALECT} if n in new else None for n in names}


def _restore_dialects(change: dict[str, dict[str, Any] | None]) -> None:
    for name, attributes in change.items():
        if attributes is not None:
            csv.register_dialect(name, **attributes)
        elif name in csv.list_dialects():
            csv.unregister_dialect(name)


_SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "switch interval": (sys.getswitchinterval, sys.setswitchinterval),
    "digits of integers": (sys.get_int_max_str_digits, sys.set_int_max_str_digits),
    "stack of threads": (_stack_size, threading.stack_size),
    "umask": (_umask, os.umask),
    "faults": (faulthandler.is_enabled, _restore_faults),
    "tracing": (
        lambda: tracemalloc.get_traceback_limit() if tracemalloc.is_tracing() else 0,
        _restore_tracing,
    ),
    "csv fields": (csv.field_size_limit, csv.field_size_limit),
    "csv dialects": (_dialects, _restore_dialects),
    "loop": (_loop_settings, _restore_loop),
}
if hasattr(time, "tzset"):
    _SETTINGS["zone"] = (lambda: time.tzname, _restore_zone)
if resource is not None:
    _SETTINGS["limits"] = (lambda: tuple(map(resource.getrlimit, _LIMITS)), _restore_limits)
_GETTERS = tuple(get for get, _ in _SETTINGS.values())
# How a setting's change is stored, where it is not the new value.
_CHANGES: dict[str, Callable[[Any, Any], Any]] = {
    "csv dialects": _dialects_change,
    "limits": lambda old, new: {n: b for n, a, b in zip(_LIMITS, old, new, strict=True) if a != b},
}


def _take_settings() -> tuple[Any, ...]:
    return tuple([get() for get in _GETTERS])


def _settings_change(before: tuple[Any, ...], after: tuple[Any, ...]) -> dict[str, Any]:
    changed = {}
    for name, old, new in zip(_SETTINGS, before, after, strict=True):
        if old != new and old is not None and new is not None:  # None: no loop runs
            change = _CHANGES.get(name)
            changed[name] = new if change is None else change(old, new)
    return changed


def _same_settings(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    return before == after or not _settings_change(before, after)


def _restore_settings(change: dict[str, Any]) -> None:
    for name, value in change.items():
        if name in _SETTINGS:  # not all platforms have all
            _SETTINGS[name][1](value)


# -- kinds of files ------------------------------------------------------------------------------


def _take_types() -> tuple[dict[str, str], dict[str, str]] | None:
    mimetypes = sys.modules["mimetypes"]
    if not mimetypes.inited:
        return None
    strict, common = mimetypes._db.types_map[True], mimetypes._db.types_map[False]
    return strict.copy(), common.copy()


def _types_change(before: Any, after: Any) -> dict[str, tuple[str, bool]]:
    if after is None:
        return {}
    if before is None:  # as the first use reads them
        mimetypes = sys.modules["mimetypes"]
        fresh = mimetypes.MimeTypes(tuple(filter(os.path.isfile, mimetypes.knownfiles)))
        before = fresh.types_map[True], fresh.types_map[False]
    return {
        suffix: (kind, strict)
        for strict, old, new in ((True, before[0], after[0]), (False, before[1], after[1]))
        for suffix, kind in new.items()
        if old.get(suffix) != kind
    }


def _same_types(before: Any, after: Any) -> bool:
    return before == after or not _types_change(before, after)


def _restore_types(change: dict[str, tuple[str, bool]]) -> None:
    for suffix, (kind, strict) in change.items():
        sys.modules["mimetypes"].add_type(kind, suffix, strict)


# -- hooks ----------------------------------------------------------------------------------------


def _is_own(value: Any) -> bool:
    """Whether it came from the notebook or the project, or is a builtin that one registered:
    libraries hook in much of their own when they are imported."""
    module = getattr(value, "__module__", None) or type(value).__module__
    return module in ("__main__", "builtins") or is_users_module(str(module))


class _Own:
    """Those of `take()` that did not come from a library; looked at again when it changed."""

    def __init__(self, take: Callable[[], Iterable[Any]]) -> None:
        self._take = take
        self._all: tuple[Any, ...] = ()
        self._own: tuple[Any, ...] = ()

    def __call__(self) -> tuple[Any, ...]:
        every = tuple(self._take())
        if not _are_same(every, self._all):
            self._all, self._own = every, tuple(filter(_is_own, every))
        return self._own


def _are_same(before: tuple[Any, ...], after: tuple[Any, ...]) -> bool:
    return len(before) == len(after) and all(map(operator.is_, before, after))


def _sqlite() -> Iterable[Any]:
    module = sys.modules.get("_sqlite3")
    return () if module is None else (*module.adapters.values(), *module.converters.values())


class _Handlers:
    """Handlers of loggers, but for the root's and for those that a library gave its own logger when
    it was imported; and how all of these are set up."""

    def __init__(self) -> None:
        self._loaded = (0, 0)  # loggers and modules at the last look
        self._seen: dict[int, Any] = {}
        self._librarys: dict[int, Any] = {}

    def __call__(self) -> tuple[Any, ...]:
        loggers = logging.root.manager.loggerDict
        found = [
            (name, handler)
            for name, logger in list(loggers.items())
            for handler in getattr(logger, "handlers", ())
        ]
        roots = logging.root.handlers
        loaded = len(loggers), len(sys.modules)
        if loaded != self._loaded:
            self._librarys.update({
                id(handler): handler
                for name, handler in found
                if id(handler) not in self._seen and _is_librarys(name)
            })  # fmt: skip
            self._loaded = loaded
        self._seen = {id(handler): handler for _, handler in found}
        own = [h for _, h in found if id(h) not in self._librarys]
        parts = [(h.formatter, h.level, _stream(h), *h.filters) for h in (*own, *roots)]
        return (*own, *chain.from_iterable(parts))


def _stream(handler: logging.Handler) -> object:
    """Where it was told to write to; a file it opens by itself, sooner or later, and anew."""
    is_file = isinstance(handler, logging.FileHandler)
    return None if is_file else getattr(handler, "stream", None)


def _is_librarys(logger: str) -> bool:
    package = logger.partition(".")[0]
    return package in sys.modules and package != "__main__" and not is_users_module(package)


def _numpy_errors() -> Any:
    numpy: Any = sys.modules.get("numpy")
    return numpy.geterrcall() if hasattr(numpy, "geterrcall") else None


def _loop_hook(attribute: str) -> Any:
    return getattr(_get_running_loop(), attribute, None)


_HOOKS: dict[str, Callable[[], Any]] = {
    "sys.meta_path": _Own(lambda: sys.meta_path),
    "sys.path_hooks": _Own(lambda: sys.path_hooks),
    "copyreg": _Own(copyreg.dispatch_table.values),
    "sqlite3's adapters": _Own(_sqlite),
    "logging's handlers": _Handlers(),
    "sys.setprofile": lambda: (sys.getprofile(),),
    "threading's hooks": lambda: (
        threading._profile_hook, threading._trace_hook, threading.excepthook  # type: ignore[attr-defined]
    ),
    "the loop's exception handler": lambda: (_loop_hook("_exception_handler"),),
    "the loop's task factory": lambda: (_loop_hook("_task_factory"),),
    "numpy.seterrcall": lambda: (_numpy_errors(),),
}  # fmt: skip
_LOOKS = tuple(_HOOKS.values())


def _take_hooks() -> tuple[tuple[Any, ...], ...]:
    return tuple([look() for look in _LOOKS])


def _same_hooks(before: tuple[tuple[Any, ...], ...], after: tuple[tuple[Any, ...], ...]) -> bool:
    return all(map(_are_same, before, after))


def _changed_hooks(before: tuple[tuple[Any, ...], ...], after: tuple[tuple[Any, ...], ...]) -> str:
    pairs = zip(_HOOKS, before, after, strict=True)
    return ", ".join(name for name, old, new in pairs if not _are_same(old, new))


INTERPRETER: tuple[Component, ...] = (
    Component(
        "@interpreter",
        _take_settings,
        _restore_settings,
        change=_settings_change,
        same=_same_settings,
    ),
    Component(
        "@mimetypes",
        _take_types,
        _restore_types,
        module="mimetypes",
        change=_types_change,
        same=_same_types,
        first=lambda: None,
    ),
    Component("@hooks", _take_hooks, None, same=_same_hooks, words=_changed_hooks),
)
