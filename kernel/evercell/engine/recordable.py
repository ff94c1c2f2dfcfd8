"""What a step, a workflow or a message may give to the history: no secrets, and not too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.codec.secret import refuse_secrets
from evercell.errors import NotStorableError
from evercell.settings import current

if TYPE_CHECKING:
    from evercell.codec.parts import Pieces

__all__ = ["check_recordable"]


def check_recordable(data: bytes | Pieces) -> None:
    """Raise NotStorableError for an encoded value that holds a Secret's text, or that is larger
    than `evercell.configure(payload_limit=...)` allows."""
    refuse_secrets(data)
    limit = current().payload_limit
    if limit is not None and len(data) > limit:
        raise NotStorableError(
            f"it takes {len(data):,} bytes, and payload_limit is {limit:,}. Keep it in a "
            "file and hand on its name, or raise the limit: evercell.configure(payload_limit=...)."
        )
