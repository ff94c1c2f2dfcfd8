"""Where a measured notebook tells its process how far it got: imported by its cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

mark: Callable[[str], None]  # notes the time under a name
reached: Callable[[], None]  # the step behind the recorded ones begins
