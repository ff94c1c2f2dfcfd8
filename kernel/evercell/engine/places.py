"""Which cell is this? A request's place in the run, over edits, restarts and frontends.

A frontend that sends nbformat cell ids names the cell. Others (nbclient, papermill, a console) send
source only; then the same source at the same ordinal is the same cell, and else the position in the
order of execution decides, so that an edited cell still finds the steps it paid for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import field

if TYPE_CHECKING:
    from evercell.engine.host import CellRequest

__all__ = ["Place", "Places"]


class Place(msgspec.Struct, frozen=True):
    """Where a cell stands."""

    slot: str  # name that its steps are recorded under
    ordinal: int  # among cells with the same source in this kernel's order, from 0
    position: int  # in this kernel's order of execution, from 0
    seen: bool  # it took effect in this kernel before


class Places(msgspec.Struct):
    """What is known of cells: from the recorded run, and from this kernel process."""

    # Recorded: the newest slot for each way to recognise a cell.
    by_id: dict[str, str] = field(default_factory=dict)
    by_source: dict[tuple[bytes, int], str] = field(default_factory=dict)
    by_position: dict[int, str] = field(default_factory=dict)
    # This process: slots in their order, and what each was at its last execution.
    _order: dict[str, int] = field(default_factory=dict)
    _ordinals: dict[bytes, list[str]] = field(default_factory=dict)
    _unfinished: set[str] = field(default_factory=set)
    _effective: set[str] = field(default_factory=set)

    def learn(
        self, slot: str, cell_id: str | None, digest: bytes, ordinal: int, position: int | None
    ) -> None:
        """A recorded execution of a cell."""
        if cell_id is not None:
            self.by_id[cell_id] = slot
        self.by_source[digest, ordinal] = slot
        if position is not None:
            self.by_position[position] = slot

    def resolve(self, request: CellRequest, digest: bytes) -> Place:
        """The request's place. It counts as unfinished until `finished` is called."""
        slot = self._slot(request, digest)
        position = self._order.setdefault(slot, len(self._order))
        same = self._ordinals.setdefault(digest, [])
        if slot not in same:
            same.append(slot)
        self._unfinished.add(slot)
        return Place(slot, same.index(slot), position, slot in self._effective)

    def finished(self, slot: str) -> None:
        """The cell took effect, by running to its end or by being restored."""
        self._unfinished.discard(slot)
        self._effective.add(slot)

    def took_effect(self, slot: str) -> bool:
        """Whether the cell ran to its end or was restored in this kernel."""
        return slot in self._effective

    def _slot(self, request: CellRequest, digest: bytes) -> str:
        if request.cell_id is not None:
            if request.cell_id in self.by_id:
                return self.by_id[request.cell_id]
            slot = self._by_source(digest) or f"id:{request.cell_id}"
            self.by_id[request.cell_id] = slot
            return slot
        same = self._ordinals.get(digest)
        if same and same[-1] in self._unfinished:
            return same[-1]  # failed or interrupted, and now run once more
        known = self._by_source(digest)
        if known is not None:
            return known
        position = len(self._order)
        by_position = self.by_position.get(position)
        if by_position is not None and by_position not in self._order:
            return by_position
        return f"pos:{position}:{digest.hex()[:8]}"

    def _by_source(self, digest: bytes) -> str | None:
        same = self._ordinals.get(digest, [])
        slot = self.by_source.get((digest, len(same)))
        return None if slot in same else slot
