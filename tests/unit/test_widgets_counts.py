"""How many steps will come, and how long they will take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import view_events as e

from evercell_widgets.snapshot import Snapshot, snapshot
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from evercell import events as ev


def picture(*events: ev.Event, after: int = 0) -> Snapshot:
    """As it is `after` ns after the last event."""
    view = RunView()
    apply_all(view, events)
    return snapshot(view, now=events[-1].at + after)


def ended(count: int) -> list[ev.Event]:
    return [
        event for n in range(count) for event in (e.step_started(f"s{n}", "c1"),
                                                  e.step_completed(f"s{n}"))
    ]  # fmt: skip


def test_a_map_tells_how_many_will_come_and_its_pace_how_long() -> None:
    events = [e.attached(), e.cell_started("c1"), e.map_started("c1", 10), *ended(4)]
    shown = picture(*events, after=e.MS)  # 4 calls in 8 ms, one of which has passed by now
    counts = shown["cells"][0]["steps"]
    assert (counts["total"], counts["planned"]) == (4, 10)
    assert shown["header"]["eta"] == 6 * 8 * e.MS // 4


def test_answers_of_the_history_are_no_calls_to_come() -> None:
    events = [
        *e.killed_at_step(6), e.cell_started("c2"), e.map_started("c2", 4),
        e.answered("c2", *(f"s{n}" for n in range(6))), e.attempt_started("s6", "c2"),
    ]  # fmt: skip
    counts = picture(*events)["cells"][0]["steps"]
    assert (counts["total"], counts["planned"]) == (7, 10)


def test_two_maps_of_one_step_add_up() -> None:
    events = [e.cell_started("c1"), e.map_started("c1", 2), *ended(2), e.map_started("c1", 5)]
    assert picture(*events)["cells"][0]["steps"]["planned"] == 7


def test_without_a_map_or_a_pace_nothing_is_foretold() -> None:
    assert picture(e.cell_started("c1"), *ended(5))["header"]["eta"] is None
    few = [e.cell_started("c1"), e.map_started("c1", 9), *ended(2)]
    assert picture(*few)["header"]["eta"] is None


def test_a_cell_that_ended_expects_nothing() -> None:
    events = [e.cell_started("c1"), e.map_started("c1", 9), *ended(4), e.cell_failed("c1")]
    shown = picture(*events)
    assert shown["cells"][0]["steps"]["planned"] == 0
    assert shown["header"]["eta"] is None
