"""What proves that records are this user's, unchanged; and telling the user where it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from evercell.history.keys import UserKey

__all__ = ["KeyProof"]


class KeyProof:
    """Proof by the user's key. `foreign`: the history holds records under another key, too; `tell`
    takes a line for the user."""

    def __init__(
        self,
        folder: Path,
        key: UserKey,
        *,
        foreign: bool,
        tell: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._key = key
        self._foreign = foreign
        self._tell = tell

    def holds(self, tag: bytes | None, message: tuple[object, ...]) -> bool:
        """Whether the tag of a row or block is right; if not, its user will be told."""
        if self._key.holds(tag, message):
            return True
        self._tell(
            f"Records in {self._folder} were made under another key than yours, so they are not "
            f"used. If you trust who made them: evercell trust {self._folder}"
            if self._foreign or tag is None
            else f"Records in {self._folder} were changed after they had been made, so they are "
            f"not used. To see which: evercell verify --history {self._folder}"
        )
        return False
