from __future__ import annotations

import pytest
from msgspec import structs

from evercell.cell import capture
from evercell.engine.decide import (
    Answer,
    Attempt,
    CellRecord,
    Execute,
    Postpone,
    RaiseAgain,
    Recompute,
    Refuse,
    Restore,
    decide_cell,
    decide_step,
    explained,
)
from evercell.events import CellCompleted, CellStarted, ErrorInfo, Payload, Product
from evercell.history import StepRecord

RESULT = Payload(b"r", "json", 1, b"1")
ERROR = ErrorInfo("ValueError", "no")


def cell(
    *, ordinal: int = 0, products: tuple[Product, ...] = (), restorable: bool = True, **more: object
) -> CellRecord:
    started = CellStarted("r", 0, "a-1", "s", 0, None, "x", b"d", ordinal, "executed", "", 1)
    completed = CellCompleted(
        "r", 0, "a-1", b"k", 1, more.get("reads", {}), products, (), (), None, None, restorable,
        waits=more.get("waits", False),
    )  # fmt: skip
    return CellRecord(started, completed)


def decide(records: list[CellRecord], **changes: object) -> Restore | Recompute | Execute:
    given = {
        "ordinal": 0,
        "last": None,
        "seen": False,
        "volatile": False,
        "recompute": False,
        "differs": lambda reads: None,
    }
    return decide_cell(records, **(given | changes))


def test_a_fitting_record_is_restored_the_latest_first() -> None:
    old, new = cell(), cell()
    decision = decide([new, old])
    assert isinstance(decision, Restore)
    assert decision.record is new


@pytest.mark.parametrize(
    ("records", "changes"),
    [
        ([], {}),
        ([cell()], {"seen": True}),
        ([cell()], {"volatile": True}),
        ([cell(ordinal=1)], {}),
        ([cell(restorable=False)], {}),
        ([cell()], {"differs": lambda reads: "x was changed"}),
    ],
)
def test_whatever_does_not_fit_runs(records: list[CellRecord], changes: dict[str, object]) -> None:
    assert isinstance(decide(records, **changes), Execute)


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        (None, "not run before"),
        ("in doubt", "it was cut off before it finished"),
        ("failed", "it failed the last time"),
        ("completed", "its source was edited"),
    ],
)
def test_without_a_record_the_reason_is_how_the_cell_ended(last: str | None, reason: str) -> None:
    assert decide([], last=last) == Execute(reason)


def test_the_reason_names_what_changed() -> None:
    assert decide([cell()], differs=lambda reads: "x").reason == "stale: x"


def test_it_is_told_whether_anything_changed() -> None:
    untracked = cell(restorable=False)
    assert decide([untracked], last="completed").unchanged
    unverified = cell(products=(Product(("x",), b"v", RESULT, (), verified=False),))
    assert decide([unverified], last="completed").unchanged
    assert not decide([], last="completed").unchanged
    assert not decide([untracked], last="completed", seen=True).unchanged
    assert not decide([untracked], last="completed", differs=lambda reads: "x").unchanged


def test_an_older_record_that_fits_wins_over_a_newer_one_that_does_not() -> None:
    old = cell(reads={"x": b"1"})
    new = cell(reads={"x": b"2"})
    decision = decide([new, old], differs=lambda reads: None if reads["x"] == b"1" else "x")
    assert isinstance(decision, Restore)
    assert decision.record is old


def test_a_finished_cell_that_was_cut_off_when_it_ran_once_more_runs_again() -> None:
    assert decide([cell()], last="in doubt") == Execute("it was cut off before it finished")
    unstorable = cell(products=(Product(("client",), b"v", None, (), "a socket"),), waits=True)
    again = decide([unstorable], last="in doubt")
    assert again == Recompute(unstorable, "client: a socket")


def test_what_cannot_be_stored_is_recomputed_but_not_for_the_displayed_value() -> None:
    client = Product(("client",), b"v", None, (), "holds a socket")
    shown = Product((capture.RESULT,), b"v", None, (), "a generator")
    assert decide([cell(products=(client,))]) == Recompute(
        cell(products=(client,)), "client: holds a socket"
    )
    assert isinstance(decide([cell(products=(shown,))]), Restore)


def test_it_is_postponed_where_that_makes_no_difference_unless_its_author_says_otherwise() -> None:
    record = cell(products=(Product(("client",), b"v", None, (), "holds a socket"),), waits=True)
    assert decide([record]) == Postpone(record, "client: holds a socket")
    assert isinstance(decide([record], recompute=True), Recompute)


def step(status: str, **more: object) -> StepRecord:
    result = RESULT if status == "completed" else None
    error = ERROR if status == "failed" else None
    return StepRecord("a-2", b"k", 0, status, 3, False, result, error)


@pytest.mark.parametrize("resuming", [True, False])
@pytest.mark.parametrize("at_most_once", [True, False])
def test_a_finished_step_is_always_answered(resuming: bool, at_most_once: bool) -> None:
    decision = decide_step(step("completed"), resuming=resuming, at_most_once=at_most_once)
    assert decision == Answer("a-2", 3, RESULT)


@pytest.mark.parametrize("status", ["failed", "retrying", "in doubt"])
def test_what_only_the_forked_run_tried_begins_anew(status: str) -> None:
    tried = structs.replace(step(status), shared=True)
    assert decide_step(tried, resuming=False, at_most_once=False) == Attempt(None, 1)


def test_a_failed_step_is_raised_again_on_resume_and_tried_again_by_its_user() -> None:
    failed = step("failed")
    assert decide_step(failed, resuming=True, at_most_once=False) == RaiseAgain("a-2", ERROR)
    assert decide_step(failed, resuming=False, at_most_once=False) == Attempt("a-2", 4)


@pytest.mark.parametrize("status", ["in doubt", "canceled"])
@pytest.mark.parametrize("resuming", [True, False])
def test_in_doubt_runs_again_unless_at_most_once(status: str, resuming: bool) -> None:
    record = step(status)
    assert decide_step(record, resuming=resuming, at_most_once=False) == Attempt("a-2", 4)
    assert decide_step(record, resuming=resuming, at_most_once=True) == Refuse("a-2", 3)


def test_a_new_call_is_attempt_one() -> None:
    assert decide_step(None, resuming=True, at_most_once=True) == Attempt(None, 1)


def test_a_file_is_explained_only_by_a_version_that_a_cell_below_left() -> None:
    reads = {"x": b"1", "@file:a": b"1", "@file:b": b"1"}
    now = {"x": b"2", "@file:a": b"2", "@file:b": b"2"}
    left = {"@file:a": frozenset([b"2", b"3"]), "@file:b": frozenset([b"3"])}
    assert explained(reads, left, now.get) == {"x": b"1", "@file:b": b"1"}
    assert explained(reads, {}, now.get) is reads


@pytest.mark.parametrize("small", [True, False])
@pytest.mark.parametrize("folder", ["@file:out/", "@file:"])
def test_a_folder_is_explained_by_what_cells_below_added_to_it(folder: str, small: bool) -> None:
    there = ["a", "c", "new", "sub"]

    def version(name: str, without: object = ()) -> bytes:
        listed = "".join(f"/{n}" for n in there if n not in without) if name == folder else ""
        return (b"/" if small else b"") + listed.encode()

    left = {f"{folder}new": frozenset([b"1"]), f"{folder}sub/x": frozenset([b"1"])}
    begin = b"/" if small else b""
    assert explained({folder: begin + b"/a/c"}, left, version) == {}
    for other in (b"/a", b"/a/c/d"):
        assert explained({folder: begin + other}, left, version) == {folder: begin + other}
    assert explained({folder: b"//a/c"}, {"@file:/else/new": frozenset([b"1"])}, version)
    if small:  # it has been made anew since
        assert explained({folder: b"//a/c/new"}, left, version) == {}
