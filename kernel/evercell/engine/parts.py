"""A cell's events, or parts of them: stored, and without what is never recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.cell.outputs import encode_messages
from evercell.codec.secret import holds_secret
from evercell.engine import clear
from evercell.events import AmbientChange, CellFailed, CellStarted, ErrorInfo, Product

if TYPE_CHECKING:
    from evercell.cell.capture import CapturedAmbient, CapturedGroup
    from evercell.cell.outputs import Message
    from evercell.cell.source import Source
    from evercell.engine.host import CellRequest, Host, Ran
    from evercell.engine.places import Place
    from evercell.engine.run import Run
    from evercell.events import Decision, Payload
    from evercell.history import History

__all__ = [
    "ambient_change",
    "cell_index",
    "failed",
    "outputs",
    "product",
    "started",
    "was_interrupted",
]

_UNRECORDED = "it holds the text of a Secret, which is never recorded"


def cell_index(request: CellRequest, place: Place) -> int | None:
    """The index in the notebook, or the place in the order of execution where that is all that is
    known."""
    return place.position if request.cell_index is None else request.cell_index


def started(
    run: Run,
    activity_id: str,
    *,
    place: Place,
    request: CellRequest,
    source: Source,
    decision: Decision,
    reason: str,
) -> CellStarted:
    """The event of an execution that begins."""
    return CellStarted(
        run_id=run.run_id,
        at=run.clock.now(),
        activity_id=activity_id,
        slot=place.slot,
        cell_index=cell_index(request, place),
        cell_id=request.cell_id,
        source=clear.source(request.source),
        source_digest=source.digest,
        ordinal=place.ordinal,
        decision=decision,
        reason=clear.text(reason),
        execution_count=request.execution_count,
    )


def product(history: History, group: CapturedGroup) -> Product:
    """The co-variable with its stream stored, if it has one."""
    reason = clear.reason(group.reason)
    stream = group.stream
    if stream is not None and (holds_secret(stream) or any(map(holds_secret, group.buffers))):
        stream, reason = None, _UNRECORDED
    if stream is None:
        return Product(
            group.names,
            group.version,
            reason=reason,
            refers=group.refers,
            traced=group.traced,
            verified=group.traced is None,
        )
    return Product(
        names=group.names,
        version=group.version,
        payload=history.put(stream, "pickle"),
        buffers=tuple(history.put(buffer, "buffer") for buffer in group.buffers),
        refers=group.refers,
        traced=group.traced,
        verified=group.traced is None,
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


def failed(run: Run, host: Host, activity_id: str, ran: Ran, duration: int) -> CellFailed:
    """The event of an execution that raised or was interrupted; `duration` in nanoseconds."""
    return CellFailed(
        run_id=run.run_id,
        at=run.clock.now(),
        activity_id=activity_id,
        duration=duration,
        error=_error_info(ran),
        interrupted=was_interrupted(ran),
        outputs=outputs(run.history, host, ran.messages),
    )


def was_interrupted(ran: Ran) -> bool:
    """Whether its user stopped it."""
    return ran.reply.get("ename") in {"KeyboardInterrupt", "CancelledError"}  # of an `await`


def _error_info(ran: Ran) -> ErrorInfo:
    """What the cell raised."""
    if ran.error is not None:
        return ErrorInfo(*clear.error(ran.error))
    reply = ran.reply
    return ErrorInfo(reply.get("ename", "Error"), clear.reason(reply.get("evalue", "")) or "")
