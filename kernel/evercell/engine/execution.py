"""One cell on its way: restored, or run and recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evercell.cell.identity import cell_key
from evercell.cell.outputs import decode_messages, encode_messages
from evercell.codec import exceptions
from evercell.engine.liveness import still_running
from evercell.engine.run import ABI
from evercell.engine.scope import Scope, enter_scope
from evercell.events import (
    AmbientChange,
    CellCompleted,
    CellFailed,
    CellRestored,
    CellStarted,
    ErrorInfo,
    Payload,
    Product,
)

if TYPE_CHECKING:
    from evercell.cell.namespace import Before, Capture, Namespace
    from evercell.cell.source import Source
    from evercell.engine.decide import CellRecord
    from evercell.engine.host import CellRequest, Host, Ran
    from evercell.engine.places import Place
    from evercell.engine.run import Run
    from evercell.events import Decision, Event

__all__ = ["CellExecution"]

_SECOND = 1_000_000_000


@dataclass(slots=True)
class CellExecution:
    """What is known of the cell before it is restored or run."""

    run: Run
    namespace: Namespace
    request: CellRequest
    source: Source
    place: Place
    host: Host
    volatile: str | None = None  # set while it runs, when it shows something live

    def restore(self, record: CellRecord) -> dict[str, Any]:
        """Give the recorded effects back: all of them, or none and RestoreError or PayloadError."""
        run, completed = self.run, record.completed
        begin = run.clock.monotonic()
        decoded = self.namespace.decode(completed, run.history.get)
        outputs = completed.outputs
        messages = () if outputs is None else decode_messages(run.history.get(outputs))
        self.namespace.apply(decoded)
        reply = self.host.replay(messages, decoded.result)
        self._append(
            CellRestored(
                run_id=run.run_id,
                at=run.clock.now(),
                activity_id=run.history.new_activity_id(),
                origin=completed.activity_id,
                slot=self.place.slot,
                cell_index=self._index,
                cell_id=self.request.cell_id,
                source=self.request.source,
                source_digest=self.source.digest,
                ordinal=self.place.ordinal,
                reason="the history holds its result",
                execution_count=self.request.execution_count,
                duration=self._since(begin),
                saved=completed.duration,
            )
        )
        run.state.places.finished(self.place.slot)
        return reply

    async def execute(
        self, decision: Decision, reason: str, overlay: CellRecord | None = None
    ) -> dict[str, Any]:
        """Run the cell and record what came of it, durably, before the reply.

        `overlay`: an earlier execution whose storable products replace the fresh ones, so that what
        was computed from them stays valid.
        """
        run = self.run
        scope = self._scope()
        self._append(self._started(scope.cell, decision, reason))
        before = self.namespace.before(self.source)
        begin = run.clock.monotonic()
        with enter_scope(scope):
            ran = await self.host.run()
        duration = self._since(begin)
        key = cell_key(
            self.source.digest, self.place.ordinal, before.reads, run.request.parameters, ABI or ""
        )
        untracked = still_running(self.namespace.live)
        capture = self.namespace.after(
            before, self.source, key=key, result=ran.result, untracked=untracked
        )
        if ran.error is not None or ran.reply["status"] != "ok":
            self._commit(self._failed(scope.cell, ran, duration))
            return ran.reply
        if overlay is not None:
            capture = self.namespace.overlay(capture, overlay.completed, run.history.get)
        self._commit(self._completed(scope.cell, key, ran, capture, duration))
        run.state.places.finished(self.place.slot)
        return ran.reply
