"""Accepting records that were made under another key, on the user's word.

    rows without this user's proof ─ rebuild the event ─ its payloads get this user's ids ─ prove

Nothing is decoded or run here. Afterwards the records are as if this user had made them.
"""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from evercell.events import Event, Payload, encode_event
from evercell.history.disk import make_folder, sync_folder
from evercell.history.machines import user_name
from evercell.history.outputs import insert_outputs, output_rows
from evercell.history.reread import holds, stored_events
from evercell.history.rows import READABLE, row_tag, shape_of, viewed
from evercell.history.seals import COVERED, proved_blocks, seal_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import duckdb

    from evercell.clock import Clock
    from evercell.history.keys import UserKey
    from evercell.history.outputs import OutputRow
    from evercell.history.payloads import PayloadStore
    from evercell.history.reread import StoredEvent

__all__ = ["Trusted", "map_payloads", "payloads_of", "trust", "untrusted"]

_BATCH = 10_000  # rows in one transaction


class Trusted(msgspec.Struct, frozen=True):
    """What was accepted."""

    events: int
    payloads: int
    missing: int  # payloads whose file is gone or has another size: their results stay misses
    runs: tuple[str, ...]


def untrusted(
    connection: duckdb.DuckDBPyConnection, key: UserKey
) -> Iterator[tuple[StoredEvent, Event]]:
    """The rows whose tag is not this user's, with the events that they hold."""
    proved = proved_blocks(connection, key.holds)
    for stored in stored_events(connection):
        if stored.event is not None and not holds(stored, key.holds, proved):
            yield stored, stored.event


def trust(
    connection: duckdb.DuckDBPyConnection, payloads: PayloadStore, key: UserKey, clock: Clock
) -> Trusted:
    """Make every record in the database this user's, and note who said so and when.

    Raises HistoryWriteError.
    """
    mapping = _Mapping(payloads)
    runs: set[str] = set()
    events = 0
    batch: list[_Mine] = []
    outputs: list[OutputRow] = []
    # Read whole before the first update: a result can't be streamed while its table changes.
    for stored, event in list(untrusted(connection, key)):
        mine = map_payloads(event, mapping.of)
        body = encode_event(mine) if stored.body else b""
        outputs += output_rows(mine, stored.writer, stored.position, payloads.get)
        if type(mine) in READABLE:
            mine = viewed(mine, payloads.readable)
        batch.append(_Mine(stored, mine, body))
        events += 1
        runs.add(event.run_id)
        if len(batch) == _BATCH:
            _update(connection, batch, key)
            batch = []
    _update(connection, batch, key)
    _replace_outputs(connection, outputs)
    connection.execute("UPDATE store.writer SET key = ?, partial = false", [key.id])
    found = Trusted(events, mapping.mapped, mapping.missing, tuple(sorted(runs)))
    connection.execute(
        "INSERT INTO store.trusted VALUES (make_timestamptz(?), ?, ?, ?, ?, ?)",
        [clock.now() // 1000, user_name(), socket.gethostname(), key.id, events, found.payloads],
    )
    return found


class _Mine(NamedTuple):
    """A row as it is to be."""

    stored: StoredEvent
    event: Event
    body: bytes

    @property
    def columns(self) -> dict[str, object]:
        """Those that depend on the event."""
        shape = shape_of(type(self.event))
        return dict(zip(shape.columns, shape.values(self.event, self.body), strict=True))


def _tags(batch: list[_Mine], key: UserKey) -> list[tuple[bytes, int | None]]:
    """The tag and the block of each row."""
    tags: list[tuple[bytes, int | None]] = [(b"", None)] * len(batch)
    steps: dict[tuple[str, str], list[int]] = {}  # a block is of one journal, in its order
    for number, row in enumerate(batch):
        kind = type(row.event).__name__
        if kind in COVERED:
            steps.setdefault((kind, row.stored.writer), []).append(number)
        else:
            tags[number] = row_tag(key, row.stored.seq, row.event, row.body), None
    for (kind, _), numbers in steps.items():
        rows = [
            {"seq": batch[it].stored.seq, "run_id": batch[it].event.run_id, **batch[it].columns}
            for it in numbers
        ]
        columns = {name: [row[name] for row in rows] for name in rows[0]}
        for number, block, tag in zip(numbers, *seal_rows(kind, columns, key), strict=True):
            tags[number] = tag, block
    return tags


def _update(connection: duckdb.DuckDBPyConnection, batch: list[_Mine], key: UserKey) -> None:
    if not batch:
        return
    connection.execute(
        """CREATE OR REPLACE TEMP TABLE mine (
            writer VARCHAR, position BIGINT, tag BLOB, block BIGINT, payload_id BLOB, view VARCHAR,
            detail JSON, body BLOB)"""
    )
    rows = []
    for row, proof in zip(batch, _tags(batch, key), strict=True):
        values = row.columns
        changed = [values.get(name) for name in ("payload_id", "view", "detail", "body")]
        rows.append((row.stored.writer, row.stored.position, *proof, *changed))
    with connection.appender("mine") as appender:
        appender.append_rows(rows)
    connection.execute(
        """UPDATE store.event SET
            tag = mine.tag, block = mine.block, payload_id = mine.payload_id, view = mine.view,
            detail = mine.detail, body = mine.body
        FROM mine WHERE event.writer = mine.writer AND event.position = mine.position"""
    )


def _replace_outputs(connection: duckdb.DuckDBPyConnection, outputs: list[OutputRow]) -> None:
    """What cells showed can be read now."""
    if not outputs:
        return
    connection.begin()
    try:
        connection.execute(
            """DELETE FROM store.output WHERE (writer, position) IN (
                SELECT (unnest($writers), unnest($positions)))""",
            {"writers": [it[0] for it in outputs], "positions": [it[1] for it in outputs]},
        )
        insert_outputs(connection, outputs)
    except BaseException:
        connection.rollback()
        raise
    connection.commit()


class _Mapping:
    """Foreign payloads as this user's; the file of a large one gets a second name."""

    def __init__(self, payloads: PayloadStore) -> None:
        self._payloads = payloads
        self._known: dict[tuple[bytes, str], Payload] = {}
        self.missing = 0

    @property
    def mapped(self) -> int:
        return len(self._known)

    def of(self, payload: Payload) -> Payload:
        known = self._known.get((payload.id, payload.codec))
        if known is None:
            known = self._known[payload.id, payload.codec] = self._mine(payload)
        return msgspec.structs.replace(payload, id=known.id)

    def _mine(self, payload: Payload) -> Payload:
        old = self._payloads.path(payload.id)
        try:
            data = old.read_bytes() if payload.data is None else payload.data
        except OSError:
            data = b""
        if len(data) != payload.size:
            self.missing += 1
            return payload
        identity = self._payloads.identify(data, payload.codec)
        new = self._payloads.path(identity)
        if payload.data is None and not new.exists():
            make_folder(new.parent)
            os.link(old, new)
            sync_folder(new.parent)
        return msgspec.structs.replace(payload, id=identity)


def map_payloads(event: Event, replace: Callable[[Payload], Payload]) -> Event:
    """The event with each of its payloads replaced."""
    mapped: Event = _mapped(event, replace)
    return mapped


def payloads_of(event: Event) -> list[Payload]:
    """Every payload that the event names."""
    found: list[Payload] = []

    def keep(payload: Payload) -> Payload:
        found.append(payload)
        return payload

    _mapped(event, keep)
    return found


def _mapped(value: Any, replace: Callable[[Payload], Payload]) -> Any:
    match value:
        case Payload():
            return replace(value)
        case msgspec.Struct():
            parts = [_mapped(getattr(value, name), replace) for name in value.__struct_fields__]
            return type(value)(*parts)
        case tuple():
            return tuple(_mapped(part, replace) for part in value)
        case _:
            return value
