"""The fold: what the journals hold beyond what is applied becomes rows of `history.duckdb`.

    lock ─ list segments ─ is anything new? ─ open DuckDB ─ for each writer, segment by segment:
        read ─ decode ─ append rows and the new position, in one transaction
    ─ note who died ─ checkpoint ─ delete what is applied, sealed and needed by nobody

Folding twice changes nothing: the applied position stands in the same transaction as the rows.

A journal under this user's key is checked, and its rows are tagged. One under another key, say of
a folder that was copied here, is taken in without tags, for SQL alone, and its files stay: when
their owner folds, the rows are replaced by tagged ones.
"""

from __future__ import annotations

import socket
import time
from typing import TYPE_CHECKING

from msgspec.structs import replace

from evercell.errors import JournalDamagedError
from evercell.history import failpoints
from evercell.history.ahead import Known
from evercell.history.applied import Applied, load_applied, save_applied
from evercell.history.database import translated
from evercell.history.disk import sync_folder, write_error
from evercell.history.interrupts import raise_held
from evercell.history.locks import is_held
from evercell.history.making import Rows, load_rows
from evercell.history.outputs import remove_orphans
from evercell.history.segments import (
    SegmentHeader,
    check_successor,
    read_header,
    read_segment,
    segment_path,
    segments,
)
from evercell.history.transaction import Transaction

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import duckdb

    from evercell.history.ahead import Ahead
    from evercell.history.keys import UserKey
    from evercell.history.payloads import PayloadStore

__all__ = ["Fingerprint", "fingerprint", "fold"]

_ABANDONED = 7 * 86_400  # seconds without a write: another machine's process is gone

Fingerprint = frozenset[tuple[str, int, int, bool]]


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
    connection: duckdb.DuckDBPyConnection,
    journal: Path,
    database: Path,
    payloads: PayloadStore,
    key: UserKey,
    *,
    tidy: bool = True,
    ahead: Ahead | None = None,
    before: Known | None = None,
) -> Known:
    """Bring the database up to the journals in `journal`; `payloads` gives the JSON of large
    results, and cells' outputs. If `tidy`, have DuckDB take in its log and delete the journals that
    nobody needs any more, which may be left to a later fold. `ahead`: rows that were made already;
    `before`: what the last fold returned. Returns how the database is then.

    Raises JournalDamagedError after everything readable was folded.
    """
    with translated(database):
        applied = load_applied(connection)
        if before is not None and applied == before.applied:  # nobody else has folded
            rows = Rows(dict(before.generations), dict(before.hosts), payloads, key)
        else:
            rows = load_rows(connection, payloads, key)
        connection.execute("SET threads = 1")  # handing so little to others takes longer
        # Each row group is compressed when it is full, while the rows behind it are made, not five
        # of them and more at the commit, for which everything waits.
        connection.execute("SET write_buffer_row_group_count = 1")
    folded = Known({}, rows.generations, rows.hosts)
    finished, damage = _fold_writers(
        connection, journal, database, rows, applied=applied, folded=folded, ahead=ahead
    )
    for lock in journal.glob("*.lock"):  # of a writer that died early, or whose deletion did
        if not segments(journal, lock.stem) and not is_held(lock):
            finished += _leftovers(journal, lock.stem)
    with translated(database):
        connection.execute("RESET threads")
        for state in applied.values():  # their files are gone, or damaged ones moved away
            if state.alive and not is_held(_lock_path(journal, state.writer)):
                folded.applied[state.writer] = replace(state, alive=False)
                save_applied(connection, folded.applied[state.writer])
            else:
                folded.applied[state.writer] = state
        if finished and tidy:
            connection.execute("CHECKPOINT")
    if tidy:
        _delete(journal, finished)
    if damage is not None:
        raise damage
    return folded


def _fold_writers(
    connection: duckdb.DuckDBPyConnection,
    journal: Path,
    database: Path,
    rows: Rows,
    *,
    applied: dict[str, Applied],
    folded: Known,
    ahead: Ahead | None,
) -> tuple[list[Path], JournalDamagedError | None]:
    """Apply every writer's segments, taking it out of `applied`, and noting it in `folded`.

    Returns the files that nobody needs any more, and the first damage.
    """
    finished: list[Path] = []
    damage: JournalDamagedError | None = None
    for writer, files in segments(journal).items():
        # Asked before reading: a writer that dies later is looked at again by the next fold.
        alive = is_held(_lock_path(journal, writer))
        try:
            before = applied.pop(writer, None)
            state = _fold_writer(connection, database, files, before, rows, ahead=ahead)
        except JournalDamagedError as error:
            damage = damage or error
            continue
        folded.applied[writer] = replace(state, alive=alive)
        if state.alive != alive:
            with translated(database):
                save_applied(connection, folded.applied[writer])
        if state.partial or state.key != rows.key.id:
            continue  # their owner, who can check them, has not taken them in
        gone = not alive and _is_gone(files[-1][1], state.host)
        finished += [path for number, path in files if number < files[-1][0] or gone]
        if gone:
            finished += _leftovers(journal, writer)
    return finished, damage


def _is_gone(last: Path, host: str) -> bool:
    """Whether a writer without its lock is surely dead. A lock may not be seen from another
    machine, so there its last file is kept until it has been idle for a week."""
    try:
        return host == socket.gethostname() or time.time() - last.stat().st_mtime > _ABANDONED
    except FileNotFoundError:
        return True


def _leftovers(journal: Path, writer: str) -> list[Path]:
    """What a dead writer has beside its segments; the lock last, by which they are found."""
    return [*journal.glob(f".{writer}-*"), _lock_path(journal, writer)]


def _lock_path(journal: Path, writer: str) -> Path:
    return journal / f"{writer}.lock"


def _fold_writer(
    connection: duckdb.DuckDBPyConnection,
    database: Path,
    files: list[tuple[int, Path]],
    state: Applied | None,
    rows: Rows,
    *,
    ahead: Ahead | None,
) -> Applied:
    """Apply a writer's segments in order; returns the state they lead to."""
    headers = [(path, _own_header(path)) for _, path in files]
    ours = headers[0][1].key == rows.key.id
    if state is not None and state.partial and (ours or state.position == 0):
        state = _start_over(connection, database, state, headers[0][1], rows)
    with translated(database), Transaction(connection) as transaction:
        for place, (path, header) in enumerate(headers):
            raise_held()
            if state is not None and header.segment < state.segment:
                continue  # applied, and about to be deleted
            state = _enter(path, header, state)
            if ahead is not None and ahead.before == state:
                transaction.add(ahead.after, ahead.rows, ahead.outputs)
                rows.generations.update(ahead.generations)
                rows.hosts.update(ahead.hosts)
                state = ahead.after  # and what was written since
            seal = header.seal(rows.key)
            reading = read_segment(path, header, state.offset, state.batch, seal)
            successor = headers[place + 1][1] if place + 1 < len(headers) else None
            events = reading.events
            after = replace(
                state,
                offset=reading.offset,
                batch=reading.batch,
                position=state.position + len(events),
                partial=state.partial or (seal is None and bool(events)),
            )
            if after != state:
                columns = rows.of(after, events, tagged=seal is not None)
                transaction.add(after, columns, rows.take_outputs())
            state = after
            if reading.damage is not None:
                raise reading.damage
            if successor is not None:
                check_successor(path, reading, successor)
    assert state is not None  # noqa: S101 - a writer is listed by its files
    if state.partial and ours and rows.known.pop(state.writer, None) is not None:
        state = replace(state, partial=False)
        with translated(database):
            save_applied(connection, state)
    return state


def _own_header(path: Path) -> SegmentHeader:
    header = read_header(path)
    if segment_path(path.parent, header.writer, header.segment) != path:
        raise JournalDamagedError(
            f"The journal {path} says that it is segment {header.segment} of {header.writer}: it "
            f"was renamed. Give it back its name, or move it out of {path.parent}."
        )
    return header


def _start_over(
    connection: duckdb.DuckDBPyConnection,
    database: Path,
    state: Applied,
    first: SegmentHeader,
    rows: Rows,
) -> Applied:
    """The state before a journal of ours of which another user took in rows without tags, or a
    run was imported; those that are tagged are known, and skipped."""
    with translated(database):
        if first.key == rows.key.id:
            connection.execute(
                "DELETE FROM store.event WHERE writer = ? AND tag IS NULL", [state.writer]
            )
            remove_orphans(connection)
        known = connection.execute(
            "SELECT position FROM store.event WHERE writer = ?", [state.writer]
        ).fetchall()
    rows.known[state.writer] = {position for (position,) in known}
    return replace(
        state,
        segment=first.segment,
        offset=0,
        batch=first.batch,
        position=first.position,
        key=first.key,
    )


def _enter(path: Path, header: SegmentHeader, state: Applied | None) -> Applied:
    """The state at which reading `path` starts. Raises JournalDamagedError if one before it is
    missing."""
    if state is None:
        state = Applied(header.writer, header.pid, header.host, True, 0, 0, 0, 0, header.key)
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
