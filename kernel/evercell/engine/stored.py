"""Any stored value as Python, by what it was stored as: for `evercell.load`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from evercell.cell.restore import decode_product
from evercell.codec import exceptions, values
from evercell.codec.messages import decode_messages
from evercell.errors import UsageError
from evercell.events import CellCompleted

if TYPE_CHECKING:
    from evercell.events import Event, Payload
    from evercell.history import History

__all__ = ["decode_stored"]


def decode_stored(
    payload: Payload, event: Event | None, history: History, live: dict[str, Any]
) -> Any:
    """The value of `payload`, which `event` names where it is no step's result.

    Raises PayloadError unless this user wrote it, RestoreError if it can't be decoded here,
    UsageError for what is no value.
    """
    if isinstance(event, CellCompleted):
        for product in event.products:
            if product.payload is not None and product.payload.id == payload.id:
                return decode_product(live, event, product, history.fetch)
    match payload.encoding:
        case "messages":
            messages = decode_messages(history.get(payload))
            return [msgspec.structs.asdict(message) for message in messages]
        case "exception":
            return exceptions.decode_exception("exception", history.get(payload), live)
        case "buffer":
            return history.get(payload)
        case "ambient":
            raise UsageError(
                f"{payload.id.hex()} is state of the process that a cell changed, which only "
                "restoring the cell gives back. The cell's variables are its products."
            )
        case encoding:
            return values.decode(encoding, history.value(payload), live)
