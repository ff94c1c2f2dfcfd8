"""Trying in a copy of the process whether values come back, while the process goes on.

    begin(check) -> fork ─┬─ parent: goes on at once; Trial.result() waits for the answer
                          └─ child: check() over the values as they are now -> answer -> gone

The copy has the classes, the modules and the very values, and nothing that it does is seen by
anybody: its files are closed, what it prints goes nowhere, nothing is finalized. It is never asked
to prove more than that it got through: one that dies, stands still or works for too long has proven
nothing. How long it waits for a processor does not count: on a busy machine it takes what it takes.
"""

from __future__ import annotations

import gc
import io
import os
import select
import signal
import sys
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from evercell import settings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["LIMIT", "Trial", "begin"]

LIMIT = 300  # seconds of a processor's time that one may take
_STANDSTILL = 60  # seconds in which one has to do something: its locks' holders are not there
_SOMETHING = 0.05  # seconds of a processor's time
_AT_ONCE = 2  # more would take the cells' processors away
# Less than a running cell has, and no less than a third of anybody's share: with 10 it was a tenth,
# and a kernel that was killed before the answer runs heavy cells again. Nobody but root can make it
# more later on.
_NICE = 5
_DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG
# Libraries that forbid it, warn of it, or whose values a copy can't load.
_AGAINST = ("jax", "mpi4py.MPI", "grpc", "jpype", "cupy", "tensorflow")
_decoder = msgspec.json.Decoder(tuple[str | None, ...])
_running: set[int] = set()  # process ids
_refused = False  # its user has Python raise at it


class Trial(msgspec.Struct):
    """One copy at work."""

    pid: int
    _answer: int  # the descriptor that it writes to

    def result(self) -> tuple[str | None, ...] | None:
        """What `check` gave, once; None if the copy could not tell. Blocks."""
        try:
            with os.fdopen(self._answer, "rb") as file:
                self._watch()
                return _decoder.decode(file.read())
        except (OSError, msgspec.DecodeError):
            return None
        finally:
            with suppress(ChildProcessError):  # somebody waited for any child
                os.waitpid(self.pid, 0)
            _running.discard(self.pid)

    def _watch(self) -> None:
        """Wait until it says something or ends; make one that stands still end."""
        poll = select.poll()
        poll.register(self._answer, select.POLLIN)
        worked = 0.0
        while not poll.poll(_STANDSTILL * 1000):
            now = _processor_time(self.pid)
            if now - worked < _SOMETHING:
                self.kill()
                return
            worked = now

    def kill(self) -> None:
        """Have it end; `result` says None, unless it was there already."""
        if self.pid in _running:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)


def begin(check: Callable[[], Sequence[str | None]]) -> Trial | None:
    """Run `check` in a copy of the process; None where that is not to be had, and nothing was done.
    Only for the main thread."""
    if not _is_possible():
        return None
    import ctypes  # noqa: PLC0415 - not before something is tried

    parent, prctl = os.getpid(), ctypes.CDLL(None).prctl
    reading, writing = os.pipe()
    try:
        pid = _fork()
    except OSError:  # no memory, no process left
        os.close(reading)
        os.close(writing)
        return None
    if pid == 0:
        # Nobody waits for its answer when the kernel is gone.
        prctl(_DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(0)
        _be_the_copy(check, writing)
    os.close(writing)
    _running.add(pid)
    return Trial(pid, reading)


def _is_possible() -> bool:
    # Elsewhere than on Linux, system libraries break in a forked process.
    if sys.platform != "linux" or not settings.current().verify_in_fork:
        return False
    if _refused or len(_running) >= _AT_ONCE:
        return False
    if threading.current_thread() is not threading.main_thread():
        return False
    if signal.getsignal(signal.SIGCHLD) is not signal.SIG_DFL:
        return False  # the user's own, who expects children of theirs
    if any(name in sys.modules for name in _AGAINST):
        return False
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    return cuda is None or not cuda.is_initialized()


def _processor_time(pid: int) -> float:
    """Seconds that the process has worked so far; 0 if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")


def _fork() -> int:
    """The child's id; 0 in the child. Raises OSError.

    Since 3.12, Python warns of threads: what the copy must not do is to wait for one of them, and
    if it does, that shows. The filters are left alone, for changing them has every warning shown
    again."""
    global _refused  # noqa: PLW0603 - for the process
    module: Any = warnings
    show = getattr(module, "_showwarnmsg", None)
    if show is None:  # it is no promise of Python's
        return os.fork()

    def quiet(message: Any) -> None:
        if not issubclass(message.category, DeprecationWarning):
            show(message)

    module._showwarnmsg = quiet
    try:
        return os.fork()
    except DeprecationWarning as error:  # such a filter is in force; the copy finds nobody reading
        _refused = True
        raise OSError from error
    finally:
        module._showwarnmsg = show


def _be_the_copy(check: Callable[[], Sequence[str | None]], writing: int) -> None:
    """Never returns."""
    try:
        gc.disable()
        gc.freeze()  # what the user's objects do when they go is the parent's to do
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGPROF, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, LIMIT)
        os.nice(_NICE)
        # A restarted kernel wants the ports and the locks that are held through these.
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
        os.closerange(3, writing)
        os.closerange(writing + 1, os.sysconf("SC_OPEN_MAX"))
        sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
        data = msgspec.json.encode(tuple(check()))
        while data:
            data = data[os.write(writing, data) :]
    finally:
        os._exit(0)
