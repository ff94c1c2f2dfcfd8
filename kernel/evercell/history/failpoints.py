"""Named places where a test can have the process die, as `kill -9` would.

`EVERCELL_FAILPOINT=sync:3` dies the third time that the place `sync` is reached; `arm` does the
same from within. Without either, `reach` is one comparison of two strings.

    append sync acknowledge            the journal
    create rename                      segments and payload files
    fold folded checkpointed delete    the fold
    removed unused compact compacted   a collection
"""

from __future__ import annotations

import os
import signal

__all__ = ["arm", "reach"]

_name = ""
_remaining = 0


def arm(failpoint: str) -> None:
    """Die at `NAME`, or at the n-th time that it is reached: `NAME:n`. Nowhere, if it is empty."""
    global _name, _remaining  # noqa: PLW0603 - one process, one armed place
    _name, _, count = failpoint.partition(":")
    _remaining = int(count or 1)


def reach(name: str) -> None:
    """Die here if `name` is armed and its count has run out."""
    if name == _name:
        _count_down()


def _count_down() -> None:
    global _remaining  # noqa: PLW0603 - one process, one armed place
    _remaining -= 1
    if _remaining == 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get("EVERCELL_FAILPOINT", ""))
