"""The runner's counts, read from the kernel's journal while it is written."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from evercell import events
from evercell.history import History
from evercell.jupyter.headless.follow import Counts, Follower
from evercell.jupyter.headless.report import Tally

if TYPE_CHECKING:
    from pathlib import Path

RUN, AT = "4k2m9x0abc", 1_700_000_000_000_000_000
ERROR = events.ErrorInfo("ValueError", "no")
PAYLOAD = events.Payload(b"i" * 16, "json", 1, b"1")


def attached(generation: int = 1) -> events.RunAttached:
    return events.RunAttached(RUN, AT, generation, 1, "here", None, None)


def cell(activity: str, index: int, decision: events.Decision = "executed") -> events.CellStarted:
    return events.CellStarted(
        RUN, AT, activity, f"pos:{index}", index, None, "1", b"d", 0, decision, "new", 1
    )


def completed(activity: str) -> events.CellCompleted:
    return events.CellCompleted(RUN, AT, activity, b"k", 1, {}, (), (), (), None, None, True)


def step(activity: str) -> events.StepStarted:
    return events.StepStarted(RUN, AT, activity, "c1", "pos:0", "ask", b"k", 0, "{}")


def restored(activity: str, origin: str, index: int) -> events.CellRestored:
    return events.CellRestored(
        RUN, AT, activity, origin, f"pos:{index}", index, None, "1", b"d", 0, "same", 1, 1, 1
    )


def tally_of(*recorded: events.Event) -> Tally:
    counts = Counts()
    for event in recorded:
        counts.apply(event)
    return counts.tally


def test_cells_are_counted_by_decision_when_they_end() -> None:
    tally = tally_of(
        attached(2),
        restored("r1", "old-1", 0),
        cell("c1", 1),
        completed("c1"),
        cell("c2", 2, "recomputed"),
        completed("c2"),
        cell("c3", 3, "volatile"),
        events.CellFailed(RUN, AT, "c3", 1, ERROR),
        cell("c4", 4),
    )
    assert (tally.run_id, tally.generation) == (RUN, 2)
    assert tally.cells == {"restored": 1, "executed": 1, "recomputed": 1, "failed": 1}
    assert tally.decisions == {
        0: "restored",
        1: "executed",
        2: "recomputed",
        3: "volatile",
        4: "executed",
    }
    assert tally.origins == ("old-1",)


def test_steps_are_counted_by_what_became_of_them() -> None:
    tally = tally_of(
        step("s1"),
        events.StepCompleted(RUN, AT, "s1", 1, PAYLOAD),
        step("s2"),
        events.AttemptFailed(RUN, AT, "s2", 1, ERROR, 1),
        events.AttemptStarted(RUN, AT, "s2", "c1", 2),
        events.StepFailed(RUN, AT, "s2", 2, ERROR, "maximum attempts"),
        step("s3"),
        events.StepCanceled(RUN, AT, "s3", 1, "interrupted"),
        events.StepsAnswered(RUN, AT, "c1", ("o1", "o2")),
        events.AttemptStarted(RUN, AT, "o3", "c1", 2),
    )
    assert (tally.executed, tally.restored, tally.failed) == (1, 2, 1)
    assert (tally.retried, tally.running) == (1, 1)


def test_the_follower_reads_on_in_the_journal_of_its_kernel(tmp_path: Path) -> None:
    earlier = History(tmp_path)
    earlier.commit(attached(), step("old"))
    follower = Follower(tmp_path)
    assert follower.read(os.getpid()) == Tally()

    history = History(tmp_path)
    history.commit(attached(2), cell("c1", 0), step("s1"))
    assert follower.read(os.getpid()).running == 1
    history.commit(events.StepCompleted(RUN, AT, "s1", 1, PAYLOAD))
    history.commit(completed("c1"))
    earlier.commit(step("elsewhere"))
    tally = follower.read(os.getpid())
    assert (tally.generation, tally.executed, tally.running) == (2, 1, 0)
    assert tally.cells == {"executed": 1}
    assert follower.read(os.getpid()) == tally
    history.close()
    earlier.close()


def test_the_follower_ignores_the_journals_of_other_processes(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    history = History(tmp_path)
    history.commit(attached())
    history.close()
    assert follower.read(os.getpid() + 1) == Tally()


def test_the_follower_keeps_its_counts_when_the_journal_is_folded_away(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    history = History(tmp_path)
    history.commit(attached(), cell("c1", 0), completed("c1"))
    before = follower.read(os.getpid())
    history.close()
    reader = History(tmp_path)
    reader.fold()
    reader.close()
    assert not list((tmp_path / "journal").glob("*.log"))
    assert follower.read(os.getpid()) == before


def test_no_event_of_a_full_segment_is_missed_when_a_fold_deletes_it(tmp_path: Path) -> None:
    follower = Follower(tmp_path)
    history = History(tmp_path)
    history.commit(attached())
    assert follower.read(os.getpid()).executed == 0
    large = events.Payload(b"i" * 16, "json", 40_000, b"1" * 40_000)
    for number in range(40):  # more than the first segment holds
        history.commit(step(f"s{number}"), events.StepCompleted(RUN, AT, f"s{number}", 1, large))
    first = min((tmp_path / "journal").glob("*.log"))
    history.fold()
    assert not first.exists()
    assert follower.read(os.getpid()).executed == 40
    follower.close()
    history.close()


@pytest.mark.parametrize("content", [b"", b"EVERCELL", b"\0" * 600])
def test_a_journal_that_cannot_be_read_counts_as_none(tmp_path: Path, content: bytes) -> None:
    follower = Follower(tmp_path)
    (tmp_path / "journal").mkdir()
    (tmp_path / "journal" / "abc-000000.log").write_bytes(content)
    assert follower.read(1) == Tally()
