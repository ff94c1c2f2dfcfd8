"""`evercell gc`: which runs go, and the bytes that nothing refers to any more.

    runs, their sizes ─ plan (pure) ─ delete rows ─ rewrite the database file ─ delete payload files

A run that a kernel is attached to is never touched, nor is a payload that a kept run refers to.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.history.locks import FileLock, is_held
from evercell.history.reread import stored_events
from evercell.history.rows import KEPT_WHOLE
from evercell.history.segments import segments
from evercell.history.trust import payloads_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import duckdb

    from evercell.clock import Clock
    from evercell.history.payloads import PayloadStore

__all__ = ["Collected", "Retention", "RunUse", "collect", "folder_size", "plan", "run_uses"]

_GRACE = 3600.0  # seconds: a payload's file is written before the event that names it is folded
_SECOND = 1_000_000_000


class Retention(msgspec.Struct, frozen=True):
    """What may go. Without any of the first three, only what nothing refers to."""

    max_size: int | None = None  # bytes of the whole folder; the oldest runs go first
    older_than: float | None = None  # seconds since a run's last event
    runs: tuple[str, ...] = ()  # ids of runs to remove in any case
    keep: int = 1  # latest runs of each notebook and parameters that size and age don't remove


class RunUse(msgspec.Struct, frozen=True):
    """A run and what it takes."""

    run_id: str
    notebook: str | None
    parameters: str  # JSON
    last_activity: int  # nanoseconds since the epoch
    is_open: bool  # a kernel is attached to it
    size: int  # bytes of its rows
    files: dict[bytes, int]  # its payload files' sizes, by id


class Collected(msgspec.Struct, frozen=True):
    """What was removed, or would be."""

    runs: tuple[tuple[str, str], ...]  # run id, why
    kept: tuple[tuple[str, str], ...]  # runs that were asked for and stay, and why
    files: int
    file_bytes: int
    size_before: int
    size_after: int


def plan(
    runs: list[RunUse], retention: Retention, *, now: int, size: int
) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """The runs to remove and why, and those that were asked for but stay.

    `size` is the folder's, in bytes, without what nothing refers to.
    """
    oldest_first = sorted(runs, key=lambda run: run.last_activity)
    gone: dict[str, str] = {}
    kept: dict[str, str] = {}
    for run in runs:
        if run.run_id in retention.runs:
            if run.is_open:
                kept[run.run_id] = "a kernel is attached to it"
            else:
                gone[run.run_id] = "asked for"
    protected = _latest(oldest_first, retention.keep)
    candidates = [it for it in oldest_first if not it.is_open and it.run_id not in protected]
    if retention.older_than is not None:
        limit = now - int(retention.older_than * _SECOND)
        for run in candidates:
            if run.last_activity < limit:
                gone.setdefault(run.run_id, "old")
    if retention.max_size is not None:
        _shrink(runs, candidates, gone, size, retention.max_size)
    return list(gone.items()), list(kept.items())


def _shrink(
    runs: list[RunUse], candidates: list[RunUse], gone: dict[str, str], size: int, limit: int
) -> None:
    """Put candidates into `gone`, in their order, until the rest fits."""
    size -= sum(_freed(run, runs, gone) for run in runs if run.run_id in gone)
    for run in candidates:
        if size <= limit:
            break
        if run.run_id not in gone:
            gone[run.run_id] = "size budget"
            size -= _freed(run, runs, gone)


def _latest(oldest_first: list[RunUse], keep: int) -> set[str]:
    count: dict[tuple[str | None, str], int] = {}
    found = set()
    for run in reversed(oldest_first):
        which = run.notebook, run.parameters
        count[which] = count.get(which, 0) + 1
        if count[which] <= keep:
            found.add(run.run_id)
    return found


def _freed(run: RunUse, runs: Iterable[RunUse], gone: dict[str, str]) -> int:
    """Bytes that go with the run, when those in `gone` have gone."""
    left = set().union(*(it.files for it in runs if it.run_id not in gone))
    return run.size + sum(size for name, size in run.files.items() if name not in left)


def run_uses(connection: duckdb.DuckDBPyConnection, folder: Path, database: Path) -> list[RunUse]:
    """Each run's size: its share of the database file, and its payload files."""
    rows = connection.execute(
        """SELECT r.run_id, r.notebook, CAST(r.parameters AS VARCHAR),
            epoch_us(r.last_activity) * 1000, r.status, u.bytes
        FROM runs r JOIN (
            SELECT run_id, sum(60 + coalesce(octet_length(payload_data), 0)
                + coalesce(octet_length(body), 0) + coalesce(strlen(arguments), 0)
                + coalesce(strlen(view), 0) + coalesce(strlen(error_traceback), 0)) AS bytes
            FROM store.event GROUP BY run_id
        ) u USING (run_id)"""
    ).fetchall()
    total = sum(int(row[-1]) for row in rows) or 1
    share = database.stat().st_size / total
    files = _files(connection)
    return [
        RunUse(
            run_id,
            notebook,
            json.dumps(json.loads(parameters), sort_keys=True),
            last,
            status == "running" or is_held(folder / "runs" / f"{run_id}.lock"),
            round(int(size) * share),
            files.get(run_id, {}),
        )
        for run_id, notebook, parameters, last, status, size in rows
    ]


def _files(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[bytes, int]]:
    """The payload files that each run refers to, with their sizes."""
    found: dict[str, dict[bytes, int]] = {}
    rows: list[Any] = connection.execute(
        """SELECT DISTINCT run_id, payload_id, payload_size FROM store.event
        WHERE payload_id IS NOT NULL AND payload_data IS NULL"""
    ).fetchall()
    for run_id, identity, size in rows:
        found.setdefault(run_id, {})[identity] = size
    for stored in stored_events(connection, types=KEPT_WHOLE):
        for payload in payloads_of(stored.event) if stored.event is not None else ():
            if payload.data is None:
                assert stored.event is not None  # noqa: S101 - the loop is empty otherwise
                found.setdefault(stored.event.run_id, {})[payload.id] = payload.size
    return found


def collect(
    connection: duckdb.DuckDBPyConnection,
    folder: Path,
    payloads: PayloadStore,
    retention: Retention,
    clock: Clock,
    *,
    dry_run: bool,
    grace: float = _GRACE,
) -> Collected:
    """Remove runs as `retention` says, and payload files that nothing refers to.

    Raises HistoryLockedError while another collection runs, HistoryWriteError.
    """
    database = folder / "history.duckdb"
    before = folder_size(folder)
    uses = run_uses(connection, folder, database)
    with payloads.collecting():
        unused = _unused(payloads, uses, set(), grace)
        size = before - sum(status for _, status in unused)
        gone, kept = plan(uses, retention, now=clock.now(), size=size)
        ids = {run_id for run_id, _ in gone}
        if not dry_run and ids:
            remove_runs(connection, ids, clock)
            for path in (path for run_id in ids for path in folder.glob(f"inbox/{run_id}.*")):
                path.unlink(missing_ok=True)  # letters that nobody will ever take
        unused = _unused(payloads, uses, ids, grace)
        freed = sum(bytes_ for _, bytes_ in unused)
        if not dry_run:
            for path, _ in unused:
                path.unlink(missing_ok=True)
            _remove_drafts(folder, grace)
    if dry_run:
        after = before - freed - sum(use.size for use in uses if use.run_id in ids)
    else:
        connection.execute("CHECKPOINT")
        after = folder_size(folder)
    return Collected(tuple(gone), tuple(kept), len(unused), freed, before, after)


def remove_runs(connection: duckdb.DuckDBPyConnection, ids: set[str], clock: Clock) -> None:
    """Delete the runs' rows, and note how many, in one transaction."""
    connection.begin()
    try:
        connection.execute(
            """INSERT INTO store.removed
            SELECT writer, run_id, count(DISTINCT position), 'collected', make_timestamptz($now)
            FROM store.event WHERE list_contains($ids, run_id) GROUP BY writer, run_id""",
            {"ids": sorted(ids), "now": clock.now() // 1000},
        )
        connection.execute(
            "DELETE FROM store.event WHERE list_contains($ids, run_id)", {"ids": sorted(ids)}
        )
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


def _unused(
    payloads: PayloadStore, uses: list[RunUse], gone: set[str], grace: float
) -> list[tuple[Path, int]]:
    """Payload files that no run but those in `gone` refers to, with their sizes; young ones may
    belong to an event that is not folded yet."""
    wanted = set().union(*(use.files for use in uses if use.run_id not in gone))
    limit = time.time() - grace
    found = []
    for identity, path in payloads.files().items():
        if identity not in wanted:
            status = path.stat()
            if status.st_mtime <= limit:
                found.append((path, status.st_size))
    return found


def _remove_drafts(folder: Path, grace: float) -> None:
    """Half-written files of processes that died; a living one finishes its own within moments."""
    alive = {
        writer
        for writer in segments(folder / "journal")
        if is_held(folder / "journal" / f"{writer}.lock")
    }
    limit = time.time() - grace
    drafts = ("blobs/*/.*", "inbox/.*", ".history.json.*")
    for path in (path for pattern in drafts for path in folder.glob(pattern)):
        writer = path.name.rpartition(".")[2]
        if writer not in alive and path.stat().st_mtime <= limit:
            path.unlink(missing_ok=True)
    for path in folder.glob("runs/*.lock"):
        lock = FileLock(path)
        if path.stat().st_mtime <= limit and lock.take(since=0):
            path.unlink(missing_ok=True)
            lock.release()


def folder_size(folder: Path) -> int:
    """Bytes of all files in the folder."""
    total = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(parent, name)).st_size  # noqa: PTH116, PTH118 - many
            except FileNotFoundError:
                continue  # folded and deleted meanwhile
    return total
