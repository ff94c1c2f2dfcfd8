"""Another machine's processes on a shared file system, as far as they can be seen from here.

A lock shows who lives, where the file system shares locks between machines: NFS, SMB, Lustre and
CephFS do by default, sshfs and mounts with `nolock` don't. There, a journal that was just written
is the only sign of life.
"""

from __future__ import annotations

import getpass
import os
import socket
import time
from pathlib import Path
from typing import TYPE_CHECKING

from evercell.errors import RunInUseError
from evercell.history.segments import segments

if TYPE_CHECKING:
    from evercell.history.queries import Attachment

__all__ = ["is_shared", "refuse_elsewhere", "user_name"]

_FRESH = 60.0  # seconds: a journal written since then has a living writer
_SHARED = ("nfs", "cifs", "smb", "fuse.sshfs", "9p", "lustre", "gpfs", "ceph", "glusterfs", "afs")
_MOUNTS = Path("/proc/self/mountinfo")


def is_shared(folder: Path, mounts: Path = _MOUNTS) -> bool:
    """Whether other machines may see `folder`, as the mount's type tells (Linux only)."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return False
    best = (0, "")
    for line in lines:
        before, _, after = line.partition(" - ")
        if not after:
            continue
        point = Path(before.split()[4].encode().decode("unicode_escape"))
        if folder.is_relative_to(point):
            best = max(best, (len(point.parts), after.split()[0]))
    return best[1].startswith(_SHARED) or any(name in best[1] for name in ("sshfs", "glusterfs"))


def refuse_elsewhere(folder: Path, journal: Path, run_id: str, latest: Attachment) -> None:
    """Raise RunInUseError if another machine's kernel, whose lock is not seen, has the run."""
    if latest.detached or not is_shared(folder):
        return
    age = _seconds_since_write(journal, latest.writer, latest.host)
    if age is not None and age < _FRESH:
        raise RunInUseError(
            f"Run {run_id} seems to be in use on {latest.host}, which wrote to it {age:.0f} "
            "seconds ago, though its lock can't be seen from here. Shut that kernel down, or "
            "try again in a minute if it has died."
        )


def _seconds_since_write(journal: Path, writer: str, host: str) -> float | None:
    """How long ago a writer of another machine wrote; None for one of this machine, or none."""
    files = segments(journal, writer).get(writer)
    if host == socket.gethostname() or not files:
        return None
    try:
        return time.time() - files[-1][1].stat().st_mtime
    except FileNotFoundError:
        return None


def user_name() -> str:
    """Who runs this process, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # an account without a name, in a container
