"""What a cell's run gave, as parts of its event: stored, and without what is never recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.cell.outputs import encode_messages
from evercell.codec.secret import holds_secret
from evercell.engine import clear
from evercell.events import AmbientChange, ErrorInfo, Product

if TYPE_CHECKING:
    from evercell.cell.capture import CapturedAmbient, CapturedGroup
    from evercell.cell.outputs import Message
    from evercell.engine.host import Host, Ran
    from evercell.events import Payload
    from evercell.history import History

__all__ = ["ambient_change", "error_info", "outputs", "product"]

_UNRECORDED = "it holds the text of a Secret, which is never recorded"


def product(history: History, group: CapturedGroup) -> Product:
    """The co-variable with its stream stored, if it has one."""
    reason = clear.reason(group.reason)
    stream = group.stream
    if stream is not None and (holds_secret(stream) or any(map(holds_secret, group.buffers))):
        stream, reason = None, _UNRECORDED
    if stream is None:
        return Product(group.names, group.version, reason=reason, refers=group.refers)
    return Product(
        names=group.names,
        version=group.version,
        payload=history.put(stream, "pickle"),
        buffers=tuple(history.put(buffer, "buffer") for buffer in group.buffers),
        refers=group.refers,
    )


def ambient_change(history: History, change: CapturedAmbient) -> AmbientChange:
    """The change of process state with its data stored, if it has any."""
    data = change.data
    if data is None or holds_secret(data):
        return AmbientChange(change.name, change.version)
    return AmbientChange(change.name, change.version, history.put(data, "ambient"))


def outputs(history: History, host: Host, published: tuple[Message, ...]) -> Payload | None:
    """What the cell published, stored; None if there is nothing to record."""
    if not published:
        return None
    kept = clear.messages(published)
    data = encode_messages(kept)
    if holds_secret(data):  # in a picture's bytes, or where no text is expected
        host.note("evercell: this cell's outputs hold a Secret and were not recorded.\n")
        return None
    if kept != published:
        host.note("evercell: what looks like a key in this cell's outputs is recorded as ***.\n")
    return history.put(data, "messages")


def error_info(ran: Ran) -> ErrorInfo:
    """What the cell raised."""
    if ran.error is not None:
        return ErrorInfo(*clear.error(ran.error))
    reply = ran.reply
    return ErrorInfo(reply.get("ename", "Error"), clear.reason(reply.get("evalue", "")) or "")
