"""Steps' rows are proved in blocks: whatever becomes of a history, all that were recorded hold."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import duckdb
import pytest
from history_samples import Recorder

from evercell.history import History, seals, steps
from evercell.history.collect import Retention

if TYPE_CHECKING:
    from pathlib import Path

SLOTS = "id:a", "id:b"


def complete(recorder: Recorder, cell: str, slot: str, number: int) -> None:
    step = recorder.step(cell, slot=slot, key=bytes([number]) * 16)
    recorder.complete_step(step, data=f'"{number}"'.encode())


def results(history: History, run_id: str, slot: str = SLOTS[0]) -> dict[int, str]:
    found = {}
    for it in history.step_records(run_id, slot):
        assert it.result is not None
        found[it.key[0]] = history.get(it.result).decode()
    return found


def expected(numbers: range) -> dict[int, str]:
    return {number: f'"{number}"' for number in numbers}


def test_runs_and_slots_that_alternate_are_proved_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(seals, "SIZE", 4)
    monkeypatch.setattr(seals, "_WINDOW_ROWS", 6)
    history = History(tmp_path)
    recorders = [Recorder(history, f"run000000{n}").start(f"/{n}.ipynb").attach() for n in "12"]
    cells = [recorder.cell() for recorder in recorders]
    for number in range(7):
        for recorder, cell in zip(recorders, cells, strict=True):
            for slot in SLOTS:
                complete(recorder, cell, slot, number)
    history.close()
    history = History(tmp_path)
    assert history.upkeep.verify().findings == ()
    history.upkeep.collect(Retention(runs=("run0000001",)))
    assert results(history, "run0000001") == {}
    for slot in SLOTS:
        assert results(history, "run0000002", slot) == expected(range(7))
    assert history.upkeep.verify().findings == ()
    assert history.take_notices() == []


def copied_early(tmp_path: Path) -> tuple[Path, Path]:
    """A history's copy that has 5 of its run's 12 steps, and the whole run, exported."""
    history = History(tmp_path / "h")
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    for number in range(5):
        complete(recorder, cell, SLOTS[0], number)
    history.fold()
    copy = tmp_path / "copy"
    copy.mkdir()
    shutil.copy(tmp_path / "h" / "history.duckdb", copy)
    for number in range(5, 12):
        complete(recorder, cell, SLOTS[0], number)
    history.close()
    shutil.rmtree(tmp_path / "h" / "blobs", ignore_errors=True)
    shutil.copytree(tmp_path / "h" / "journal", tmp_path / "whole" / "journal")
    whole = History(tmp_path / "whole")  # folds the run in one go: other blocks than the copy's
    whole.upkeep.export("run0000001", tmp_path / "run.jsonl")
    whole.close()
    return copy, tmp_path / "run.jsonl"


def test_an_import_that_brings_a_part_of_a_block_is_as_good_as_recorded(tmp_path: Path) -> None:
    folder, exported = copied_early(tmp_path)
    history = History(folder)
    assert results(history, "run0000001") == expected(range(5))
    assert history.upkeep.import_(exported).events == 14
    assert results(history, "run0000001") == expected(range(12))
    assert history.upkeep.verify().holds
    history.close()


def test_an_import_of_a_changed_block_spoils_nothing(tmp_path: Path) -> None:
    folder, exported = copied_early(tmp_path)
    text = exported.read_text()
    assert '"ordinal":0' in text
    exported.write_text(text.replace('"ordinal":0', '"ordinal":3'))
    history = History(folder)
    history.upkeep.import_(exported)
    assert results(history, "run0000001") == expected(range(5))
    history.close()


@pytest.mark.parametrize("stretch", [2, 100])
def test_ends_that_come_late_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stretch: int
) -> None:
    """Steps that ended in a later kernel, behind those of other cells."""
    monkeypatch.setattr(steps, "_ROWS", stretch)
    monkeypatch.setattr(seals, "SIZE", 2)
    history = History(tmp_path)
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    begun = [recorder.step(cell, slot=SLOTS[0], key=bytes([n]) * 16) for n in range(5)]
    recorder.complete_step(begun[1], data=b'"1"')
    for number in range(6):
        complete(recorder, cell, SLOTS[1], number)
    history.fold()
    recorder.attach(2)
    for number in (3, 0, 1):
        recorder.next_attempt(begun[number], cell, 2)
        recorder.complete_step(begun[number], attempt=2, data=b'"again"')
    recorder.next_attempt(begun[3], cell, 3)
    history.fold()
    found = {
        it.key[0]: (it.status, it.attempts) for it in history.step_records("run0000001", "id:a")
    }
    assert found == {
        0: ("completed", 2), 1: ("completed", 2), 2: ("in doubt", 1), 3: ("in doubt", 3),
        4: ("in doubt", 1),
    }  # fmt: skip
    history.close()


def test_rows_that_lie_in_another_order_are_the_same(tmp_path: Path) -> None:
    history = History(tmp_path)
    recorder = Recorder(history).start().attach()
    cell = recorder.cell()
    for number in range(8):
        complete(recorder, cell, SLOTS[0], number)
    history.fold()
    with duckdb.connect(tmp_path / "history.duckdb") as connection:
        connection.execute("CREATE TABLE turned AS FROM store.event ORDER BY seq DESC")
        connection.execute("DELETE FROM store.event")
        connection.execute("INSERT INTO store.event FROM turned")
    assert results(history, "run0000001") == expected(range(8))
    assert history.upkeep.verify().holds
    history.close()
