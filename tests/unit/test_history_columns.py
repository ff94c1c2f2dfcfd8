"""Rows that are made a column at a time are those that each event would make by itself."""

from __future__ import annotations

from array import array
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import duckdb
import pytest
from blake3 import blake3
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from test_history_reread import EVENTS

from evercell import events as e
from evercell.errors import HistoryError
from evercell.history import columns, making, seals
from evercell.history.applied import Applied
from evercell.history.arrow import insert, read
from evercell.history.columns import Batch, Column, Items, Kind, common_length
from evercell.history.keys import UserKey
from evercell.history.making import Rows
from evercell.history.payloads import PayloadStore
from evercell.history.rows import insert_rows, row_tag, shape_of
from evercell.history.seals import COVERED, block_message, proved_blocks, seal_rows, sealed_message

if TYPE_CHECKING:
    from collections.abc import Iterator

WRITER = "writer0001"
STATE = Applied(WRITER, 1, "host", False, 0, 0, 1, 0, "key")
WIDE = st.integers(-(2**63), 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=9) | st.sampled_from(["", "a"])
VALUES: dict[Kind, tuple[str, st.SearchStrategy[Any]]] = {
    "text": ("VARCHAR", TEXT),
    "blob": ("BLOB", st.binary(max_size=9) | st.sampled_from([b"", b"a"])),
    "int": ("INTEGER", st.integers(-(2**31), 2**31 - 1) | st.sampled_from([0, 1])),
    "bigint": ("BIGINT", WIDE | st.sampled_from([0, 1])),
    "bool": ("BOOLEAN", st.booleans()),
    "texts": ("VARCHAR[]", st.lists(TEXT, max_size=3).map(tuple)),
}
FEW = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    script = Path(making.__file__).parent / "migrations" / "0001_events.sql"
    with duckdb.connect() as made:
        made.execute(script.read_text(encoding="utf-8"))
        yield made


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> UserKey:
    return UserKey(tmp_path_factory.mktemp("key") / "key")


# -- columns --------------------------------------------------------------------------------------


def parts_of(kind: Kind) -> st.SearchStrategy[list[list[Any]]]:
    """Parts of a column: of values that differ, of one and the same, with and without null."""
    value = VALUES[kind][1]
    various = st.lists(value | st.none(), min_size=1, max_size=12)
    whole = st.lists(value, min_size=1, max_size=12)
    alike = st.builds(lambda it, count: [it] * count, value | st.none(), st.integers(1, 9))
    return st.lists(various | whole | alike, min_size=1, max_size=5)


@FEW
@given(data=st.data(), kind=st.sampled_from(list(VALUES)))
def test_a_column_holds_what_was_added(data: st.DataObject, kind: Kind) -> None:
    parts = data.draw(parts_of(kind))
    column = Column(kind)
    for part in parts:
        column.add(part)
    values = [value for part in parts for value in part]
    assert column.rows == len(values)
    if not column.varies:
        assert values == [column.constant] * len(values)
        return
    with duckdb.connect() as made:
        made.execute(f"CREATE TABLE t (v {VALUES[kind][0]})")
        insert(made, "INSERT INTO t SELECT v FROM batch", {"v": column})
        found = [value for (value,) in made.execute("FROM t").fetchall()]
    assert found == [list(it) if isinstance(it, tuple) else it for it in values]


@FEW
@given(data=st.data(), kind=st.sampled_from(["text", "blob", "bigint"]))
def test_the_last_rows_are_packed_as_they_would_be_alone(data: st.DataObject, kind: Kind) -> None:
    """However they came, and whatever came before: a seal is of the rows alone."""
    parts = data.draw(parts_of(kind))
    values = [value for part in parts for value in part]
    column = Column(kind)
    for part in parts:
        column.add(part)
    row = data.draw(st.integers(0, len(values) - 1))
    one_by_one = Column(kind)
    for value in values[row:]:
        one_by_one.add([value])
    for first, end in pairwise(sorted({0, len(values) - row, (len(values) - row) // 2})):
        messages = [
            block_message(("kind", "run", ""), [packed], first, end)
            for packed in (column.behind(row), one_by_one.behind(0))
        ]
        assert messages[0] == messages[1]


def test_what_is_of_another_kind_is_refused_and_changes_nothing() -> None:
    column = Column("text", ["a", "b"])
    with pytest.raises(TypeError):
        column.add(["c", b"d"])
    column.add(["c", "d"])
    assert (column.rows, bytes(column.data)) == (4, b"abcd")


def test_where_one_item_ends_and_the_next_begins_is_sealed() -> None:
    columns = [Column("text", texts) for texts in (["ab", "c"], ["a", "bc"], ["abc", ""])]
    told = [block_message(("kind", "run", ""), [it.behind(0)], 0, 2) for it in columns]
    assert len(set(map(repr, told))) == 3


# -- rows -----------------------------------------------------------------------------------------

RUNS = st.sampled_from(["run0000001", "run0000002"])
SHORT = st.text("ab\0ä\U0001f600", max_size=3)
ACTIVITY = st.builds(lambda n: f"{WRITER}-{n}", st.integers(1, 200))
PAYLOAD = st.builds(
    lambda data, codec, inline: e.Payload(
        blake3(data).digest(16), codec, len(data), data if inline else None
    ),
    st.sampled_from([b"1", b'"text"', b"[1,2]"]),
    st.sampled_from(["json", "json", "json", "pickle"]),
    st.sampled_from([True, True, True, False]),
)
STARTED = st.builds(
    e.StepStarted, RUNS, WIDE, ACTIVITY, SHORT, st.sampled_from(["id:a", "id:b"]), SHORT,
    st.binary(min_size=16, max_size=16) | st.just(b"k"), st.integers(0, 2), SHORT, st.booleans(),
)  # fmt: skip
COMPLETED = st.builds(
    e.StepCompleted, RUNS, WIDE, ACTIVITY, st.integers(1, 2), PAYLOAD, st.none() | SHORT,
    st.integers(0, 9), st.none() | SHORT,
)  # fmt: skip
ATTACHED = st.builds(
    lambda run, at, generation: e.RunAttached(run, at, generation, 1, "host", None, "/a.ipynb"),
    RUNS, WIDE, st.integers(1, 3),
)  # fmt: skip
ANY = st.lists(
    st.one_of(STARTED, STARTED, COMPLETED, COMPLETED, ATTACHED, st.sampled_from(EVENTS)),
    min_size=1,
    max_size=40,
)


def stored(connection: duckdb.DuckDBPyConnection, batches: list[Batch]) -> list[dict[str, Any]]:
    """The rows, in their order."""
    connection.execute("DELETE FROM store.event")
    for batch in batches:
        insert_rows(connection, batch)
    cursor = connection.execute("FROM store.event ORDER BY position")
    names = [name for name, *_ in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


@FEW
@given(events=ANY, sizes=st.sampled_from([(1, 256), (3, 2), (4096, 256), (4096, 2)]))
def test_rows_are_those_of_each_event_by_itself(
    connection: duckdb.DuckDBPyConnection,
    key: UserKey,
    tmp_path_factory: pytest.TempPathFactory,
    events: list[e.Event],
    sizes: tuple[int, int],
) -> None:
    """Whatever is worked on together, and sealed together."""
    part, size = sizes
    payloads = PayloadStore(tmp_path_factory.getbasetemp() / "blobs", WRITER, key=key)
    bodies = [e.encode_event(event) for event in events]
    with patch.object(making, "_PART", part), patch.object(seals, "SIZE", size):
        made = Rows({}, {}, payloads, key).of(
            replace(STATE, position=len(events)), bodies, tagged=True
        )
    rows = stored(connection, made)
    assert [row["position"] for row in rows] == list(range(1, len(events) + 1))
    generations: dict[str, int] = {}
    for row, event, body in zip(rows, events, bodies, strict=True):
        if isinstance(event, e.RunAttached):
            generations[event.run_id] = event.generation
        generation = generations.get(event.run_id, 0)
        shape = shape_of(type(event))
        expected: dict[str, Any] = dict(zip(shape.columns, shape.values(event, body), strict=True))
        expected |= {
            "writer": WRITER, "generation": generation, "run_id": event.run_id,
            "seq": generation << 40 | row["position"], "at_ns": event.at,
            "type": type(event).__name__,
        }  # fmt: skip
        if expected.get("answered") is not None:
            expected["answered"] = list(expected["answered"])
        if expected.get("view") is None:  # JSON for people may be made of the payload
            expected.pop("view", None)
        assert {name: row[name] for name in expected} == expected
        if not shape.sealed:
            assert row["tag"] == row_tag(key, row["seq"], event, body)
    blocks = {(row["run_id"], row["type"], row["block"]) for row in rows if row["type"] in COVERED}
    assert proved_blocks(connection, key.holds) == blocks


@FEW
@given(events=st.lists(STARTED, min_size=1, max_size=9) | st.lists(COMPLETED, min_size=1))
def test_a_block_is_sealed_alike_by_column_and_by_event(
    key: UserKey, events: list[e.StepStarted | e.StepCompleted]
) -> None:
    kind, shape = type(events[0]).__name__, shape_of(type(events[0]))
    rows = [
        dict(zip(shape.columns, shape.values(event, b""), strict=True))
        | {"seq": seq, "run_id": event.run_id}
        for seq, event in enumerate(events)
    ]
    values = {name: [row[name] for row in rows] for name in rows[0]}
    blocks, tags = seal_rows(kind, values, key)
    for block in set(blocks):
        own = [(seq, events[seq]) for seq, it in enumerate(blocks) if it == block]
        starts = [tags[seq] for seq, _ in own if tags[seq]]
        places = {(it.run_id, it.slot if isinstance(it, e.StepStarted) else "") for _, it in own}
        assert len(places) == len(starts)
        if len(starts) == 1:
            assert starts == [key.tag(sealed_message(own))]


def test_an_event_of_a_newer_release_is_told_by_its_number(key: UserKey, tmp_path: Path) -> None:
    known = e.encode_event(EVENTS[3])
    unknown = known.replace(b"StepStarted", b"StepVanishd")
    rows = Rows({}, {}, PayloadStore(tmp_path, WRITER, key=key), key)
    with pytest.raises(HistoryError, match=rf"Event 12 of journal {WRITER} can't be decoded"):
        rows.of(replace(STATE, position=13), [known, unknown, known], tagged=True)


def test_numbers_read_from_duckdb_are_sealed_as_those_that_went_in() -> None:
    """DuckDB hands out narrow numbers, and texts whose ends are narrow."""
    with duckdb.connect() as made:
        (chunk,) = read(
            made.sql("SELECT CAST(range AS INTEGER) AS n, 'x' || range AS t FROM range(12)")
        )
    wide = (
        Column("bigint", range(12)).behind(0),
        Column("text", [f"x{n}" for n in range(12)]).behind(0),
    )
    narrow = chunk.numbers("n"), chunk.items("t")
    assert isinstance(wide[1], Items)
    assert isinstance(wide[0], array)
    for first, end in ((0, 12), (0, 10), (3, 4), (10, 12), (9, 11)):
        message = block_message(("kind", "run", "slot"), narrow, first, end)
        assert message == block_message(("kind", "run", "slot"), wide, first, end)


@FEW
@given(st.lists(st.binary(max_size=3) | st.just(b"four"), max_size=9), st.integers(1, 4))
def test_items_are_cut_out_whatever_their_lengths(items: list[bytes], together: int) -> None:
    packed = Column("blob")
    packed.extend(items)
    column = Items(packed.ends, packed.data)
    with patch.object(columns, "_TOGETHER", together):
        for first in range(len(items) + 1):
            for end in range(first, len(items) + 1):
                assert column.cut(first, end) == items[first:end]
                if end > first:
                    (length, *others) = {len(item) for item in items[first:end]}
                    alike = 0 if others else length
                    assert common_length(column.ends[first : end + 1]) == alike
