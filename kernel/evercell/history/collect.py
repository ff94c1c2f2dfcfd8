"""`evercell gc`: which runs go, and the bytes that nothing refers to any more.

    runs, their sizes ─ plan (pure) ─ delete rows ─ rewrite the database file ─ delete payload files

A run that a kernel is attached to is never touched, nor is a payload that a kept run refers to.
Workflows go with the notebook's run that carries them, and not while a fork needs their history.
"""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.history import failpoints
from evercell.history.families import kin, owner
from evercell.history.locks import FileLock, is_held
from evercell.history.outputs import remove_orphans
from evercell.history.reread import stored_events
from evercell.history.rows import KEPT_WHOLE
from evercell.history.segments import segments
from evercell.history.trust import payloads_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    import duckdb

    from evercell.clock import Clock
    from evercell.history.families import Kin
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
    """A run, with the workflows' runs that it carries, and what they take."""

    run_id: str
    notebook: str | None
    parameters: str  # JSON
    last_activity: int  # nanoseconds since the epoch
    is_open: bool  # a kernel is attached to it
    size: int  # bytes of its rows
    files: dict[bytes, int]  # its payload files' sizes, by id
    members: tuple[str, ...] = ()  # ids of the runs that it carries
    origins: tuple[str, ...] = ()  # ids of runs elsewhere whose history its own share


class Collected(msgspec.Struct, frozen=True):
    """What was removed, or would be."""

    runs: tuple[tuple[str, str], ...]  # run id, why; the workflows that it carried went with it
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
    kept = _refused(runs, retention.runs)
    asked = [run for run in runs if run.run_id in retention.runs and run.run_id not in kept]
    _remove(asked, runs, gone, "asked for")
    for run in asked:
        if run.run_id not in gone:
            fork = _fork_of(run, runs, gone)
            kept[run.run_id] = f"run {fork} was forked from it, or from a workflow of it"
    protected = _latest(oldest_first, retention.keep)
    candidates = [it for it in oldest_first if not it.is_open and it.run_id not in protected]
    if retention.older_than is not None:
        limit = now - int(retention.older_than * _SECOND)
        _remove([run for run in candidates if run.last_activity < limit], runs, gone, "old")
    if retention.max_size is not None:
        size -= sum(_freed(run, runs, gone) for run in runs if run.run_id in gone)
        _remove(candidates, runs, gone, "size budget", excess=size - retention.max_size)
    return list(gone.items()), list(kept.items())


def _refused(runs: list[RunUse], asked: tuple[str, ...]) -> dict[str, str]:
    """The runs that were asked for and can't go by themselves, and why."""
    kept = {run.run_id: "a kernel is attached to it" for run in runs if run.is_open}
    for run in runs:
        kept |= dict.fromkeys(run.members, f"it belongs to run {run.run_id}, and goes with it")
    return {run_id: why for run_id, why in kept.items() if run_id in asked}


def _remove(
    candidates: list[RunUse],
    runs: list[RunUse],
    gone: dict[str, str],
    why: str,
    *,
    excess: int | None = None,
) -> None:
    """Put candidates into `gone`, in their order: all, or until `excess` bytes are freed. One that
    others were forked from goes after those."""
    waiting = [run for run in candidates if run.run_id not in gone]
    while waiting:
        before = len(gone)
        for run in waiting:
            if excess is not None and excess <= 0:
                return
            if _fork_of(run, runs, gone) is None:
                gone[run.run_id] = why
                if excess is not None:
                    excess -= _freed(run, runs, gone)
        if len(gone) == before:
            return
        waiting = [run for run in waiting if run.run_id not in gone]


def _fork_of(run: RunUse, runs: list[RunUse], gone: dict[str, str]) -> str | None:
    """A run that stays and needs the history of `run`."""
    own = {run.run_id, *run.members}
    for other in runs:
        if other is not run and other.run_id not in gone and not own.isdisjoint(other.origins):
            return other.run_id
    return None


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
        ) u USING (run_id) ORDER BY r.started_at, r.run_id"""
    ).fetchall()
    total = sum(int(row[-1]) for row in rows) or 1
    share = database.stat().st_size / total
    files = _files(connection)
    single = [
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
    return _families(single, kin(connection))


def _families(runs: list[RunUse], known: dict[str, Kin]) -> list[RunUse]:
    """Each notebook's run with what it carries as one."""
    found: dict[str, list[RunUse]] = {}
    for run in runs:
        found.setdefault(owner(run.run_id, known), []).append(run)
    return [_family(root, members, known) for root, members in found.items()]


def _family(root: str, runs: list[RunUse], known: dict[str, Kin]) -> RunUse:
    first = next(run for run in runs if run.run_id == root)
    ids = [run.run_id for run in runs]
    origins = {origin for run_id in ids for origin in known[run_id].origins} - set(ids)
    return msgspec.structs.replace(
        first,
        last_activity=max(run.last_activity for run in runs),
        is_open=any(run.is_open for run in runs),
        size=sum(run.size for run in runs),
        files={name: size for run in runs for name, size in run.files.items()},
        members=tuple(run_id for run_id in ids if run_id != root),
        origins=tuple(sorted(origins)),
    )


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
        roots = {run_id for run_id, _ in gone}
        ids = {it for use in uses if use.run_id in roots for it in (use.run_id, *use.members)}
        if not dry_run and ids:
            remove_runs(connection, ids, clock)
            for path in (path for run_id in ids for path in folder.glob(f"inbox/{run_id}.*")):
                path.unlink(missing_ok=True)  # letters that nobody will ever take
        unused = _unused(payloads, uses, roots, grace)
        freed = sum(bytes_ for _, bytes_ in unused)
        if not dry_run:
            for path, _ in unused:
                path.unlink(missing_ok=True)
                failpoints.reach("unused")
            _remove_drafts(folder, grace)
    if dry_run:
        after = before - freed - sum(use.size for use in uses if use.run_id in roots)
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
        remove_orphans(connection)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()
    failpoints.reach("removed")


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
