"""Rows that are made before DuckDB is opened, so that its file is held for less time.

    fold() ─> Known ─ record, record ... ─> make_ahead() ─> Ahead ─> the next fold()

They are used only where the database, once it is open, is at the very state that they start from.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from evercell.errors import HistoryError
from evercell.history.making import Rows
from evercell.history.segments import read_header, read_segment, segment_path

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from evercell.history.applied import Applied
    from evercell.history.columns import Batch
    from evercell.history.keys import UserKey
    from evercell.history.outputs import OutputRow
    from evercell.history.payloads import PayloadStore

__all__ = ["Ahead", "Known", "make_ahead"]


class Known(msgspec.Struct, frozen=True):
    """How a fold left the database: up to where each writer is in it, and what Rows knew."""

    applied: dict[str, Applied]
    generations: dict[tuple[str, str], int]
    hosts: dict[str, str]


class Ahead(msgspec.Struct, frozen=True):
    """What a writer recorded behind the state `before`, up to `after`, and what Rows knew then."""

    before: Applied
    after: Applied
    rows: Sequence[Batch]
    outputs: Sequence[OutputRow]
    generations: dict[tuple[str, str], int]
    hosts: dict[str, str]


def make_ahead(
    journal: Path, writer: str, known: Known, payloads: PayloadStore, key: UserKey
) -> Ahead | None:
    """What the writer's segment in `journal` holds that the fold behind `known` had not read; None
    if nothing. What can't be read, and later segments, are left to the fold."""
    before = known.applied.get(writer)
    if before is None or before.partial:
        return None
    with suppress(HistoryError):
        path = segment_path(journal, writer, before.segment)
        header = read_header(path)
        seal = header.seal(key)
        reading = read_segment(path, header, before.offset, before.batch, seal)
        if not reading.events or seal is None or header.writer != writer:
            return None
        after = replace(
            before,
            offset=reading.offset,
            batch=reading.batch,
            position=before.position + len(reading.events),
        )
        rows = Rows(dict(known.generations), dict(known.hosts), payloads, key)
        columns = rows.of(after, reading.events, tagged=True)
        return Ahead(before, after, columns, rows.take_outputs(), rows.generations, rows.hosts)
    return None
