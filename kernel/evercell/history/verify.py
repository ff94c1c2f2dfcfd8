"""`evercell verify`: is everything that was recorded there, unchanged, and this user's?

journals: headers, checksums, tags, no missing segment     rows: tags, no missing position
payloads: there, of the right size and content
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

import msgspec

from evercell.errors import HistoryError, JournalDamagedError
from evercell.history.applied import load_applied
from evercell.history.frames import valid_frames
from evercell.history.reread import holds, stored_events
from evercell.history.seals import proved_blocks
from evercell.history.segments import HEADER_SIZE, read_header, read_segment, segments
from evercell.history.trust import payloads_of

if TYPE_CHECKING:
    from pathlib import Path

    import duckdb

    from evercell.events import Payload
    from evercell.history.applied import Applied
    from evercell.history.keys import UserKey
    from evercell.history.payloads import PayloadStore
    from evercell.history.segments import SegmentHeader

__all__ = ["Finding", "Verification", "check_journals", "missing_events", "verify"]


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it was recorded, or that is worth knowing."""

    kind: Literal["error", "note"]
    where: str
    what: str
    advice: str = ""


class Verification(msgspec.Struct, frozen=True):
    """What was looked at, and what was found."""

    events: int
    journals: int  # files
    payloads: int  # different ones that are files
    findings: tuple[Finding, ...]

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not any(finding.kind == "error" for finding in self.findings)


def verify(
    connection: duckdb.DuckDBPyConnection, journal: Path, payloads: PayloadStore, key: UserKey
) -> Verification:
    """Check everything in the folder; the readable part of the journals has been folded."""
    writers = load_applied(connection)
    files = [path for found in segments(journal).values() for _, path in found]
    findings = check_journals(journal, key)
    damaged = bool(findings)
    counts: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    mine: dict[bytes, Payload] = {}
    theirs: dict[bytes, Payload] = {}
    proved = proved_blocks(connection, key.holds)
    for stored in stored_events(connection):
        counts[stored.writer] += 1
        event = stored.event
        right = holds(stored, key.holds, proved)
        refused[stored.writer] += not right
        for payload in payloads_of(event) if event is not None else ():
            if payload.data is None:
                (mine if right else theirs)[payload.id] = payload
    for writer in counts.keys() - writers.keys():
        findings.append(
            Finding("error", writer, f"{counts[writer]} events of a journal that is not known")
        )
    missing = missing_events(connection)
    for writer, state in writers.items():
        findings += _check_writer(state, refused[writer], missing.get(writer, 0), key)
    findings += _check_payloads(payloads, mine, theirs)
    everything = mine.keys() | theirs.keys()
    unused = payloads.files().keys() - everything
    if unused and not damaged:  # else events that name them may be behind the damage
        what = f"{len(unused)} payload files that no event refers to"
        findings.append(Finding("note", "blobs", what, "To delete old ones: evercell gc"))
    return Verification(counts.total(), len(files), len(everything), tuple(findings))


def _check_writer(state: Applied, refused: int, missing: int, key: UserKey) -> list[Finding]:
    found = []
    where = f"journal {state.writer}"
    if refused and (state.key != key.id or state.partial):
        what = f"{refused} events were recorded under another key ({state.key or 'none'})"
        advice = "If you trust who made them: evercell trust FOLDER"
        found.append(Finding("note", where, what, advice))
    elif refused:
        what = (
            f"{refused} rows in history.duckdb, or rows that are proved together with them, were "
            "changed after they had been recorded"
        )
        advice = "They are not used. Restore history.duckdb from a backup to have them back"
        found.append(Finding("error", where, what, advice))
    if missing > 0 and not state.partial:
        what = f"{missing} of {state.position} events are missing from history.duckdb"
        found.append(Finding("error", where, what, "Restore history.duckdb from a backup"))
    return found


def missing_events(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """How many positions of each writer are without a row, other than on purpose."""
    rows = connection.execute(
        """SELECT w.writer, w.position
            - (SELECT count(DISTINCT position) FROM store.event e WHERE e.writer = w.writer)
            - (SELECT coalesce(sum(events), 0) FROM store.removed r WHERE r.writer = w.writer)
        FROM store.writer w"""
    ).fetchall()
    return {writer: int(missing) for writer, missing in rows}


def _check_payloads(
    payloads: PayloadStore, mine: dict[bytes, Payload], theirs: dict[bytes, Payload]
) -> list[Finding]:
    found = []
    for payload in mine.values():
        wrong = payloads.check(payload)
        if wrong is not None:
            found.append(
                Finding(
                    "error",
                    str(payloads.path(payload.id)),
                    f"the file of a recorded value is {wrong}",
                    "Its cell or step runs again. Restore the file from a backup to have it back",
                )
            )
    for identity in theirs.keys() - mine.keys():
        wrong = payloads.check(theirs[identity])
        if wrong in {"missing", "cut"}:  # only its owner's key can tell a changed one
            what = f"the file of another user's value is {wrong}"
            found.append(Finding("note", str(payloads.path(identity)), what))
    return found


def check_journals(journal: Path, key: UserKey) -> list[Finding]:
    """What is wrong with the journals' files; `where` is the path."""
    found = []
    for files in segments(journal).values():
        before: tuple[Path, SegmentHeader, int] | None = None
        for _, path in files:
            try:
                header = read_header(path)
                reading = read_segment(path, header, 0, header.batch, header.seal(key))
                damage: HistoryError | None = reading.damage
                if before is not None and header.batch != before[2]:
                    damage = damage or JournalDamagedError(
                        f"The journal {path} does not go on where {before[0].name} ends."
                    )
                before = path, header, reading.batch
            except HistoryError as error:
                damage = error
            if damage is not None:
                advice = _what_can_be_saved(path, key)
                found.append(Finding("error", str(path), damage.message, advice))
    return found


def _what_can_be_saved(path: Path, key: UserKey) -> str:
    try:
        header = read_header(path)
        whole = read_segment(path, header, 0, header.batch, header.seal(key))
        frames = valid_frames(path.read_bytes(), HEADER_SIZE, header.salt, header.seal(key))
    except (HistoryError, OSError):
        return "Nothing in it can be read: evercell verify --salvage moves it aside"
    events = sum(len(frame.events) for frame in frames) - len(whole.events)
    return (
        f"{len(whole.events)} events before the damage are in the history; "
        f"evercell verify --salvage saves {events} behind it and moves the file aside"
    )
