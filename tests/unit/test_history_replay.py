"""A replay through recorded steps: each call gets the record of that call, in whatever order."""

from __future__ import annotations

from array import array
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from tests.unit.history_samples import Recorder

from evercell import events as e
from evercell.history import History, StepTable, seals, step_pages, steps
from evercell.history.arrow import Chunk
from evercell.history.columns import Items
from evercell.history.keys import UserKey
from evercell.history.proof import KeyProof
from evercell.history.step_ends import Ends

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

RUN, SLOT = "run0000001", "id:a"
RECORDED = "abcabdefghAijklmAnop"  # each letter a key; the ordinals count
COMPLETED = set(RECORDED) - set("cgl")


@pytest.fixture(autouse=True, scope="module")
def _small_stretches() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "_ROWS", 6)
        patch.setattr(step_pages, "PART", 4)
        patch.setattr(step_pages, "_BEYOND", 1)
        patch.setattr(seals, "SIZE", 2)
        yield


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Iterator[History]:
    history = History(tmp_path_factory.mktemp("history"))
    record(history, RECORDED)
    yield history
    history.close()


def key_of(letter: str) -> bytes:
    return letter.encode() * 16


def record(history: History, letters: str, completed: Iterable[str] = COMPLETED) -> None:
    """Steps that were begun in this order and ended in the opposite one."""
    recorder = Recorder(history).start().attach()
    cell, calls, begun = recorder.cell(slot=SLOT), Counter[str](), []
    for letter in letters:
        activity = history.new_activity_id()
        ordinal = calls[letter]
        calls[letter] += 1
        history.append(
            e.StepStarted(
                RUN, recorder.tick(), activity, cell, SLOT, "ask", key_of(letter), ordinal, "{}"
            )
        )
        begun.append((activity, letter, ordinal))
    for activity, letter, ordinal in reversed(begun):
        if letter in completed:
            result = history.put(f'"{letter}{ordinal}"'.encode(), "json")
            history.append(e.StepCompleted(RUN, recorder.tick(), activity, 1, result, None, 1))
    history.fold()


@contextmanager
def looked_for_alone(calls: int) -> Iterator[None]:
    """So many calls are looked for by themselves; then there is an index of all."""
    with patch.object(steps, "_ASKED", calls), patch.object(step_pages, "_SEARCHES", calls):
        yield


def answers(table: StepTable, letters: str) -> list[tuple[int, str | None]]:
    """What each call gets: its ordinal and its result, or its status."""
    replay, got = table.replay(), []
    for letter in letters:
        ordinal, answer, found = 0, replay.take(key_of(letter)), None
        if answer is None:
            ordinal, answer, found = replay.find(key_of(letter))
        got.append((ordinal, answer[1].decode() if answer else found.status if found else None))
    return got


def expected(
    letters: str, recorded: str = RECORDED, completed: Iterable[str] = COMPLETED
) -> list[tuple[int, str | None]]:
    there, calls = Counter(recorded), Counter[str]()
    want: list[tuple[int, str | None]] = []
    for letter in letters:
        ordinal = calls[letter]
        calls[letter] += 1
        known = ordinal < there[letter]
        result = f'"{letter}{ordinal}"' if letter in completed else "in doubt"
        want.append((ordinal, result if known else None))
    return want


@pytest.mark.parametrize(
    "letters",
    [
        RECORDED,
        RECORDED[::-1],
        RECORDED + "xyzA" + RECORDED,
        "x" + RECORDED,
        RECORDED[5:] + RECORDED[:5],
        "bacbadfehgA",
        "ghAijklmefAnop",
        "nnaapp",
        "",
    ],
)
@pytest.mark.parametrize("alone", [0, 99])
def test_each_call_gets_its_own_record(history: History, letters: str, alone: int) -> None:
    with looked_for_alone(alone):
        assert answers(history.step_table(RUN, SLOT), letters) == expected(letters)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from(sorted({*RECORDED, "x", "y"})), max_size=40),
    st.sampled_from([0, 1, 3, 99]),
)
def test_in_any_order(history: History, letters: list[str], alone: int) -> None:
    asked = "".join(letters)
    with history.reading(), looked_for_alone(alone):
        table = history.step_table(RUN, SLOT)
        assert answers(table, asked) == expected(asked)
        assert answers(table, RECORDED) == expected(RECORDED)  # the cell is run once more


def test_in_order_nothing_is_counted_and_little_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    history = History(tmp_path)
    letters = "abcdefghijklmnopqrst"
    record(history, letters, letters)
    read, real = [], steps.read_page

    def noted(*arguments: object, **within: int) -> step_pages.Page | None:
        read.append(within["low"])
        return real(*arguments, **within)  # type: ignore[arg-type]

    monkeypatch.setattr(steps, "read_page", noted)
    table = history.step_table(RUN, SLOT)
    assert answers(table, letters) == expected(letters, letters, letters)
    assert len(read) == 4
    assert len(table._pages) == 1
    assert table._index is None
    history.close()


def test_what_this_process_records_is_found_and_nothing_of_it_read(tmp_path: Path) -> None:
    history = History(tmp_path)
    record(history, "abcdefgh", "abcdefg")
    table = history.step_table(RUN, SLOT)
    (doubtful,) = [it for it in table.records() if it.status == "in doubt"]
    again = history.step_table(RUN, SLOT)
    history.commit(e.AttemptStarted(RUN, 0, doubtful.activity_id, "cell", 2))
    history.fold()
    assert again.get((doubtful.key, 0)) == doubtful  # as it was when the table was made
    again[doubtful.key, 0] = new = structs.replace(doubtful, status="canceled", attempts=2)
    assert again.replay().find(doubtful.key) == (0, None, new)
    history.close()


def test_a_new_call_behind_all_recorded_ones_needs_no_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a million steps, it would take as long as reading them, and 130 MB."""
    monkeypatch.setattr(steps, "_ASKED", 3)
    history = History(tmp_path)
    letters = "abcdefghijklmnopqrst"
    record(history, letters, letters)
    table = history.step_table(RUN, SLOT)
    new = letters + "xyz"
    assert answers(table, new) == expected(new, letters, letters)
    assert table._index is None
    assert answers(table, new + "vw") == expected(new + "vw", letters, letters)
    assert table._index is not None
    history.close()


def test_a_key_is_found_where_it_begins(tmp_path: Path) -> None:
    """Not where the end of one and the beginning of the next look like it."""
    keys = Items(array("q", (0, 2, 4, 6)), b"abcdab")
    proof = KeyProof(tmp_path, UserKey(tmp_path / "key"), foreign=False, tell=print)
    numbers, nothing = array("q", (0, 0, 0)), Items(array("q", (0, 0, 0, 0)), b"")
    starts = Chunk(3, {
        "key": keys, "ordinal": numbers, "seq": numbers, "once": numbers, "block": numbers,
        "activity_id": nothing, "tag": nothing,
    })  # fmt: skip
    page = step_pages.Page(starts, Ends(RUN, proof), RUN, SLOT, proof)
    assert [page.find(key, 0) for key in (b"ab", b"cd", b"bc", b"da", b"abcd")] == [
        [0, 2], [1], [], [], [],
    ]  # fmt: skip
