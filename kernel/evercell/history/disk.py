"""Bytes that stay: writes at an offset, syncs, files that appear whole or not at all."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from typing import TYPE_CHECKING, Any

from evercell.errors import HistoryWriteError
from evercell.history import failpoints

if TYPE_CHECKING:
    from pathlib import Path

__all__ = [
    "Draft",
    "advice_on",
    "create_file",
    "make_folder",
    "start_write_out",
    "sync",
    "sync_folder",
    "write_at",
    "write_error",
]

_ADVICE = {
    errno.ENOSPC: "Free some disk space",
    errno.EDQUOT: "Free some of your disk quota",
    errno.EFBIG: "Raise the file size limit (ulimit -f)",
    errno.EACCES: "Give yourself write permission, or set EVERCELL_HOME to another folder",
    errno.EPERM: "Give yourself write permission, or set EVERCELL_HOME to another folder",
    errno.EROFS: "Set EVERCELL_HOME to a folder on a writable disk",
}


def advice_on(message: str) -> str:
    """What to do about a failed write, told by another library in the system's words."""
    known = (advice for number, advice in _ADVICE.items() if os.strerror(number) in message)
    return next(known, "Free some disk space, or set EVERCELL_HOME to another folder")


def write_error(path: Path, error: OSError) -> HistoryWriteError:
    """What happened to `path`, why, and what to do."""
    advice = _ADVICE.get(error.errno or 0, "Check the disk, or set EVERCELL_HOME to another folder")
    reason = error.strerror or str(error)
    return HistoryWriteError(
        f"The history could not be written to {path}: {reason}. {advice}; "
        "recording goes on by itself as soon as writing works again."
    )


if sys.platform == "darwin":
    import fcntl

    def sync(fd: int) -> None:
        """Make the file's bytes durable. Raises OSError."""
        fcntl.fcntl(fd, fcntl.F_FULLFSYNC)  # fsync leaves them in the drive's cache on macOS

else:

    def sync(fd: int) -> None:
        """Make the file's bytes durable. Raises OSError."""
        os.fdatasync(fd)


_PAGE = os.sysconf("SC_PAGE_SIZE")
_WRITE = 2  # SYNC_FILE_RANGE_WRITE


@cache
def _sync_file_range() -> Any:
    """The system's function; None where it has none: that is Linux's alone."""
    if not sys.platform.startswith("linux"):
        return None
    found = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if found is not None:
        found.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return found


def start_write_out(fd: int, offset: int, length: int) -> None:
    """Have the system begin to write these bytes to the disk, without waiting. A sync that comes
    later finds that much of its work done; without it nothing is certain, and an error is the
    sync's."""
    call = _sync_file_range()
    if call is not None:
        first = offset - offset % _PAGE
        call(fd, first, offset + length - first, _WRITE)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable. Raises OSError."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def write_at(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of `data` at `offset`. Raises OSError; writing again is harmless."""
    written = os.pwrite(fd, data, offset)
    while written < len(data):
        written += os.pwrite(fd, memoryview(data)[written:], offset + written)


def make_folder(folder: Path) -> None:
    """Create `folder` and its parents durably. Raises HistoryWriteError."""
    missing = []
    parent = folder
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    try:
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            sync_folder(path.parent)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
    except OSError as error:
        raise write_error(folder, error) from error


class Draft:
    """A file that gets its name, whole and durable, by `place`; without that it leaves no trace.

    `path` is its name until then. Everything raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._placed = False
        self.size = 0

    def write(self, part: bytes | memoryview) -> None:
        """Append `part`."""
        write_at(self._fd, part, self.size)
        self.size += len(part)

    def place(self, path: Path) -> None:
        """Sync it and give it its name, durably; an earlier file of that name is replaced."""
        sync(self._fd)
        failpoints.reach("create")
        self._path.replace(path)
        self._placed = True
        failpoints.reach("rename")
        sync_folder(path.parent)

    def __enter__(self) -> Draft:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)
        if not self._placed:
            self._path.unlink(missing_ok=True)


def create_file(path: Path, *parts: bytes | memoryview, temporary: str) -> None:
    """Write `path` so that it appears whole, durable, or not at all; an earlier file of that name
    is replaced. `temporary` is the name that it has beforehand. Raises OSError."""
    with Draft(path.with_name(temporary)) as draft:
        for part in parts:
            draft.write(part)
        draft.place(path)
