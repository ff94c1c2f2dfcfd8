"""Locks that die with their process: `flock` on a file that stays.

The kernel drops an flock when the last descriptor closes, so `kill -9` releases it, and asking
"is its writer alive?" is trying to take it. A forked child would keep its parent's locks alive:
it closes its copies at once.
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
import weakref
from typing import TYPE_CHECKING

import msgspec

from evercell.errors import RunInUseError
from evercell.history.disk import make_folder, write_error
from evercell.history.interrupts import rest

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileLock", "Holder", "RunLock", "is_held"]

_POLL = 0.01  # seconds between two tries


class Holder(msgspec.Struct, frozen=True):
    """Who took a lock, as written into its file."""

    pid: int
    host: str
    since: int  # nanoseconds since the epoch


class FileLock:
    """An exclusive flock on `path`, held from `take` to `release`."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None

    @property
    def held(self) -> bool:
        """Whether this object holds the lock."""
        return self._fd is not None

    def take(self, *, since: int, wait: float = 0.0) -> bool:
        """Take the lock, trying for `wait` seconds. False if another one holds it.

        Raises HistoryWriteError when the file can't be made.
        """
        deadline = time.monotonic() + wait
        while not self._try():
            if time.monotonic() >= deadline:
                return False
            rest(_POLL)
        assert self._fd is not None  # noqa: S101 - _try() said so
        note = msgspec.json.encode(Holder(os.getpid(), socket.gethostname(), since))
        try:
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, note, 0)
        except OSError:
            pass  # a full disk: the lock itself holds, only its note is missing
        return True

    def holder(self) -> Holder | None:
        """What the file says about who holds it, if it says anything."""
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Holder)
        except (OSError, msgspec.DecodeError):
            return None

    def release(self) -> None:
        """Let go; more than once is harmless."""
        if self._fd is not None:
            # Closing alone would not do while a child that was just forked has its copy.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self._close()

    def _close(self) -> None:
        fd, self._fd = self._fd, None
        if fd is not None:
            _held.discard(self)
            os.close(fd)

    def _try(self) -> bool:
        try:
            fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise write_error(self.path, error) from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = os.stat(self.path)  # noqa: PTH116 - compared with fstat below
            mine = os.fstat(fd)
            if (current.st_dev, current.st_ino) == (mine.st_dev, mine.st_ino):
                self._fd = fd
                _held.add(self)
                return True
        except (BlockingIOError, FileNotFoundError):
            pass  # held by another, or its file was just cleaned away: try again
        os.close(fd)
        return False


_held: weakref.WeakSet[FileLock] = weakref.WeakSet()


def _close_in_child() -> None:
    for lock in list(_held):
        lock._close()


os.register_at_fork(after_in_child=_close_in_child)


def is_held(path: Path) -> bool:
    """Whether somebody holds the flock on `path`; a missing file is held by nobody, and one that
    may not be opened by somebody else."""
    try:
        fd = _open_to_look(path)
    except FileNotFoundError:
        return False
    except PermissionError:
        return True
    except OSError as error:
        raise write_error(path, error) from error
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False


def _open_to_look(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)  # NFS locks only what can be written
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


class RunLock(msgspec.Struct, frozen=True):
    """The right to record in a run, until `release()` or the end of the process."""

    run_id: str
    generation: int  # the number for this attachment's RunAttached
    lock: FileLock

    @staticmethod
    def take(folder: Path, run_id: str, *, since: int) -> FileLock:
        """The run's lock. Raises RunInUseError naming who holds it."""
        make_folder(folder)
        lock = FileLock(folder / f"{run_id}.lock")
        if lock.take(since=since):
            return lock
        raise RunInUseError(_in_use(run_id, lock.holder()))

    def release(self) -> None:
        """Let another kernel attach; more than once is harmless."""
        self.lock.release()


def _in_use(run_id: str, holder: Holder | None) -> str:
    who = "another kernel"
    if holder is not None:
        since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since / 1e9))
        who = f"the kernel with process id {holder.pid} on {holder.host}, since {since}"
    return (
        f"Run {run_id} is in use by {who}. Two kernels recording one run would mix their steps. "
        "Shut that kernel down and run this cell again, or begin a new run with %evercell new-run."
    )
