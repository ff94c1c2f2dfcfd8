"""`evercell verify --salvage`: what lies behind the damage of a journal, saved.

The fold stops at damage, because what comes after it may rest on what is lost. A person who was
told so can go on: the frames behind it are taken in, each proved by its tag, and the gap stays in
the positions. Only dead writers' journals are touched.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from evercell.errors import HistoryError
from evercell.history.applied import Applied, load_applied, save_applied
from evercell.history.disk import make_folder, sync_folder, write_error
from evercell.history.frames import valid_frames
from evercell.history.locks import is_held
from evercell.history.making import Rows, load_rows
from evercell.history.segments import HEADER_SIZE, read_header, segments
from evercell.history.transaction import Transaction
from evercell.history.verify import Finding, check_journals, missing_events

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from evercell.clock import Clock
    from evercell.history.keys import UserKey
    from evercell.history.payloads import PayloadStore

__all__ = ["salvage"]


class _Salvage(msgspec.Struct):
    """One damaged writer's state while its segments are taken in."""

    state: Applied
    saved: int = 0


def salvage(
    connection: duckdb.DuckDBPyConnection,
    journal: Path,
    payloads: PayloadStore,
    key: UserKey,
    clock: Clock,
) -> list[Finding]:
    """Take in what can be read behind the damage of dead writers' journals, and move those files
    to `damaged/` beside `journal`. What was done, as findings. Raises HistoryWriteError."""
    done = []
    hurt = {f.where for f in check_journals(journal, key) if f.kind == "error"}
    for writer, files in segments(journal).items():
        if not any(str(path) in hurt for _, path in files):
            continue
        lock = journal / f"{writer}.lock"
        if is_held(lock):
            advice = "Shut its kernel down, and salvage again"
            what = "its kernel still records in it"
            done.append(Finding("error", f"journal {writer}", what, advice))
            continue
        found = _salvage(
            connection, journal, writer, files, payloads=payloads, key=key, clock=clock
        )
        done.append(found)
        lock.unlink(missing_ok=True)
    return done


def _salvage(
    connection: duckdb.DuckDBPyConnection,
    journal: Path,
    writer: str,
    files: list[tuple[int, Path]],
    *,
    payloads: PayloadStore,
    key: UserKey,
    clock: Clock,
) -> Finding:
    rows = load_rows(connection, payloads, key)
    state = load_applied(connection).get(writer)
    if state is None:
        state = Applied(writer, 0, socket.gethostname(), False, 0, 0, 0, 0, key.id)
    work = _Salvage(state)
    aside = journal.parent / "damaged"
    make_folder(aside)
    for number, path in files:
        if number >= work.state.segment:
            _take_in(connection, path, work, rows)
    save_applied(connection, replace(work.state, alive=False))
    lost = missing_events(connection).get(writer, 0)
    if lost > 0:
        connection.execute(
            "INSERT INTO store.removed VALUES (?, NULL, ?, 'damaged', make_timestamptz(?))",
            [writer, lost, clock.now() // 1000],
        )
    connection.execute("CHECKPOINT")
    try:
        for _, path in files:
            path.replace(aside / path.name)
        sync_folder(aside)
        sync_folder(journal)
    except OSError as error:
        raise write_error(journal, error) from error
    what = f"{work.saved} events saved from behind the damage; its files are in {aside}"
    return Finding("note", f"journal {writer}", what)


def _take_in(connection: duckdb.DuckDBPyConnection, path: Path, work: _Salvage, rows: Rows) -> None:
    try:
        header = read_header(path)
        data = path.read_bytes()
    except (HistoryError, OSError):
        return
    seal = header.seal(rows.key)
    state = work.state
    if header.segment > state.segment:
        # How many events a lost frame held, only the next segment's header tells.
        state = replace(
            state, segment=header.segment, offset=0, position=max(state.position, header.position)
        )
    for frame in valid_frames(data, HEADER_SIZE, header.salt, seal):
        if frame.batch <= state.batch:
            continue
        gap = 0 if frame.batch == state.batch + 1 else 1
        events = frame.events
        after = replace(
            state,
            batch=frame.batch,
            position=state.position + gap + len(events),
            partial=state.partial or seal is None,
        )
        columns = rows.of(after, events, tagged=seal is not None)
        with Transaction(connection) as transaction:
            transaction.add(after, columns, rows.take_outputs())
        work.saved += len(events)
        state = after
    work.state = state
