"""Named places where a test kills this process, as `kill -9` would.

`EVERCELL_FAILPOINT=name` or `name:n` (the n-th time it is reached) arms one place; without the
variable each call is one comparison. Read once, at import: only a fresh process can be armed.
"""

from __future__ import annotations

import os
import signal

__all__ = ["reach"]

_NAME, _, _COUNT = os.environ.get("EVERCELL_FAILPOINT", "").partition(":")
_remaining = int(_COUNT or 1)


def reach(name: str) -> None:
    """Die here if `name` is armed and its count has run out."""
    if name == _NAME:
        _count_down()


def _count_down() -> None:
    global _remaining  # noqa: PLW0603 - one process, one armed place
    _remaining -= 1
    if _remaining == 0:
        os.kill(os.getpid(), signal.SIGKILL)
