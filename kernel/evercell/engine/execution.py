"""One cell on its way: restored, or run and recorded."""

from __future__ import annotations

import traceback
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec.structs import replace

from evercell.cell.capture import lost_capture
from evercell.cell.files import watch_files
from evercell.cell.identity import cell_key
from evercell.cell.named_files import files_asked, files_named
from evercell.cell.outputs import decode_messages
from evercell.cell.postpone import may_wait
from evercell.cell.recording import FAILED
from evercell.cell.source import linked_names
from evercell.cell.words import words_in
from evercell.codec import canonical
from evercell.codec.layers import CHUNKS
from evercell.engine import clear, parts
from evercell.engine.context import in_step_body
from evercell.engine.liveness import steps_run_beside, still_running
from evercell.engine.scope import enter_scope
from evercell.errors import HistoryError, NotStorableError, PayloadError, RestoreError
from evercell.events import (
    CellCompleted,
    CellRestored,
    CellStarted,
    Product,
)
from evercell.settings import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from evercell.cell.capture import Before, Capture
    from evercell.cell.files import FileWatch
    from evercell.cell.namespace import Namespace
    from evercell.cell.source import Source
    from evercell.engine.decide import CellRecord
    from evercell.engine.host import CellRequest, Host, Ran
    from evercell.engine.places import Place
    from evercell.engine.postponed import Postponed, PostponedCells
    from evercell.engine.run import Run
    from evercell.engine.scope import Scope
    from evercell.engine.verifying import Verifying
    from evercell.events import Decision, Event

__all__ = ["CellExecution"]

T = TypeVar("T")
_SECOND = 1_000_000_000


class CellExecution(msgspec.Struct):
    """What is known of the cell before it is restored or run."""

    run: Run
    namespace: Namespace
    request: CellRequest
    source: Source
    place: Place
    host: Host
    postponed: PostponedCells
    verifying: Verifying
    volatile: str | None = None  # set while it runs, when it shows something live

    def restore(self, record: CellRecord, unstorable: str | None = None) -> dict[str, Any]:
        """Give the recorded effects back: all of them, or none and RestoreError or PayloadError.

        `unstorable`: why some of them can't be; the cell runs again when another one needs them.
        """
        run, completed = self.run, record.completed
        begin = run.clock.monotonic()
        later = None if unstorable is None else self._postpone(record, unstorable)
        decoded = self.namespace.decode(
            completed,
            run.history.fetch,
            submodules=self.source.submodules,
            may_wait=self._may_wait,
            later_run=None if later is None else later.waiting,
        )
        outputs = completed.outputs
        messages = () if outputs is None else decode_messages(run.history.get(outputs))
        result = self.namespace.apply(decoded)
        if later is not None:
            self.postponed.add(later)
        self.namespace.provide(words_in("\n".join(self.request.expressions)))
        reply = self.host.replay(messages, result)
        self._append(
            CellRestored(
                run_id=run.run_id,
                at=run.clock.now(),
                activity_id=run.history.new_activity_id(),
                origin=completed.activity_id,
                slot=self.place.slot,
                cell_index=parts.cell_index(self.request, self.place),
                cell_id=self.request.cell_id,
                source=clear.source(self.request.source),
                source_digest=self.source.digest,
                ordinal=self.place.ordinal,
                reason=record.why
                if later is None
                else clear.text(f"{record.why}; {_later(later)}"),
                execution_count=self.request.execution_count,
                duration=self._since(begin),
                saved=completed.duration,
            )
        )
        run.history.commit_then((), lambda _: None)  # at once: the kernel may end with this cell
        run.state.places.finished(self.place.slot)
        return reply

    def _postpone(self, record: CellRecord, reason: str) -> Postponed:
        return self.postponed.postpone(self.source, self.request, self.place, record, reason)

    def _may_wait(self, product: Product) -> bool:
        """Whether to leave the value on disk until it is needed. What it refers to by name could
        be another thing by then. Raises PayloadError if it is not there."""
        limit = current().lazy_from
        parts = [part for part in (product.payload, *product.buffers) if part is not None]
        # What was stored in chunks is large, however well it was compressed.
        chunked = any(CHUNKS in part.codec.split("+") for part in parts)
        small = sum(part.size for part in parts) < (limit or 0) and not chunked
        if limit is None or product.refers or small:
            return False
        for part in parts:
            self.run.history.probe(part)
        return True

    async def execute(
        self,
        decision: Decision,
        reason: str,
        overlay: CellRecord | None = None,
        *,
        key: bytes | None = None,
        as_recorded: bool = False,
    ) -> dict[str, Any]:
        """Run the cell and record what came of it, durably, before the reply.

        `overlay`: an earlier execution that can't be restored because some variable can't be
        stored; the others take their recorded values. `key`: of the execution that is recomputed;
        what it makes anew, and nobody can tell by its content, keeps its version, also where other
        modules are loaded now, or a file is there that came later. `as_recorded`: the cell runs
        because what it made can't be given back, not because its user wants something else.
        """
        run = self.run
        self._provide()
        before = self._guard(lambda: self.namespace.before(self.source))
        scope = self._scope(before, as_recorded=as_recorded)
        cut_off = run.state.status(self.place.slot) in {"in doubt", "failed"}
        self._append(self._started(scope.cell, decision, reason))
        begin = run.clock.monotonic()
        beside = still_running(self.namespace.ns)
        with enter_scope(scope), watch_files(in_step_body, *self._named(before)) as files:
            ran = await self.host.run()
        duration = self._since(begin)
        for note in scope.notes:
            self.host.note(f"evercell: {note}\n")
        failed = ran.error is not None or ran.reply["status"] != "ok"
        running = still_running(self.namespace.ns)
        capture = before and self._capture(
            before, ran, files, FAILED if failed else running or beside or scope.missed, key
        )
        if running is not None or steps_run_beside(self.namespace.ns):
            self._guard(self.namespace.disturb)
        else:  # the latest scope is kept, and would keep what the cell parted with
            scope.data_version = _unknown
        if failed:
            self._remind(scope.cell, ran)
            self._commit(parts.failed(run, self.host, scope.cell, ran, duration))
            return ran.reply
        capture = capture or lost_capture(self.namespace.lost or "")
        kept = () if overlay is None else self._lay_over(capture, overlay)
        if run.waits is not None:
            with suppress(HistoryError):  # for people only, and what is wrong shows below
                run.waits.settle(self.place.slot, unread=cut_off)
        completed = self._completed(scope.cell, ran, capture, kept, files, duration=duration)
        self._commit(completed)
        if capture.unverified is not None:
            self.verifying.begin(completed, capture.unverified)
        run.state.places.finished(self.place.slot)
        return ran.reply

    def _named(self, before: Before | None) -> tuple[Callable[[], frozenset[str]], ...]:
        """The data files that it names, and those that it asks for, asked before it runs and when
        it has run."""
        if before is None:
            return ()
        found = (self.source, before.reach, self.namespace.ns)
        return lambda: files_named(*found), lambda: files_asked(*found)

    def _capture(
        self,
        before: Before,
        ran: Ran,
        files: FileWatch,
        untracked: str | None,
        key: bytes | None,
    ) -> Capture | None:
        return self._guard(
            lambda: self.namespace.after(
                before,
                self.source,
                key=key or self._key,
                result=ran.result,
                untracked=untracked,
                files=files.inputs(),
            )
        )

    def _provide(self) -> None:
        """Have everything there that the cell could get hold of, as it should find it. Raises
        RestoreError, PayloadError."""
        expressions = "\n".join(self.request.expressions)
        while lacking := self.namespace.lacking(self.source, expressions):
            for waiting in lacking:  # which may bring more within reach
                self.namespace.load(waiting)
        if not self.postponed:
            return
        beside = still_running(self.namespace.ns) is not None
        while touched := self.postponed.touched(self.source, beside=beside):
            for waiting in touched:
                try:
                    self.namespace.load(waiting)
                except RestoreError as error:  # whoever needs it is told so
                    self.host.note(f"evercell: {error.message}\n")

    def _remind(self, cell: str, ran: Ran) -> None:
        """Say what an interrupted cell left waiting."""
        if self.run.waits is None or not parts.was_interrupted(ran):
            return
        for wait in self.run.waits.left_open(cell):
            self.host.note(
                f"evercell: {wait.words} stays open. Run the cell again, and it waits on.\n"
            )

    def _guard(self, look: Callable[[], T]) -> T | None:
        """What `look` gives; None once it has failed in this kernel. A fault of ours, or an object
        that breaks whoever looks at it, must not cost the cell its result: from there on, cells
        run, their steps are recorded, and nothing is restored until the kernel starts again."""
        if self.namespace.lost is not None:
            return None
        try:
            return look()
        except Exception as error:  # noqa: BLE001 - see above
            self.namespace.lost = f"its effects could not be recorded ({type(error).__name__})"
            lines = "".join(traceback.format_exception(error))
            self.host.note(f"evercell: {self.namespace.lost}; please report this:\n{lines}")
            return None

    def _key(self, reads: Mapping[str, bytes]) -> bytes:
        return cell_key(self.source.digest, self.place.ordinal, reads, self.run.request.parameters)

    def _lay_over(self, capture: Capture, overlay: CellRecord) -> tuple[Product, ...]:
        """Put recorded values of a recomputed cell over the fresh ones; returns those products.

        What later cells made of the recorded values stays valid so. Left fresh is whatever the
        cell's statements tie to what can't be stored: a recorded port and a server that listens on
        another one would be a state that never was.
        """
        products = overlay.completed.products
        lost = {name for product in products if product.payload is None for name in product.names}
        lost |= {name for group in capture.products if group.stream is None for name in group.names}
        live = self.namespace.ns
        modules = [name for name, value in live.items() if isinstance(value, ModuleType)]
        tied = linked_names(self.request.transformed, lost, loose=modules)
        fresh = {g.names: g.version for g in capture.products if g.stream is not None}
        # What is the same again stays: others may hold it, and it may be what was displayed.
        stored = tuple(
            p
            for p in products
            if p.payload is not None and fresh.get(p.names, p.version) != p.version
        )
        recorded = replace(overlay.completed, products=stored, deleted=(), ambient=(), result=None)
        try:
            decoded = self.namespace.decode(recorded, self.run.history.fetch, partial=True)
        except (RestoreError, PayloadError) as error:
            self.host.note(f"evercell: this cell's values are fresh ones: {error}\n")
            return ()
        free = [product for product in stored if tied.isdisjoint(product.names)]
        # Tied, made anew, and the same again: no mixture, and its readers stay valid.
        same = [
            product
            for product in stored
            if product not in free and _equal(product.names, decoded.values, live)
        ]
        names = {name for product in free for name in product.names}
        values = {name: value for name, value in decoded.values.items() if name in names}
        groups = tuple((product.names, product.version) for product in free)
        self.namespace.apply(msgspec.structs.replace(decoded, values=values, groups=groups))
        for product in same:
            self.namespace.learn(frozenset(product.names), product.version)
        return (*free, *same)

    def _scope(self, before: Before | None, *, as_recorded: bool) -> Scope:
        run, slot, live = self.run, self.place.slot, self.namespace.ns

        def data_version(name: str) -> bytes | None:
            if before is None:
                return None
            seen = before.singles.get(name)
            if seen is None or seen.dumped is None or before.bindings[name] is not live.get(name):
                return None
            version = before.versions.get(name)
            return None if version is None else self.namespace.traces.of(version)

        # What had failed fails again: it is part of what the cell did.
        again = "completed" if as_recorded else "in doubt"
        resuming = run.state.status(slot) in {"in doubt", again}
        scope = run.scope(slot, live, resuming=resuming, data_version=data_version)
        scope.on_first_call = run.on_first_call
        return scope

    def _started(self, activity_id: str, decision: Decision, reason: str) -> CellStarted:
        return parts.started(
            self.run,
            activity_id,
            place=self.place,
            request=self.request,
            source=self.source,
            decision=decision,
            reason=reason,
        )

    def _completed(
        self,
        activity_id: str,
        ran: Ran,
        capture: Capture,
        kept: tuple[Product, ...],
        files: FileWatch,
        *,
        duration: int,
    ) -> CellCompleted:
        history, space = self.run.history, self.namespace
        waits = may_wait(self.source, self.request.transformed, capture, space, files.outside)
        recorded = {product.names: product for product in kept}
        volatile = self.volatile
        if volatile is None and ran.reply.get("payload"):
            volatile = "it opened the pager or wrote into the next cell"
        return CellCompleted(
            run_id=self.run.run_id,
            at=self.run.clock.now(),
            activity_id=activity_id,
            key=capture.key,
            duration=duration,
            reads=capture.reads,
            products=tuple(
                recorded.get(group.names) or parts.product(history, group)
                for group in capture.products
            ),
            deleted=capture.deleted,
            ambient=tuple(parts.ambient_change(history, change) for change in capture.ambient),
            outputs=parts.outputs(history, self.host, ran.messages),
            result=capture.result_name,
            restorable=capture.restorable and volatile is None,
            reason=volatile or clear.reason(capture.reason),
            waits=waits and volatile is None,
            writes=space.project.data(files.outputs()),
        )

    def _since(self, begin: float) -> int:
        return int((self.run.clock.monotonic() - begin) * _SECOND)

    def _append(self, event: Event) -> None:
        self.run.history.append(event)
        self.run.state.apply(event)

    def _commit(self, event: Event) -> None:
        """Durable on return: the reply may say that the cell is done."""
        self.run.history.commit(event)
        self.run.state.apply(event)


def _unknown(_: str) -> None:
    """Of what is no variable of a cell that runs, no version is known."""


def _equal(names: Iterable[str], one: Mapping[str, object], other: Mapping[str, object]) -> bool:
    """Whether the names have the same content in both; False where that can't be told."""
    try:
        first, second = (
            canonical.digest(tuple(space[name] for name in names), other) for space in (one, other)
        )
    except (KeyError, NotStorableError):
        return False
    return first == second


def _later(cell: Postponed) -> str:
    return f"it runs when a cell needs what can't be stored ({cell.reason})"
