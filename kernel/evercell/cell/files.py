"""Files that a cell reads, as inputs by content.

    audit event "open" (PEP 578) -> the file and its state at that moment
    after the run                -> "@file:NAME" and the content's version, among the cell's reads;
                                    and those of what it wrote
    "os.listdir", "os.scandir"   -> "@file:FOLDER/" and the version of the names in it
    other audit events           -> `outside`: it did something that is no variable, such as to
                                    connect, to start a process, to rename a file

Not inputs: what the cell wrote itself, installed packages and the system's own files, hidden files
and folders (caches, settings), what steps' bodies open (the history answers for them), what
Evercell's own threads do meanwhile, and the history that is recorded in, which grows. Of files that
a library opens in C, such as pyarrow, HDF5 and DuckDB, those count that the cell names
(named_files.py). A file that was opened and not there counts as well. So does one that
the cell names and asks for, which was not there. Not seen: what other processes read.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import stat
import sys
import sysconfig
import tempfile
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from blake3 import blake3

from evercell.threads import is_own

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["FileWatch", "added_names", "file_version", "folder_version", "leave_out", "watch_files"]

LARGE = 64 << 20  # bytes; above, size and time of change stand for the content
_MOST = 256  # files that a cell wrote whose versions are kept
_NAMES = 8192  # bytes of a folder's names up to which they are recorded
_FOLDERS = 4096  # folders that a cell listed
_COARSE = 20_000_000  # nanoseconds by which a file system's clock may be behind
_UNSEEN = (".", "__pycache__")  # beginnings of names that tools leave behind
_COMPILED = ".pyc"
_State = tuple[int, int, int]  # inode, size, time of change in nanoseconds

_OWN = os.path.dirname(os.path.dirname(__file__)) + os.sep  # noqa: PTH120 - Evercell itself
_SYSTEM = tuple(
    sorted(
        {
            f"{os.path.realpath(place)}{os.sep}"
            for place in (
                sys.prefix,
                sys.base_prefix,
                *sysconfig.get_paths().values(),
                _OWN[:-1],
                *("/bin", "/dev", "/etc", "/lib", "/lib64", "/proc", "/sbin", "/sys", "/usr"),
            )
        }
    )
)


# Audit events of what reaches beyond the process, or hangs on the moment.
_OUTSIDE = (
    "os.", "shutil.", "subprocess.", "socket.", "sqlite3.", "urllib.", "http.", "ftplib.",
    "smtplib.", "imaplib.", "poplib.", "nntplib.", "telnetlib.", "tempfile.", "mmap.",
    "webbrowser.", "pty.", "fcntl.", "syslog.", "msvcrt.", "winreg.", "glob.", "signal.",
    "builtins.input", "ctypes.call_function",
)  # fmt: skip
_IMPORTS = ("<frozen importlib", os.path.dirname(importlib.__file__), pkgutil.__file__)  # noqa: PTH120
_CTYPES = os.path.join(os.path.dirname(os.__file__), "ctypes") + os.sep  # noqa: PTH118, PTH120
_LISTING = frozenset({"os.listdir", "os.scandir"})
_INSIDE = frozenset({"os.putenv", "os.unsetenv", "socket.__new__", "socket.gethostname"})


class FileWatch:
    """What was opened while it was active."""

    def __init__(
        self,
        paused: Callable[[], bool],
        named: Callable[[], Iterable[str]],
        asked: Callable[[], Iterable[str]],
    ) -> None:
        self._paused = paused
        self._named = named
        self._asked = asked
        self._began = time.time_ns()
        self._there = {path: state for path in named() if (state := _data_state(path))}
        self._compared: tuple[set[str], set[str]] | None = None  # once it has run
        self._read: dict[str, _State] = {}
        self._missed: set[str] = set()  # opened to be read, and not there
        self._listed: dict[str, int] = {}  # folders, with the time of their last change
        self._made: set[str] = set()  # folders
        self._written: set[str] = set()
        self._outside: str | None = None

    @property
    def outside(self) -> str | None:
        """What it did beyond the process, as the name of an audit event; None: nothing that was
        seen. Files of installed packages and hidden ones don't count."""
        return "open" if self._read else self._outside

    def happened(self, event: str, arguments: tuple[object, ...]) -> None:
        """Any other audit event, on whatever thread."""
        if event in _INSIDE or not event.startswith(_OUTSIDE) or self._paused():
            return
        if event == "ctypes.call_function" and _by_evercell():
            return
        path = arguments[0] if arguments and event.startswith("os.") else None
        if isinstance(path, str | bytes | os.PathLike):
            path = os.path.abspath(os.fsdecode(path))  # noqa: PTH100 - as below
        if (not isinstance(path, str) or _is_data(path)) and not _by_import():
            self._outside = event
            if event in _LISTING:
                self._list(path or os.getcwd())  # noqa: PTH109 - a str
            elif event == "os.mkdir" and isinstance(path, str):
                self._made.add(path)

    def _list(self, folder: object) -> None:
        """The names in a folder are asked for; those in the one of a descriptor are not known."""
        if isinstance(folder, str) and folder not in self._listed and _is_data(folder + os.sep):
            self._listed[folder] = _changed_at(folder)

    def opened(self, name: object, flags: object) -> None:
        """The audit event; on whatever thread opens the file."""
        if not isinstance(name, str | bytes | os.PathLike) or not isinstance(flags, int):
            return  # a descriptor: whoever opened it was seen
        path = os.path.abspath(os.fsdecode(name))  # noqa: PTH100 - at every open
        if _COMPILED in path:
            return  # Python's own copy of a module, there or not, or one that it makes
        if flags & os.O_ACCMODE != os.O_RDONLY:
            self._written.add(path)
            if self._outside is None and _is_data(path) and not self._paused():
                self._outside = "open"
        elif path not in self._written and path not in self._read and _is_data(path):
            state = _state(path)
            if not self._paused():
                if state is not None:
                    self._read[path] = state
                elif not os.path.lexists(path):
                    self._missed.add(path)

    def inputs(self) -> dict[str, bytes]:
        """Version by absolute path. A file that changed since it was read has a version that
        nothing else has: what the cell saw is nowhere any more."""
        versions = {
            path: file_version(path) if _state(path) == state else os.urandom(16)
            for path, state in list(self._read.items())
        }
        left, _ = self._compare()
        for path in left - versions.keys() - self._written:
            versions[path] = file_version(path)
        own = self._written | self._made | self._compare()[1]
        absent = {*self._missed, *(path for path in self._asked() if _is_absent(path))}
        versions.update(dict.fromkeys(absent - own, b""))
        for folder, changed in list(self._listed.items())[:_FOLDERS]:
            # Its own files were not there yet when it looked, if any came.
            mine = own if _changed_at(folder) != changed else ()
            names = {name for inside, name in map(os.path.split, mine) if inside == folder}
            versions[f"{folder.rstrip(os.sep)}{os.sep}"] = folder_version(folder, names)
        if len(self._listed) > _FOLDERS:
            versions[os.sep] = os.urandom(16)  # more than anybody wants to compare
        return versions

    def outputs(self) -> dict[str, bytes]:
        """Version by absolute path of what the cell wrote, and left behind; b"" for a folder that
        it made."""
        _, changed = self._compare()
        written = {path for path in self._written if _data_state(path)}
        versions = {path: file_version(path) for path in sorted(written | changed)[:_MOST]}
        return versions | dict.fromkeys(sorted(self._made)[:_MOST], b"")

    def _compare(self) -> tuple[set[str], set[str]]:
        """The files that the cell, which has run, names: those that are as they were before, or
        older than the cell where that was not known yet; and the others, which it wrote."""
        if self._compared is None:
            left, changed = self._compared = set(), set()
            for path in {*self._there, *self._named()}:
                state, old = _data_state(path), self._there.get(path)
                if state is None:
                    continue
                same = _changed_at(path) < self._began - _COARSE if old is None else state == old
                (left if same else changed).add(path)
        return self._compared


_active: FileWatch | None = None
_hooked = False
_left_out: tuple[str, ...] = ()


def leave_out(beginnings: Iterable[str]) -> None:
    """From here on, what has a path that begins so is none of the cells' files."""
    global _left_out  # noqa: PLW0603 - as the hook, for the process
    _left_out = tuple(dict.fromkeys((*_left_out, *beginnings)))


@contextmanager
def watch_files(
    paused: Callable[[], bool],
    named: Callable[[], Iterable[str]] = tuple,
    asked: Callable[[], Iterable[str]] = tuple,
) -> Iterator[FileWatch]:
    """Note what is opened in the `with`, unless `paused` says so at that moment; `named` are the
    files that the cell names, as far as is known when it is asked, `asked` those among them of
    which it may ask whether they are there."""
    global _active, _hooked  # noqa: PLW0603 - an audit hook is for a process, and for ever
    if not _hooked:
        tempfile.gettempdir()  # tries the folder out, once for a process
        sys.addaudithook(_hook)
        _hooked = True
    outer, _active = _active, FileWatch(paused, named, asked)
    try:
        yield _active
    finally:
        _active = outer


def file_version(path: str) -> bytes:
    """16 bytes that change with the file's content; b"" if it can't be read. For a folder, whose
    path ends with a separator, what changes with the names in it."""
    if path.endswith(os.sep):
        return folder_version(path)
    try:
        with open(path, "rb") as stream:  # noqa: PTH123 - a hot path, and `path` is a str
            status = os.fstat(stream.fileno())
            if status.st_size > LARGE:
                return blake3(b"large %d %d" % (status.st_size, status.st_mtime_ns)).digest(16)
            return blake3(stream.read()).digest(16)
    except OSError:
        return b""


def folder_version(path: str, without: Iterable[str] = ()) -> bytes:
    """The names in a folder, but for hidden ones and those that are not wanted, or 16 bytes for a
    great many; b"" if it can't be listed."""
    try:
        names = {name for name in os.listdir(path) if not name.startswith(_UNSEEN)}  # noqa: PTH208
    except OSError:
        return b""
    text = "".join(f"/{name}" for name in sorted(names.difference(without)))
    listed = b"/" + text.encode(errors="surrogateescape")
    return listed if len(listed) <= _NAMES else blake3(listed).digest(16)


def added_names(before: bytes, now: bytes) -> frozenset[str] | None:
    """What came to a folder, by its two versions; None if something went, or they don't tell."""
    if not (before.startswith(b"/") and now.startswith(b"/")):
        return None
    old, new = (frozenset(v.decode(errors="surrogateescape").split("/")) for v in (before, now))
    return new - old if old <= new else None


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    active = _active  # the cell may end on its thread while another one is here
    if active is None or is_own():
        return
    if event == "open":
        active.opened(arguments[0], arguments[2])
    else:
        active.happened(event, arguments)


def _by_import() -> bool:
    """Whether it is the import system that looks for a module, not the code itself."""
    frame = sys._getframe(2).f_back  # behind this, `happened` and the hook; C code has none
    return frame is not None and frame.f_code.co_filename.startswith(_IMPORTS)


def _by_evercell() -> bool:
    """Whether Evercell calls the C function, which is told from CPython 3.14 on: the kernel empties
    the buffers of C's streams after each cell."""
    frame = sys._getframe(2).f_back  # as above
    while frame is not None and frame.f_code.co_filename.startswith(_CTYPES):
        frame = frame.f_back
    return frame is not None and frame.f_code.co_filename.startswith(_OWN)


def _is_data(path: str) -> bool:
    if f"{os.sep}." in path or path.startswith(_SYSTEM):
        return False
    return not path.startswith(_left_out)


def _is_absent(path: str) -> bool:
    return _is_data(path) and not os.path.lexists(path)


def _data_state(path: str) -> _State | None:
    return _state(path) if _is_data(path) else None


def _changed_at(path: str) -> int:
    """In nanoseconds of the clock: the later of its content's change and its entry's."""
    try:
        status = os.stat(path)  # noqa: PTH116 - a str from elsewhere
    except OSError:
        return sys.maxsize
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _state(path: str) -> _State | None:
    """What changes with the content; None if it is no file."""
    try:
        status = os.stat(path)  # noqa: PTH116 - in an audit hook, at every open
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
