"""The fold: what the journals hold beyond what is applied becomes rows of `history.duckdb`.

    lock ─ list segments ─ is anything new? ─ open DuckDB ─ for each writer, segment by segment:
        read ─ decode ─ append rows and the new position, in one transaction
    ─ note who died ─ checkpoint ─ delete what is applied, sealed and needed by nobody

Folding twice changes nothing: the applied position stands in the same transaction as the rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from evercell.errors import HistoryError, JournalDamagedError
from evercell.events import Event, Payload, RunAttached, StepCompleted, decode_event
from evercell.history import failpoints
from evercell.history.database import translated
from evercell.history.disk import sync_folder, write_error
from evercell.history.locks import is_held
from evercell.history.rows import BASE, Shape, shape_of
from evercell.history.segments import (
    SegmentHeader,
    check_successor,
    read_header,
    read_segment,
    segments,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import duckdb

__all__ = ["Fingerprint", "fingerprint", "fold"]

_GENERATION_SHIFT = 40  # positions stay below 2**40

Fingerprint = frozenset[tuple[str, int, int, bool]]
Readable = Callable[[Payload], "str | None"]


@dataclass(frozen=True, slots=True)
class _Applied:
    """Up to where a writer's journal is in the database."""

    writer: str
    pid: int
    host: str
    alive: bool
    segment: int
    offset: int
    batch: int
    position: int


def fingerprint(journal: Path) -> Fingerprint:
    """What changes when there is something to fold: files, their times, and who lives."""
    found = []
    for writer, files in segments(journal).items():
        alive = is_held(_lock_path(journal, writer))
        for _, path in files:
            try:
                status = path.stat()
            except FileNotFoundError:
                continue  # another process folded and deleted it
            found.append((path.name, status.st_mtime_ns, status.st_size, alive))
    return frozenset(found)


def fold(
    connection: duckdb.DuckDBPyConnection, journal: Path, database: Path, readable: Readable
) -> None:
    """Bring the database up to the journals in `journal`; `readable` gives a large result's JSON.

    Raises JournalDamagedError after everything readable was folded.
    """
    with translated(database):
        applied = _load(connection)
        rows = _Rows(_generations(connection), readable)
    finished, damage = _fold_writers(connection, journal, database, applied, rows)
    for lock in journal.glob("*.lock"):  # of a writer that died early, or whose deletion did
        if not segments(journal, lock.stem) and not is_held(lock):
            finished += _leftovers(journal, lock.stem)
    with translated(database):
        for state in applied.values():  # their files are gone, or damaged ones moved away
            if state.alive and not is_held(_lock_path(journal, state.writer)):
                _save(connection, replace(state, alive=False))
        if finished:
            connection.execute("CHECKPOINT")
    _delete(journal, finished)
    if damage is not None:
        raise damage


def _fold_writers(
    connection: duckdb.DuckDBPyConnection,
    journal: Path,
    database: Path,
    applied: dict[str, _Applied],
    rows: _Rows,
) -> tuple[list[Path], JournalDamagedError | None]:
    """Apply every writer's segments, taking it out of `applied`.

    Returns the files that nobody needs any more, and the first damage.
    """
    finished: list[Path] = []
    damage: JournalDamagedError | None = None
    for writer, files in segments(journal).items():
        # Asked before reading: a writer that dies later is looked at again by the next fold.
        alive = is_held(_lock_path(journal, writer))
        try:
            state = _fold_writer(connection, database, files, applied.pop(writer, None), rows)
        except JournalDamagedError as error:
            damage = damage or error
            continue
        if state.alive != alive:
            with translated(database):
                _save(connection, replace(state, alive=alive))
        last = files[-1][0]
        finished += [path for number, path in files if number < last or not alive]
        if not alive:
            finished += _leftovers(journal, writer)
    return finished, damage


def _leftovers(journal: Path, writer: str) -> list[Path]:
    """What a dead writer has beside its segments; the lock last, by which they are found."""
    return [*journal.glob(f".{writer}-*"), _lock_path(journal, writer)]


def _lock_path(journal: Path, writer: str) -> Path:
    return journal / f"{writer}.lock"


def _fold_writer(
    connection: duckdb.DuckDBPyConnection,
    database: Path,
    files: list[tuple[int, Path]],
    state: _Applied | None,
    rows: _Rows,
) -> _Applied:
    """Apply a writer's segments in order; returns the state they lead to."""
    headers = [(path, read_header(path)) for _, path in files]
    for place, (path, header) in enumerate(headers):
        if state is not None and header.segment < state.segment:
            continue  # applied, and about to be deleted
        state = _enter(path, header, state)
        reading = read_segment(path, header, state.offset, state.batch)
        successor = headers[place + 1][1] if place + 1 < len(headers) else None
        events = reading.events
        after = replace(
            state,
            offset=reading.offset,
            batch=reading.batch,
            position=state.position + len(events),
        )
        if after != state:
            with translated(database):
                _apply(connection, after, rows.of(after, events))
        state = after
        if reading.damage is not None:
            raise reading.damage
        if successor is not None:
            check_successor(path, reading, successor)
    assert state is not None  # noqa: S101 - a writer is listed by its files
    return state


def _enter(path: Path, header: SegmentHeader, state: _Applied | None) -> _Applied:
    """The state at which reading `path` starts. Raises JournalDamagedError if one before it is
    missing."""
    if state is None:
        state = _Applied(header.writer, header.pid, header.host, True, 0, 0, 0, 0)
    if header.segment == state.segment:
        return state
    if header.batch != state.batch or header.position != state.position:
        raise JournalDamagedError(
            f"The journal {path} begins behind batch {header.batch}, but the history has "
            f"{header.writer} only up to batch {state.batch}: a file between them, or "
            "history.duckdb itself, is missing or older. Restore it from a backup, or move "
            f"{path.name} out of {path.parent} to go on without it."
        )
    return replace(state, segment=header.segment, offset=0)


@dataclass(frozen=True, slots=True)
class _Rows:
    """Makes rows of events; knows which generation a writer is in, by (writer, run)."""

    generations: dict[tuple[str, str], int]
    readable: Readable

    def of(self, after: _Applied, events: list[bytes]) -> dict[Shape, list[tuple[object, ...]]]:
        """The rows of `events`, the last of which leads to `after`, by their shape."""
        shapes: dict[Shape, list[tuple[object, ...]]] = {}
        writer = after.writer
        for position, body in enumerate(events, start=after.position - len(events) + 1):
            event = _decode(body, writer, position)
            run_id = event.run_id
            if isinstance(event, RunAttached):
                self.generations[writer, run_id] = event.generation
            elif isinstance(event, StepCompleted) and event.result.data is None:
                view = event.view or self.readable(event.result)
                event = msgspec.structs.replace(event, view=view)
            generation = self.generations.get((writer, run_id), 0)
            seq = generation << _GENERATION_SHIFT | position
            base = (writer, position, generation, seq, run_id, event.at, type(event).__name__)
            shape = shape_of(event)
            shapes.setdefault(shape, []).append((*base, *shape.values(event, body)))
        return shapes


def _apply(
    connection: duckdb.DuckDBPyConnection,
    after: _Applied,
    shapes: dict[Shape, list[tuple[object, ...]]],
) -> None:
    """Rows and the position that they lead to, in one transaction."""
    connection.begin()
    try:
        for shape, rows in shapes.items():
            columns = [*BASE, *shape.columns]
            with connection.appender("store.event", columns=columns) as appender:
                appender.append_rows(rows)
        failpoints.reach("fold")
        _save(connection, after)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    failpoints.reach("folded")


def _decode(body: bytes, writer: str, position: int) -> Event:
    try:
        return decode_event(body)
    except msgspec.DecodeError as error:
        raise HistoryError(
            f"Event {position} of journal {writer} can't be decoded ({error}): another release of "
            "Evercell wrote it. Install the newest one: pip install -U evercell."
        ) from error


def _load(connection: duckdb.DuckDBPyConnection) -> dict[str, _Applied]:
    rows = connection.execute(
        'SELECT writer, pid, host, alive, segment, "offset", batch, position FROM store.writer'
    ).fetchall()
    return {row[0]: _Applied(*row) for row in rows}


def _generations(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, str], int]:
    rows = connection.execute(
        """SELECT writer, run_id, arg_max(generation, position) FROM store.event
        WHERE type = 'RunAttached' GROUP BY ALL"""
    ).fetchall()
    return {(writer, run_id): generation for writer, run_id, generation in rows}


def _save(connection: duckdb.DuckDBPyConnection, state: _Applied) -> None:
    connection.execute(
        "INSERT OR REPLACE INTO store.writer VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [
            state.writer,
            state.pid,
            state.host,
            state.alive,
            state.segment,
            state.offset,
            state.batch,
            state.position,
        ],
    )


def _delete(journal: Path, finished: Iterable[Path]) -> None:
    """Delete applied segments, and what dead writers left beside theirs."""
    failpoints.reach("checkpointed")
    gone = False
    try:
        for path in finished:
            path.unlink(missing_ok=True)
            gone = True
            failpoints.reach("delete")
        if gone:
            sync_folder(journal)
    except OSError as error:
        raise write_error(journal, error) from error
