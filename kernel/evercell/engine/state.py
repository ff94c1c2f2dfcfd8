"""What a run's cell events amount to: a fold, the same for a resumed run and a live one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import field

from evercell.engine.decide import CellRecord
from evercell.engine.places import Places
from evercell.events import (
    CellAccepted,
    CellCompleted,
    CellFailed,
    CellForgotten,
    CellRestored,
    CellStarted,
    CellVerified,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.engine.decide import SlotStatus
    from evercell.events import Event

__all__ = ["RunState"]


class RunState(msgspec.Struct):
    """The finished cells that can be given back, and how each cell's last execution ended."""

    places: Places = field(default_factory=Places)
    _records: dict[bytes, list[CellRecord]] = field(default_factory=dict)
    _started: dict[str, CellStarted] = field(default_factory=dict)
    _status: dict[str, SlotStatus] = field(default_factory=dict)
    _cells: dict[str, CellStarted | CellRestored | CellAccepted] = field(default_factory=dict)
    _latest: dict[str, CellRecord] = field(default_factory=dict)
    _finished: dict[str, CellRecord] = field(default_factory=dict)
    _forgotten: set[str] = field(default_factory=set)
    _final: dict[bytes, bytes] = field(default_factory=dict)  # versions, by those before a trial

    @classmethod
    def fold(cls, events: Iterable[Event]) -> RunState:
        """The state after `events`, in their order."""
        state = cls()
        for event in events:
            state.apply(event)
        return state

    def apply(self, event: Event) -> None:
        """Take one more event in."""
        match event:
            case CellStarted():
                self._started[event.activity_id] = event
                self._status[event.slot] = "in doubt"
                self._learn(event)
            case CellCompleted():
                started = self._started.pop(event.activity_id)
                self._status[started.slot] = "completed"
                record = CellRecord(started, event).settle(self._final)
                self._latest[started.slot] = self._finished[event.activity_id] = record
                if started.decision != "volatile":
                    self._records.setdefault(started.source_digest, []).insert(0, record)
            case CellFailed():
                started = self._started.pop(event.activity_id)
                self._status[started.slot] = "failed"
            case CellRestored():
                self._status[event.slot] = "completed"
                if event.origin in self._finished:
                    self._latest[event.slot] = self._finished[event.origin]
                self._learn(event)
            case CellAccepted():
                self._accept(event)
            case CellForgotten():
                self._forget(event)
            case CellVerified():
                self._verify(event)
            case _:
                pass  # steps and the run itself don't decide about cells

    def _accept(self, event: CellAccepted) -> None:
        origin = self._finished.get(event.origin)
        if origin is not None:
            record = origin.accept(event).settle(self._final)
            self._records.setdefault(event.source_digest, []).insert(0, record)
            self._latest[event.slot] = record
            self._status[event.slot] = "completed"
            self._learn(event)

    def _verify(self, event: CellVerified) -> None:
        origin = self._finished.get(event.activity_id)
        if origin is None:
            return
        before = {product.names: product.version for product in origin.completed.products}
        final = {before[v.names]: v.version for v in event.products if v.names in before}
        self._final.update(final)

        def settle(record: CellRecord) -> CellRecord:
            own = record.completed.activity_id == event.activity_id
            return record.settle(final, event if own else None)

        for records in self._records.values():
            records[:] = map(settle, records)
        for table in (self._latest, self._finished):
            table.update({key: settle(record) for key, record in table.items()})

    def _forget(self, event: CellForgotten) -> None:
        self._forgotten.update(event.origins)
        self._status[event.slot] = "overridden" if event.overridden else "forgotten"
        for records in self._records.values():
            records[:] = [r for r in records if r.completed.activity_id not in event.origins]

    def records(self, source_digest: bytes) -> list[CellRecord]:
        """Finished executions of this source, latest first."""
        return self._records.get(source_digest, [])

    def latest(self, slot: str) -> CellRecord | None:
        """The finished execution whose result the slot had last, with whatever source."""
        return self._latest.get(slot)

    def is_forgotten(self, record: CellRecord) -> bool:
        """Whether its user took it out of use."""
        return record.completed.activity_id in self._forgotten

    def finished(self) -> tuple[CellRecord, ...]:
        """Every finished execution, in order."""
        return tuple(self._finished.values())

    def left_below(
        self, slot: str, index: int | None, places: Places
    ) -> dict[str, frozenset[bytes]]:
        """Versions of files, by pseudo-name, that cells further down than `slot`, which is at
        `index`, left when they ran in an earlier kernel, and that have not taken effect in this
        one: a run from the top would not have come to them yet."""
        then = self._cells.get(slot)
        if then is not None and then.cell_index is not None:
            index = then.cell_index  # as the others', from before cells were inserted or deleted
        found: dict[str, frozenset[bytes]] = {}
        for other, record in self._latest.items():
            at = self._cells[other].cell_index
            if index is None or at is None or at <= index or places.took_effect(other):
                continue
            for name, version in record.completed.writes.items():
                found[name] = found.get(name, frozenset()) | {version}
        return found

    def status(self, slot: str) -> SlotStatus | None:
        """How the slot's last execution ended; None if it was never run."""
        return self._status.get(slot)

    def cells(self) -> tuple[CellStarted | CellRestored | CellAccepted, ...]:
        """What each slot's last execution, restore or acceptance was, in the order of the first."""
        return tuple(self._cells.values())

    def _learn(self, event: CellStarted | CellRestored | CellAccepted) -> None:
        self._cells[event.slot] = event
        self.places.learn(
            event.slot,
            event.cell_id,
            event.source_digest,
            event.ordinal,
            None if event.cell_id else event.cell_index,
        )
