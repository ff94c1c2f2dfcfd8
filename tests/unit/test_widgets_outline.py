"""Which rows there are, what opens, what a filter and a search leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import view_events as e

from evercell_widgets.outline import Look, found_in, outline, parse_look
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from evercell import events as ev
    from evercell_widgets.rows import RowData


def view_of(*events: ev.Event) -> RunView:
    view = RunView()
    apply_all(view, events)
    return view


def rows(view: RunView, look: Look | None = None) -> list[RowData]:
    look = look or Look()
    lines = outline(view, look, found_in)
    found = lines.window(look.first, look.count)
    assert lines.total == len(lines.window(0, 10**6))
    return found


def ids(view: RunView, look: Look | None = None) -> list[str]:
    return [row["id"] for row in rows(view, look)]


def calls(cell: str, count: int, name: str = "ask", first: int = 0) -> list[ev.Event]:
    return [
        event
        for n in range(first, first + count)
        for event in (
            e.step_started(f"{name}{n}", cell, name, f'{{"prompt": "question {n}"}}'),
            e.step_completed(f"{name}{n}"),
        )
    ]


def test_few_calls_stand_for_themselves_and_many_share_a_row() -> None:
    view = view_of(e.attached(), e.cell_started("c1"), *calls("c1", 2, "fetch"), *calls("c1", 9))
    assert ids(view) == ["c:id:a", "s:id:a:fetch0", "s:id:a:fetch1", "g:id:a:ask"]
    group = rows(view)[-1]
    assert group["open"] is False
    assert group["counts"] is not None
    assert group["counts"]["completed"] == 9
    opened = rows(view, Look(open={"g:id:a:ask": True}))
    assert [row["id"] for row in opened[4:]] == [f"s:id:a:ask{n}" for n in range(9)]
    assert {row["depth"] for row in opened[4:]} == {2}
    assert opened[4]["text"] == "question 0"


def test_a_cell_is_open_while_there_is_something_to_see() -> None:
    events = [e.attached(), e.cell_started("c1"), *calls("c1", 2)]
    assert rows(view_of(*events))[0]["open"] is True
    ended = view_of(*events, e.cell_completed("c1"))
    assert ids(ended) == ["c:id:a"]
    assert rows(ended)[0]["open"] is False
    assert len(ids(ended, Look(open={"c:id:a": True}))) == 3
    assert ids(view_of(*events), Look(open={"c:id:a": False})) == ["c:id:a"]


def test_a_cell_without_steps_does_not_open() -> None:
    assert rows(view_of(e.cell_started("c1")))[0]["open"] is None


def test_a_window_is_any_part_of_the_whole() -> None:
    view = view_of(
        e.attached(), e.cell_started("c1"), *calls("c1", 10), e.cell_started("c2", "id:b", index=1),
        *calls("c2", 3, "fetch"),
    )  # fmt: skip
    opened = {"g:id:a:ask": True}
    whole = ids(view, Look(open=opened, count=1000))
    assert len(whole) == 2 + 10 + 1 + 3
    for first in range(len(whole) + 2):
        for count in (0, 1, 5, 100):
            assert ids(view, Look(first, count, opened)) == whole[first : first + count]


def test_a_filter_leaves_what_failed_and_opens_the_way_to_it() -> None:
    view = view_of(
        e.attached(), e.cell_started("c1"), *calls("c1", 8), e.step_started("bad", "c1"),
        e.step_failed("bad"), e.cell_completed("c1"), e.cell_started("c2", "id:b", index=1),
    )  # fmt: skip
    assert ids(view, Look(status="failed")) == ["c:id:a", "g:id:a:ask", "s:id:a:bad"]
    assert ids(view, Look(status="running")) == ["c:id:b"]
    closed = Look(status="failed", open={"g:id:a:ask": False})
    assert ids(view, closed) == ["c:id:a", "g:id:a:ask"]


def test_a_search_finds_arguments_results_errors_names_and_code() -> None:
    view = view_of(
        e.attached(), e.cell_started("c1", source="import x\nplan = make()"), *calls("c1", 8),
        e.step_started("bad", "c1", "fetch"), e.step_failed("bad"),
    )  # fmt: skip
    assert ids(view, Look(search="question 5")) == ["c:id:a", "g:id:a:ask", "s:id:a:ask5"]
    assert ids(view, Look(search="<b>no")) == ["c:id:a", "s:id:a:bad"]
    assert ids(view, Look(search="fetch")) == ["c:id:a", "s:id:a:bad"]
    assert ids(view, Look(search="import x")) == ["c:id:a"]
    assert ids(view, Look(search="nowhere")) == []
    assert ids(view, Look(search="question 5", status="failed")) == []


def test_restored_steps_are_found_as_restored() -> None:
    view = view_of(
        e.attached(), e.cell_started("c1"), *calls("c1", 5), e.cell_completed("c1"), e.attached(2),
        e.cell_restored("c2", "c1"),
    )  # fmt: skip
    found = rows(view, Look(status="restored"))
    assert [row["status"] for row in found] == ["restored"] * 7
    assert ids(view, Look(status="ran")) == []


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"first": -3, "count": 10**9, "open": [1], "status": "gone", "search": 5, "inspect": {}},
        {"first": "a", "count": None, "open": {"c": 1}, "status": ["x"], "search": None},
    ],
)
def test_what_is_wrong_in_a_look_counts_as_not_said(message: dict[str, object]) -> None:
    look = parse_look(message)
    assert look.first == 0
    assert 0 <= look.count <= 500
    assert not look.is_narrowed
    assert not any(look.open.values())


def test_a_look_is_read() -> None:
    look = parse_look(
        {"first": 7, "count": 50, "open": {"c:a": True, "c:b": False}, "status": "failed",
         "search": "  Why ", "inspect": "s:1"}
    )  # fmt: skip
    assert look == Look(7, 50, {"c:a": True, "c:b": False}, "failed", "why", "s:1")


def test_a_window_into_a_hundred_thousand_steps_costs_what_one_into_ten_does() -> None:
    def cost(count: int) -> int:
        view = view_of(e.attached(), e.cell_started("c1"), *calls("c1", count))
        look = Look(first=count // 2, count=40, open={"g:id:a:ask": True})
        shown = outline(view, look, found_in).window(look.first, look.count)
        assert len(shown) == 40
        return e.calls(lambda: outline(view, look, found_in).window(look.first, look.count))

    assert cost(100_000) == cost(200)
