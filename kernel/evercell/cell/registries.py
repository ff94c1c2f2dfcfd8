"""The places outside of the namespace from which something is called later, whoever put it there.

    hooks of modules of the standard library    signal handlers, the event loop's handlers
    the shell's events and transformers         loggers' filters, handlers and what these hold
    what finalizers call, and what with

One list of them: whoever looks at them, however quickly, looks at all.
"""

from __future__ import annotations

import asyncio
import builtins
import gc
import io
import logging
import queue
import sqlite3
import sys
import threading
import warnings
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple

from evercell.cell.components import SIGNALS, get_signal
from evercell.cell.finalizers import finalizers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import ModuleType

__all__ = ["HOOKS", "SHELL", "SINKS", "TEXTS", "Registry", "registries"]

TEXTS: tuple[type, ...] = (io.StringIO, io.BytesIO)
SINKS: tuple[type, ...] = (*TEXTS, list, deque, queue.Queue, queue.SimpleQueue)


class Registry(NamedTuple):
    """What is at a place now."""

    place: str
    value: object
    depth: int  # how many levels below it belong to it
    sinks: tuple[type, ...] = ()  # kinds that are filled there: a variable may hold the same object


_MODULES: tuple[tuple[ModuleType, tuple[str, ...]], ...] = (
    (warnings, ("showwarning", "formatwarning", "_showwarnmsg_impl")),
    (sys, ("excepthook", "displayhook", "unraisablehook", "breakpointhook", "meta_path",
           "path_hooks", "stdout", "stderr", "stdin")),
    (threading, ("excepthook",)),
    (builtins, ("print", "open", "input", "__import__", "breakpoint", "__build_class__")),
    (gc, ("callbacks",)),
    (sqlite3, ("adapters", "converters")),
    (logging, ("_logRecordFactory", "_loggerClass", "lastResort")),
)  # fmt: skip
HOOKS = tuple(
    (vars(module), name, f"{module.__name__}.{name}")
    for module, names in _MODULES
    for name in names
)
_SIGNALS = tuple((number, f"signal {number}") for number in SIGNALS)
SHELL = (
    "input_transformers_cleanup", "input_transformers_post", "ast_transformers",
    "custom_exceptions", "CustomTB",
)  # fmt: skip


def registries(live: Mapping[str, Any]) -> Iterator[Registry]:
    """Each place of this process, and of the shell that the namespace `live` belongs to."""
    for variables, name, place in HOOKS:
        yield Registry(place, variables.get(name), 1, TEXTS)
    for number, place in _SIGNALS:
        handler = get_signal(number)
        if type(handler) is not int:  # it has one
            yield Registry(place, handler, 0)
    loop: Any = asyncio._get_running_loop()
    if loop is not None:
        yield Registry("the event loop", loop.get_exception_handler(), 0)
        yield Registry("the event loop", loop.get_task_factory(), 0)
    yield from _shell(getattr(live.get("get_ipython"), "__self__", None))
    for logger in (logging.root, *list(logging.root.manager.loggerDict.values())):
        if isinstance(logger, logging.Logger) and (logger.handlers or logger.filters):
            yield from _logging(f"logging.getLogger({logger.name!r})", logger)
    for info in finalizers():
        for value in (info.func, *info.args, *(info.kwargs or {}).values()):
            yield Registry("weakref.finalize", value, 1, (*SINKS, dict, set))


def _shell(shell: object) -> Iterator[Registry]:
    if shell is not None:
        events = getattr(getattr(shell, "events", None), "callbacks", None)
        yield Registry("get_ipython().events", events, 2)
        for name in SHELL:
            yield Registry(f"get_ipython().{name}", getattr(shell, name, None), 1)


def _logging(place: str, logger: logging.Logger) -> Iterator[Registry]:
    yield Registry(place, logger.filters, 1)
    for handler in logger.handlers:
        yield Registry(place, handler, 0)
        yield Registry(place, handler.filters, 1)
        for value in vars(handler).values():
            if value is not handler.filters:
                yield Registry(place, value, 0, SINKS)
