"""Another machine's kernel on a shared file system is seen by what it writes."""

from __future__ import annotations

import os
import socket
import time
from typing import TYPE_CHECKING

import pytest
from history_samples import Recorder

from evercell.errors import RunInUseError
from evercell.history import History
from evercell.history.machines import is_shared
from evercell.history.segments import segments

if TYPE_CHECKING:
    from pathlib import Path

MOUNTS = """\
22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/root rw
40 22 0:35 / /home rw,relatime - nfs4 server:/home rw,vers=4.2
41 40 0:36 / /home/me/my\\040disk rw - fuse.sshfs me@there: rw
42 40 254:1 / /home/me/local rw - xfs /dev/sdb rw
"""


@pytest.mark.parametrize(
    ("folder", "shared"),
    [
        ("/work/.evercell", False),
        ("/home/me/.evercell", True),
        ("/home/me/my disk/x", True),
        ("/home/me/local/x", False),
        ("/homestead", False),
    ],
)
def test_the_mounts_type_tells(tmp_path: Path, folder: str, shared: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert is_shared(tmp_path.__class__(folder), mounts) is shared


def test_without_mounts_nothing_is_shared(tmp_path: Path) -> None:
    assert not is_shared(tmp_path, tmp_path / "none")


def elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that another machine's kernel holds, with a lock that is not seen here."""
    with monkeypatch.context() as patch:
        patch.setattr(socket, "gethostname", lambda: "far away")
        history = History(folder)
        Recorder(history).start().attach()  # Recorder's host is not this one, either
        history.commit()
        history._journal._files.alive.release()


def test_a_kernel_that_just_wrote_elsewhere_keeps_its_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(tmp_path, monkeypatch)
    monkeypatch.setattr("evercell.history.machines.is_shared", lambda _: True)
    history = History(tmp_path)
    with pytest.raises(RunInUseError, match="seems to be in use on host"):
        history.attach("run0000001")
    long_ago = time.time() - 61
    for files in segments(tmp_path / "journal").values():
        for _, path in files:
            os.utime(path, (long_ago, long_ago))
    assert history.attach("run0000001").generation == 2


def test_on_a_local_disk_the_lock_alone_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(tmp_path, monkeypatch)
    assert History(tmp_path).attach("run0000001").generation == 2


def test_another_machines_journal_stays_until_it_is_surely_dead(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere(tmp_path, monkeypatch)
    history = History(tmp_path)
    history.fold()
    ((_, path),) = next(iter(segments(tmp_path / "journal").values()))
    week_ago = time.time() - 8 * 86_400
    os.utime(path, (week_ago, week_ago))
    history.fold()
    assert not path.exists()
