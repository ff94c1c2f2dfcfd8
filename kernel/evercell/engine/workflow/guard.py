"""What workflow code must not call: its outcome would not be the same in a replay.

While the worker's thread runs the code of a workflow, a profile function sees each call that user
code makes itself (clocks, random numbers, ids, `open`, `input`), and audit events tell of files,
sockets, threads and processes, however deep in a library. Over ground that the history knows the
profile function is off: what is there was looked at when it was new.

`workflow.unsafe()` lets one block through.
"""

from __future__ import annotations

import _thread
import asyncio
import datetime
import io
import os
import random
import secrets
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from evercell.engine.current import set_calling
from evercell.engine.function import is_user_code
from evercell.engine.workflow.where import calling_line
from evercell.errors import WorkflowCallError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import CodeType, FrameType

    from evercell.engine.workflow.instance import Instance

__all__ = ["GUARD", "Guard"]

_CLOCK = "Take the run's time: workflow.now()"
_RANDOM = "Take the run's random numbers: workflow.random()"
_STEP = "Do this in a @step"

_BUILTINS: dict[object, tuple[str, str]] = {
    **{
        getattr(time, name): (f"time.{name}", _CLOCK)
        for name in ("time", "time_ns", "monotonic", "monotonic_ns", "perf_counter",
                     "perf_counter_ns", "process_time")
    },
    time.sleep: ("time.sleep", "Wait with await asyncio.sleep(seconds), which is a durable timer"),
    datetime.datetime.now: ("datetime.now", _CLOCK),
    datetime.datetime.utcnow: ("datetime.utcnow", _CLOCK),
    datetime.datetime.today: ("datetime.today", _CLOCK),
    datetime.date.today: ("date.today", _CLOCK),
    random.random: ("random.random", _RANDOM),
    random.getrandbits: ("random.getrandbits", _RANDOM),
    os.urandom: ("os.urandom", _RANDOM),
    io.open: ("open", _STEP),
    _thread.start_new_thread: ("_thread.start_new_thread", _STEP),
    input: ("input", "Ask with await evercell.approval(...), which waits durably"),
}  # fmt: skip

# Calls that may show what the code knows, wherever they are made: what that is must be durable.
_SHOWING = frozenset({
    "execute", "executemany", "print", "put", "put_nowait", "send", "sendall", "sendmsg", "sendto",
    "write", "writelines",
})  # fmt: skip

_METHODS: dict[CodeType, str] = {  # of the module's own generator only
    method.__code__: f"random.{name}"
    for name in ("betavariate", "choice", "choices", "expovariate", "gammavariate", "gauss",
                 "lognormvariate", "normalvariate", "paretovariate", "randbytes", "randint",
                 "randrange", "sample", "seed", "shuffle", "triangular", "uniform",
                 "vonmisesvariate", "weibullvariate")
    if hasattr(method := getattr(random.Random, name), "__code__")
}  # fmt: skip

_FUNCTIONS: dict[CodeType, tuple[str, str]] = {
    # CPython 3.11 has no audit event for a new thread.
    threading.Thread.start.__code__: ("threading.Thread.start", _STEP),
    ThreadPoolExecutor.submit.__code__: ("ThreadPoolExecutor.submit", _STEP),
    uuid.uuid1.__code__: ("uuid.uuid1", "Take the run's: workflow.uuid4()"),
    uuid.uuid4.__code__: ("uuid.uuid4", "Take the run's: workflow.uuid4()"),
    secrets.token_bytes.__code__: ("secrets.token_bytes", _RANDOM),
    secrets.token_hex.__code__: ("secrets.token_hex", _RANDOM),
    secrets.token_urlsafe.__code__: ("secrets.token_urlsafe", _RANDOM),
}

_AS_COMPLETED = asyncio.as_completed.__code__
_UNORDERED = (
    "asyncio.as_completed with coroutines, which it starts in the order of their addresses",
    "Give it tasks: [asyncio.ensure_future(it) for it in ...]",
)

# Where those are: asking a frame for its code, or for an id, is audited itself, and the hook would
# be called for each call of the user's.
_MODULES = frozenset(
    {"asyncio.tasks", "concurrent.futures.thread", "random", "secrets", "threading", "uuid"}
)

_AUDITED = frozenset({
    "_thread.start_joinable_thread", "_thread.start_new_thread", "ftplib.connect",
    "http.client.connect", "open", "os.exec",
    "os.fork", "os.listdir", "os.mkdir", "os.posix_spawn", "os.remove", "os.rename", "os.scandir",
    "os.system", "shutil.copyfile", "shutil.move", "smtplib.connect", "socket.connect",
    "socket.getaddrinfo", "sqlite3.connect", "subprocess.Popen", "urllib.Request",
})  # fmt: skip
_QUIET = ("evercell", "importlib", "linecache", "logging", "tokenize")  # may do so on their own


class Guard:
    """Watches one thread: that on which workflow code runs."""

    def __init__(self) -> None:
        self._thread = 0  # ident of the thread that runs workflow code now
        self._instance: Instance | None = None
        self._allowed = 0
        self._hooked = False
        self.profile = self._profile  # for sys.setprofile: set while user code runs

    @contextmanager
    def watching(self, instance: Instance) -> Iterator[None]:
        """Refuse, in the block, what a replay could not repeat."""
        before = self.enter(instance)
        try:
            yield
        finally:
            self.leave(before)

    def enter(self, instance: Instance) -> tuple[Any, ...]:
        """Begin what `watching` does; what is returned is for `leave`."""
        if not self._hooked:
            self._hooked = True
            sys.addaudithook(self._audit)
        before = self._instance, self._thread, set_calling(instance)
        self._instance, self._thread = instance, threading.get_ident()
        return before

    def leave(self, before: tuple[Any, ...]) -> None:
        """End what `watching` does."""
        self._instance, self._thread, caller = before
        set_calling(caller)

    @contextmanager
    def profiling(self) -> Iterator[None]:
        """Watch the calls that user code makes itself in the block; not over known ground."""
        instance = self._instance
        known = sys.getprofile() is self.profile
        if known or instance is None or not instance.watched:
            yield
            return
        sys.setprofile(self.profile)
        try:
            yield
        finally:
            sys.setprofile(None)

    @contextmanager
    def allowing(self) -> Iterator[None]:
        """Let everything through in the block: on the author's word, or for work of our own."""
        self._allowed += 1
        try:
            yield
        finally:
            self._allowed -= 1

    @property
    def lenient(self) -> bool:
        """Whether code that stands in such a block may go on."""
        return self._allowed > 0

    def _profile(self, frame: FrameType, kind: str, argument: Any) -> None:
        found: tuple[str, str] | None
        if kind == "c_call":
            if getattr(argument, "__name__", "") in _SHOWING and self._instance is not None:
                self._instance.settle()
            try:
                found = _BUILTINS.get(argument)
            except TypeError:  # a method of something that has no hash
                return
            caller: FrameType | None = frame
        elif kind == "call" and frame.f_globals.get("__name__") in _MODULES:
            code = frame.f_code
            found = _FUNCTIONS.get(code)
            if code is _AS_COMPLETED:
                found = None if _are_futures(frame.f_locals["fs"]) else _UNORDERED
            elif found is None:
                name = _METHODS.get(code)
                if name is None or frame.f_locals.get("self") is not _SHARED:
                    return
                found = name, _RANDOM
            caller = frame.f_back
        else:
            return
        if found is None or self._allowed or caller is None:
            return
        if _is_user(caller.f_globals.get("__name__")):
            raise self._refuse(*found)

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in _AUDITED or self._thread != threading.get_ident() or self._allowed:
            return
        if self._instance is None or _is_quiet(sys._getframe(1)):
            return
        about = f" ({arguments[0]!r:.80})" if arguments and event != "open" else ""
        call = f"open({arguments[0]!r:.80})" if event == "open" else f"{event}{about}"
        raise self._refuse(call, _STEP)

    def _refuse(self, call: str, remedy: str) -> WorkflowCallError:
        where = calling_line()
        error = WorkflowCallError(
            f"workflow code called {call}{f' ({where})' if where else ''}, and a replay could not "
            f"repeat what comes of it. {remedy}. If it can't matter: with workflow.unsafe(): ..."
        )
        if self._instance is not None and self._instance.broken is None:
            self._instance.broken = error
        return error


def _is_quiet(frame: FrameType | None) -> bool:
    """Whether the innermost code that is not Python's own may do so: ours does its work on this
    thread too, imports read files, and tracebacks read sources."""
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        top = name.partition(".")[0]
        if top in _QUIET or name.startswith("_frozen_importlib"):
            return True
        if top not in sys.stdlib_module_names:
            return False
        frame = frame.f_back
    return True


def _are_futures(awaitables: object) -> bool:
    return isinstance(awaitables, (list, tuple, set, frozenset, dict)) and all(
        map(asyncio.isfuture, awaitables)
    )


@lru_cache(maxsize=4096)
def _is_user(module: str | None) -> bool:
    return is_user_code(module)


_SHARED: Any = random.random.__self__  # type: ignore[attr-defined] # the module's own generator

GUARD = Guard()
"""The process's only one: there is one thread for all workflows, and audit hooks stay for ever."""
