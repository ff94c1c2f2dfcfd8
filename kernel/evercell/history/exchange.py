"""A run as one file, for keeping and for giving away, and back.

    line 1      what this is
    writers     one line for each journal that the events come from
    events      one line each, run by run, in each run's order, with its proof
    payloads    one line for each payload that is a file, in the order of first use

The runs of the workflows that it carries come with it, and those whose history they share.

JSON Lines: readable, and exact. Tags and payload ids travel with the events, so what comes back to
its owner is as good as never gone, and what comes to somebody else is foreign until trusted.
"""

from __future__ import annotations

import base64
from itertools import chain
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import field

from evercell.errors import HistoryError, HistoryNewerError
from evercell.events import AnyEvent, Event, Payload, encode_event
from evercell.history.applied import Applied, load_applied, save_applied
from evercell.history.columns import Batch
from evercell.history.disk import create_file, make_folder
from evercell.history.families import carried, kin, with_origins
from evercell.history.outputs import OutputRow, output_rows
from evercell.history.reread import stored_events
from evercell.history.rows import BASE, READABLE, Shape, row_tag, shape_of, viewed
from evercell.history.schema import SCHEMA, newer
from evercell.history.seals import COVERED, sealed_message
from evercell.history.transaction import Transaction
from evercell.history.trust import payloads_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import duckdb

    from evercell.history.keys import UserKey
    from evercell.history.payloads import PayloadStore

__all__ = ["Imported", "export_run", "import_runs"]

_FORMAT = "evercell run"


class Imported(msgspec.Struct, frozen=True):
    """What came out of a file."""

    run_id: str
    events: int  # new ones; those that were there stay as they are
    payloads: int
    others: tuple[str, ...] = ()  # run_ids that came with it


class _Head(msgspec.Struct, frozen=True):
    format: str
    schema: int
    run_id: str
    evercell: str = ""
    others: tuple[str, ...] = ()  # run_ids that come with it


class _Writer(msgspec.Struct, frozen=True):
    writer: str
    pid: int
    host: str
    key: str


class _Line(msgspec.Struct, frozen=True):
    writer: str
    position: int
    generation: int
    seq: int
    type: str
    tag: str | None
    event: dict[str, Any]
    block: int | None = None
    body: str | None = None  # base64, where JSON would not give the event back exactly


class _File(msgspec.Struct, frozen=True):
    payload: str
    codec: str
    data: str


_encode = msgspec.json.Encoder().encode


def export_run(
    connection: duckdb.DuckDBPyConnection, run_id: str, payloads: PayloadStore
) -> Iterator[bytes]:
    """The run's lines. Raises HistoryError for a row that holds no event."""
    release = connection.execute(
        "SELECT detail->>'$.evercell' FROM store.event WHERE run_id = ? AND type = 'RunStarted'",
        [run_id],
    ).fetchall()
    known = kin(connection)
    runs = with_origins(carried(run_id, known), known)
    others = tuple(it for it in runs if it != run_id)
    yield _line(_Head(_FORMAT, SCHEMA, run_id, str(release[0][0]) if release else "", others))
    writers: Any = connection.execute(
        """SELECT writer, pid, host, key FROM store.writer SEMI JOIN (
            FROM store.event WHERE list_contains($runs, run_id)) USING (writer) ORDER BY writer""",
        {"runs": runs},
    ).fetchall()
    for writer in writers:
        yield _line(_Writer(*writer))
    files: dict[bytes, Payload] = {}
    for stored in chain.from_iterable(stored_events(connection, it) for it in runs):
        event = stored.event
        if event is None:
            raise HistoryError(
                f"Event {stored.position} of {stored.writer} is damaged, so run {run_id} can't be "
                "exported. To see what is wrong: evercell verify."
            )
        fields = _fields(event)
        exact = _event(type(event).__name__, fields) == event
        yield _line(
            _Line(
                stored.writer,
                stored.position,
                stored.generation,
                stored.seq,
                type(event).__name__,
                stored.tag.hex() if stored.tag is not None else None,
                fields,
                stored.block,
                None if exact else base64.b64encode(encode_event(event)).decode(),
            )
        )
        files |= {it.id: it for it in payloads_of(event) if it.data is None and it.id not in files}
    for payload in files.values():
        path = payloads.path(payload.id)
        if path.exists():
            data = base64.b64encode(path.read_bytes()).decode()
            yield _line(_File(payload.id.hex(), payload.codec, data))


def _line(value: msgspec.Struct) -> bytes:
    return _encode(value) + b"\n"


def _fields(event: Event) -> dict[str, Any]:
    return {name: getattr(event, name) for name in event.__struct_fields__}


def _event(kind: str, fields: dict[str, Any]) -> Event | None:
    """The event with these fields; None if JSON can't hold one of them."""
    try:
        event: Event = msgspec.json.decode(_encode([kind, *fields.values()]), type=AnyEvent)
    except (msgspec.MsgspecError, UnicodeError):
        return None
    return event


def import_runs(
    connection: duckdb.DuckDBPyConnection,
    lines: Iterable[bytes],
    payloads: PayloadStore,
    key: UserKey,
    writer: str,
) -> Imported:
    """Take a run in from its lines. Raises HistoryError for what is no export of a run, and then
    nothing was taken in but payload files; HistoryNewerError, HistoryWriteError."""
    source = iter(lines)
    head = _head(next(source, b""))
    writers: list[_Writer] = []
    rows: list[tuple[_Line, Event]] = []
    found = _Found()
    files = 0
    for number, line in enumerate(source, start=2):
        try:
            entry = msgspec.json.decode(line, type=dict[str, Any])
            if "payload" in entry:
                files += _import_file(msgspec.convert(entry, _File), payloads, writer)
            elif "event" in entry:
                row = msgspec.convert(entry, _Line)
                rows.append((row, _decoded(row)))
            else:
                writers.append(msgspec.convert(entry, _Writer))
        except (msgspec.MsgspecError, ValueError, TypeError, KeyError) as error:
            raise HistoryError(
                f"Line {number} is not one of an exported run: {error}. The file was changed or "
                "cut; nothing was imported."
            ) from error
    new = 0
    for row, event in _missing(connection, rows, key):  # now that the payloads are there
        found.add(row, event, payloads)
        new += 1
    _insert(connection, writers, found)
    return Imported(head.run_id, new, files, head.others)


def _missing(
    connection: duckdb.DuckDBPyConnection, rows: list[tuple[_Line, Event]], key: UserKey
) -> Iterator[tuple[_Line, Event]]:
    """The rows that the history does not have. Those of blocks (seals.py) of which it has some are
    proved by themselves, if their block holds."""
    known: dict[str, set[int]] = {}
    blocks: dict[tuple[str, str, str, int | None], list[tuple[_Line, Event]]] = {}
    for line, event in rows:
        place = line.writer, event.run_id, line.type, line.block
        blocks.setdefault(place, []).append((line, event))
    new: dict[int, _Line] = {}
    for (writer, _, kind, block), own in blocks.items():
        there = _known(connection, known, writer)
        absent = [(line, event) for line, event in own if line.position not in there]
        whole = len(absent) == len(own) or block is None or kind not in COVERED
        holds = not whole and _holds(own, key)
        for line, event in absent:
            if whole:
                proved = line
            elif holds:
                tag = row_tag(key, line.seq, event, b"").hex()
                proved = msgspec.structs.replace(line, block=line.seq, tag=tag)
            else:
                proved = msgspec.structs.replace(line, block=None, tag=None)
            new[id(line)] = proved
    for line, event in rows:
        if id(line) in new:
            yield new[id(line)], event


def _holds(block: list[tuple[_Line, Event]], key: UserKey) -> bool:
    """Whether a block is this user's, and unchanged."""
    message = sealed_message([(line.seq, event) for line, event in block])  # type: ignore[misc]
    return key.holds(bytes.fromhex(block[0][0].tag or ""), message)


def _head(line: bytes) -> _Head:
    try:
        head = msgspec.json.decode(line, type=_Head)
    except msgspec.MsgspecError:
        head = None
    if head is None or head.format != _FORMAT:
        raise HistoryError(
            "This is no exported run: its first line does not say so. Export one with: evercell "
            "history export RUN -o FILE."
        )
    if head.schema > SCHEMA:
        raise HistoryNewerError(newer(head.run_id, head.schema, head.evercell))  # type: ignore[arg-type]
    return head


def _known(
    connection: duckdb.DuckDBPyConnection, known: dict[str, set[int]], writer: str
) -> set[int]:
    if writer not in known:
        rows = connection.execute(
            "SELECT position FROM store.event WHERE writer = ?", [writer]
        ).fetchall()
        known[writer] = {position for (position,) in rows}
    return known[writer]


def _decoded(row: _Line) -> Event:
    event: Event
    if row.body is not None:
        event = msgspec.msgpack.decode(base64.b64decode(row.body), type=AnyEvent)
    else:
        event = msgspec.json.decode(_encode([row.type, *row.event.values()]), type=AnyEvent)
    return event


class _Found(msgspec.Struct, frozen=True):
    """Rows to insert."""

    shapes: dict[Shape, list[tuple[object, ...]]] = field(default_factory=dict)
    outputs: list[OutputRow] = field(default_factory=list)

    def add(self, row: _Line, event: Event, payloads: PayloadStore) -> None:
        body = encode_event(event)
        self.outputs.extend(output_rows(event, row.writer, row.position, payloads.get))
        if type(event) in READABLE:
            event = viewed(event, payloads.readable)
        shape = shape_of(type(event))
        tag = bytes.fromhex(row.tag) if row.tag is not None else None
        base = (
            row.writer, row.position, row.generation, row.seq, event.run_id, event.at, row.type,
            tag, row.block,
        )  # fmt: skip
        self.shapes.setdefault(shape, []).append((*base, *shape.values(event, body)))


def _import_file(file: _File, payloads: PayloadStore, writer: str) -> int:
    identity = bytes.fromhex(file.payload)
    path = payloads.path(identity)
    data = base64.b64decode(file.data)
    if path.exists() and payloads.check(Payload(identity, file.codec, len(data))) is None:
        return 0
    make_folder(path.parent)
    create_file(path, data, temporary=f".{path.name}.{writer}")
    return 1


def _insert(
    connection: duckdb.DuckDBPyConnection,
    writers: list[_Writer],
    found: _Found,
) -> None:
    """Rows in one transaction. Their writers are noted as partial: a journal of theirs that comes
    later brings only what is not there yet."""
    there = load_applied(connection)
    for it in writers:
        if it.writer not in there:
            state = Applied(it.writer, it.pid, it.host, False, 0, 0, 0, 0, it.key, partial=True)
            save_applied(connection, state)
            there[it.writer] = state
    if found.shapes and writers:
        rows = [
            Batch(dict(zip((*BASE, *shape.columns), zip(*values, strict=True), strict=True)))
            for shape, values in found.shapes.items()
        ]
        with Transaction(connection) as transaction:
            transaction.add(there[writers[0].writer], rows, found.outputs)
