"""Nothing is used that this user did not record: what an intruder edited is a miss, and is told."""

from __future__ import annotations

import shutil
import zlib
from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from history_samples import Recorder

from evercell import events as e
from evercell import settings
from evercell.engine.run import RunRequest, open_run
from evercell.errors import JournalDamagedError, PayloadError
from evercell.history import History, seals
from evercell.history.frames import FRAME_OVERHEAD, read_frames
from evercell.history.segments import HEADER_SIZE, read_header, segments

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NOTEBOOK = "/work/a.ipynb"
REQUEST = RunRequest(NOTEBOOK, {"n": 1}, None)


def record(folder: Path) -> History:
    """A run with a finished cell and two finished steps; the history is left open."""
    history = History(folder)
    recorder = Recorder(history).start(NOTEBOOK, n=1).attach(notebook=NOTEBOOK)
    cell = recorder.cell()
    recorder.complete_step(recorder.step(cell, key=b"a" * 16), data=b'"ours"')
    recorder.complete_step(recorder.step(cell, key=b"b" * 16), data=b'"other"')
    recorder.fail_step(recorder.step(cell, key=b"c" * 16))
    recorder.complete_step(recorder.step(cell, key=b"d" * 16), data=b"x" * 70_000)
    recorder.complete_cell(cell)
    return history


@pytest.fixture(autouse=True)
def _uncompressed() -> None:
    """So that large values are files, although they say little."""
    settings.change(compress=False)


@pytest.fixture
def block_size() -> int:
    """Rows that are proved together."""
    return seals.SIZE


@pytest.fixture
def folder(tmp_path: Path, block_size: int, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(seals, "SIZE", block_size)
    record(tmp_path / "h").close()
    History(tmp_path / "h").fold()
    return tmp_path / "h"


@pytest.fixture
def another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """From here on, somebody else runs Evercell."""
    with monkeypatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "another key"))
        yield


def edit(folder: Path, sql: str) -> None:
    with duckdb.connect(folder / "history.duckdb") as connection:
        assert connection.execute(sql).fetchall()[0][0] > 0, "the edit found nothing"


def steps(history: History) -> dict[str, str]:
    return {chr(it.key[0]): it.status for it in history.step_records("run0000001", "id:a")}


ALL = {"a": "completed", "b": "completed", "c": "failed", "d": "completed"}


def test_what_was_recorded_holds(folder: Path) -> None:
    history = History(folder)
    assert steps(history) == ALL
    assert len(history.cell_events("run0000001")) == 2
    assert history.current_run(NOTEBOOK, {"n": 1}) is not None
    assert history.take_notices() == []


@pytest.mark.parametrize("block_size", [1])  # else those that are proved with it go, too
@pytest.mark.parametrize(
    ("sql", "lost"),
    [
        # a result under another call's key
        ("UPDATE store.event SET payload_id = o.payload_id, payload_size = o.payload_size, "
         "payload_data = o.payload_data FROM store.event o "
         "WHERE o.position = 7 AND event.position = 5", "a"),
        ("UPDATE store.event SET key = 'zzzzzzzzzzzzzzzz' WHERE position = 4", "a"),
        ("UPDATE store.event SET key = 'aaaaaaaaaaaaaaaa', tag = (SELECT tag FROM store.event "
         "WHERE position = 4) WHERE position = 6", "b"),
        ("UPDATE store.event SET slot = 'id:a', ordinal = 7 WHERE position = 4", "a"),
        ("UPDATE store.event SET at_most_once = true WHERE position = 4", "a"),
        ("UPDATE store.event SET type = 'StepCanceled' WHERE position = 5", "a"),
        ("UPDATE store.event SET codec = 'pickle' WHERE position = 5", "a"),
        ("UPDATE store.event SET seq = seq + 100, position = position + 100 WHERE position = 5",
         "a"),
        ("UPDATE store.event SET error_message = 'pwned' WHERE type = 'StepFailed'", "c"),
        ("UPDATE store.event SET tag = NULL WHERE position = 5", "a"),
        ("UPDATE store.event SET payload_data = '\"evil\"' WHERE position = 5", "a"),
        ("UPDATE store.event SET payload_data = '\"evil\"', payload_size = 6 WHERE position = 5",
         "a"),
        ("UPDATE store.event SET attempt = 0 WHERE position = 5", "a"),
    ],
)  # fmt: skip
def test_a_changed_row_is_a_miss(folder: Path, sql: str, lost: str) -> None:
    edit(folder, sql)
    history = History(folder)
    left = steps(history)
    assert left == {name: status for name, status in ALL.items() if name != lost}
    (line,) = history.take_notices()
    assert str(folder) in line
    assert "not used" in line
    assert history.take_notices() == []
    replay = history.step_table("run0000001", "id:a").replay()  # the short way to the same
    assert replay.take(lost.encode() * 16) is None
    assert replay.find(lost.encode() * 16) == (0, None, None)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM store.event WHERE position = 6",
        "UPDATE store.event SET tag = NULL, block = NULL WHERE position = 6",
        "UPDATE store.event SET block = seq WHERE position = 6",
        "UPDATE store.event SET run_id = 'run0000009' WHERE position = 6",
        "UPDATE store.event SET key = o.key FROM store.event o "
        "WHERE event.type = 'StepStarted' AND o.type = 'StepStarted' "
        "AND event.position + o.position = 10 AND event.position <> o.position",
        "INSERT INTO store.event SELECT * REPLACE (''::BLOB AS tag, position + 100 AS position, "
        "seq + 100 AS seq, 'forged-1' AS activity_id) FROM store.event WHERE position = 4",
    ],
)
def test_of_a_block_all_rows_hold_or_none(folder: Path, sql: str) -> None:
    edit(folder, sql)
    history = History(folder)
    assert steps(history) == {}
    assert "changed after they had been made" in "".join(history.take_notices())
    assert not history.upkeep.verify().holds


def test_a_row_put_in_hides_no_real_one(folder: Path) -> None:
    edit(
        folder,
        "INSERT INTO store.event SELECT * REPLACE (seq + 1000 AS seq, 'forged-1' AS activity_id) "
        "FROM store.event WHERE position IN (4, 5)",
    )
    assert steps(History(folder)) == ALL


def test_a_changed_cell_is_a_miss_with_its_end(folder: Path) -> None:
    edit(folder, "UPDATE store.event SET body = body || 'x'::BLOB WHERE type = 'CellStarted'")
    history = History(folder)
    assert history.cell_events("run0000001") == []
    assert "changed" in history.take_notices()[0]


def test_a_run_with_other_parameters_is_not_resumed(folder: Path) -> None:
    started = e.RunStarted("run0000001", 1, "notebook", NOTEBOOK, {"n": 2}, "x", "0.1.0")
    body = e.encode_event(started).hex()
    edit(folder, f"UPDATE store.event SET body = unhex('{body}') WHERE type = 'RunStarted'")
    history = History(folder)
    assert history.current_run(NOTEBOOK, {"n": 2}) is None
    assert history.find_run(NOTEBOOK, {"n": 1}) is None


def test_a_copied_history_is_text_only(folder: Path, another_user: None) -> None:
    history = History(folder)
    assert history.query("SELECT result FROM steps WHERE ordinal = 0 LIMIT 1").rows == [('"ours"',)]
    assert steps(history) == {}
    assert history.cell_events("run0000001") == []
    (line,) = history.take_notices()
    assert f"evercell trust {folder}" in line
    run = open_run(history, REQUEST)
    assert run.run_id != "run0000001"
    run.detach()


def test_a_copied_journal_is_text_only(tmp_path: Path, another_user: None) -> None:
    owner_key = tmp_path / "owner key"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(owner_key))
        owner = record(tmp_path / "h")
        copied = tmp_path / "copy"
        shutil.copytree(tmp_path / "h", copied)
        owner.close()
    history = History(copied)
    assert history.query("SELECT count(*) FROM steps").rows == [(4,)]
    assert steps(history) == {}
    assert segments(copied / "journal"), "its owner could not take it in any more"
    # Its owner comes: the same rows count for them, each once.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(owner_key))
        back = History(copied)
        assert steps(back) == ALL
        assert back.query("SELECT count(*), count(DISTINCT position) FROM events").rows == [
            (12, 12)
        ]
        assert not segments(copied / "journal")


def retagged(data: bytearray, offset: int, salt: int) -> None:
    """Make the checksum of the frame at `offset` right again, as an intruder would."""
    length = int.from_bytes(data[offset + 4 : offset + 8], "little")
    numbers, tag = bytes(data[offset + 4 : offset + 12]), bytes(data[offset + 16 : offset + 32])
    body = bytes(data[offset + FRAME_OVERHEAD : offset + FRAME_OVERHEAD + length])
    checksum = zlib.crc32(body, zlib.crc32(numbers + tag, salt))
    data[offset + 12 : offset + 16] = checksum.to_bytes(4, "little")


def test_a_changed_journal_is_refused_with_file_and_offset(tmp_path: Path) -> None:
    owner = record(tmp_path / "h")
    copied = tmp_path / "copy"
    shutil.copytree(tmp_path / "h", copied)
    owner.close()
    ((_, path),) = segments(copied / "journal")[owner.writer]
    header = read_header(path)
    data = bytearray(path.read_bytes())
    place = data.index(b'"ours"')
    data[place + 1 : place + 5] = b"evil"
    offset = data.rindex(b"EVFR", HEADER_SIZE, place)
    retagged(data, offset, header.salt)
    assert not read_frames(bytes(data), HEADER_SIZE, 0, header.salt).damaged  # checksums are right
    path.write_bytes(data)

    with pytest.raises(JournalDamagedError, match=f"{path.name} is damaged at offset {offset}"):
        History(copied).fold()


def test_a_changed_file_of_a_payload_is_refused(folder: Path) -> None:
    history = History(folder)
    records: dict[str, Any] = {
        chr(it.key[0]): it for it in history.step_records("run0000001", "id:a")
    }
    (blob,) = (folder / "blobs").glob("*/*")
    blob.write_bytes(b"y" * 70_000)
    with pytest.raises(PayloadError, match="changed"):
        history.get(records["d"].result)


def test_a_trusted_history_is_as_ones_own(folder: Path, another_user: None) -> None:
    history = History(folder)
    assert steps(history) == {}
    trusted = history.upkeep.trust()

    assert (trusted.events, trusted.missing, trusted.runs) == (12, 0, ("run0000001",))
    assert steps(history) == ALL
    run = open_run(history, REQUEST)
    assert run.run_id == "run0000001"
    run.detach()
    for step in history.step_records("run0000001", "id:a"):
        if step.result is not None:
            assert history.get(step.result) in {b'"ours"', b'"other"', b"x" * 70_000}
    completed = history.cell_events("run0000001")[1]
    assert isinstance(completed, e.CellCompleted)
    assert completed.outputs is not None
    assert history.get(completed.outputs) == b"\x80\x05pickled"
    (row,) = history.query('SELECT "user", events FROM store.trusted').rows
    assert row[0]
    assert row[1] == 12
    assert history.upkeep.trust().events == 0


def test_trust_takes_in_a_copied_journal_once(tmp_path: Path, another_user: None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "owner key"))
        owner = record(tmp_path / "h")
        shutil.copytree(tmp_path / "h", tmp_path / "copy")
        owner.close()
    history = History(tmp_path / "copy")
    history.upkeep.trust()
    assert steps(history) == ALL
    assert history.query("SELECT count(*) FROM events").rows == [(12,)]
    assert not segments(tmp_path / "copy" / "journal")


def test_trust_saves_no_payload_that_is_gone(folder: Path, another_user: None) -> None:
    (blob,) = (folder / "blobs").glob("*/*")
    blob.unlink()
    history = History(folder)
    assert history.upkeep.trust().missing == 1
    (step,) = [it for it in history.step_records("run0000001", "id:a") if it.key[0] == ord("d")]
    assert step.result is not None
    with pytest.raises(PayloadError, match="missing"):
        history.get(step.result)
