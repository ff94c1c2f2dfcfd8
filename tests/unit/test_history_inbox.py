"""Letters: whole, signed, in order, for the run they name."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from evercell.errors import UsageError
from evercell.history import History
from evercell.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUN, OTHER = "r000000001", "r000000002"


@pytest.fixture
def history(tmp_path: Path) -> Iterator[History]:
    opened = History(tmp_path / "h", clock=ManualClock())
    yield opened
    opened.close()


def bodies(history: History, *runs: str) -> list[bytes]:
    return [letter.body for letter in history.inbox.for_runs(runs)]


def test_letters_come_in_the_order_in_which_they_were_sent_while_the_clock_stands(
    history: History,
) -> None:
    for n in range(20):
        history.inbox.put(RUN, b"%d" % n)
    assert bodies(history, RUN) == [b"%d" % n for n in range(20)]


def test_another_process_finds_them_and_takes_them_once(history: History, tmp_path: Path) -> None:
    identity = history.inbox.put(RUN, b"hello")
    history.inbox.put(OTHER, b"not yours")
    reader = History(tmp_path / "h")
    (letter,) = reader.inbox.for_runs({RUN})
    assert (letter.run_id, letter.letter_id, letter.body) == (RUN, identity, b"hello")
    assert history.inbox.holds(identity)
    reader.inbox.remove(letter)
    reader.inbox.remove(letter)  # two that took the same one
    assert not history.inbox.holds(identity)
    assert bodies(reader, RUN) == []
    assert bodies(reader, OTHER) == [b"not yours"]
    reader.close()


@pytest.mark.parametrize("change", ["body", "tag", "run", "time", "id", "cut", "empty"])
def test_a_letter_that_was_changed_is_never_opened(
    history: History, tmp_path: Path, change: str
) -> None:
    history.inbox.put(RUN, b"hello")
    (path,) = (tmp_path / "h" / "inbox").iterdir()
    data = path.read_bytes()
    run_id, sent_at, identity = path.name.split(".")
    match change:
        case "body":
            path.write_bytes(data[:-1] + b"!")
        case "tag":
            path.write_bytes(data[:6] + bytes([data[6] ^ 1]) + data[7:])
        case "run":
            path = path.rename(path.with_name(f"{OTHER}.{sent_at}.{identity}"))
        case "time":
            path = path.rename(path.with_name(f"{run_id}.{int(sent_at) + 1:019d}.{identity}"))
        case "id":
            path = path.rename(path.with_name(f"{run_id}.{sent_at}.{identity}0"))
        case "cut":
            path.write_bytes(data[:10])
        case "empty":
            path.write_bytes(b"")
    assert bodies(history, RUN, OTHER) == []
    assert history.inbox.foreign == {path.name}
    assert path.exists()


def test_a_letter_under_another_key_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "another"))
    sender = History(tmp_path / "h")
    sender.inbox.put(RUN, b"hello")
    sender.close()
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "mine"))
    reader = History(tmp_path / "h")
    assert bodies(reader, RUN) == []
    assert len(reader.inbox.foreign) == 1
    reader.close()


def test_drafts_and_strangers_are_no_letters(history: History, tmp_path: Path) -> None:
    history.inbox.put(RUN, b"hello")
    folder = tmp_path / "h" / "inbox"
    for name in (f".{RUN}.{1:019d}.abc.writer", f"{RUN}.txt", "notes", f"{RUN}.12.abc"):
        (folder / name).write_bytes(b"x")
    assert bodies(history, RUN) == [b"hello"]
    assert history.inbox.foreign == set()


@pytest.mark.parametrize("run_id", ["", "../evil", "a/b", "a.b", "RUN", "r1 "])
def test_only_a_run_can_be_written_to(history: History, run_id: str) -> None:
    with pytest.raises(UsageError, match="no id of a run"):
        history.inbox.put(run_id, b"x")


def test_one_stat_tells_whether_there_is_something_new(history: History, tmp_path: Path) -> None:
    inbox = history.inbox
    assert not inbox.may_have_changed()  # there is no folder
    inbox.put(RUN, b"1")
    assert inbox.may_have_changed()
    inbox.for_runs({RUN})
    assert inbox.may_have_changed()  # a letter in the same tick of a coarse clock would be missed
    folder = tmp_path / "h" / "inbox"
    past = time.time() - 10
    os.utime(folder, (past, past))
    inbox.for_runs({RUN})
    assert not inbox.may_have_changed()
    inbox.look_again()
    assert inbox.may_have_changed()
    inbox.for_runs({RUN})
    inbox.put(RUN, b"2")
    assert inbox.may_have_changed()
