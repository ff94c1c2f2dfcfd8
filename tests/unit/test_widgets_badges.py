"""A cell's badge says what the events say, and a page gets only badges that changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import view_events as e

from evercell.testing import ManualClock
from evercell_widgets.badges import Badge, Badges, badge_of, facts_of
from evercell_widgets.follow import Followed
from evercell_widgets.view import RunView, apply_all

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell import events as ev


def view_of(*events: ev.Event) -> RunView:
    view = RunView()
    apply_all(view, events)
    return view


def only_badge(*events: ev.Event) -> Badge:
    (execution,) = view_of(*events).rows.values()
    return badge_of(execution)


def test_a_cell_that_ran_says_what_it_spent() -> None:
    ran = [e.step_started("s1", "c1"), e.used("s1"), e.step_completed("s1")]
    badge = only_badge(e.attached(), e.cell_started("c1"), *ran, e.cell_completed("c1"))
    assert badge["status"] == "completed"
    assert (badge["duration"], badge["tokens"], badge["cost"]) == (50 * e.MS, 110, 0.5)
    assert (badge["steps"], badge["ended"], badge["restored"]) == (1, 1, 0)


def test_a_running_cell_counts_steps_that_have_ended() -> None:
    steps = [
        e.step_started("s1", "c1"), e.step_completed("s1"),
        e.step_started("s2", "c1"), e.step_failed("s2"),
        e.step_started("s3", "c1"), e.attempt_failed("s3"),
        e.step_started("s4", "c1"),
    ]  # fmt: skip
    badge = only_badge(e.attached(), e.cell_started("c1"), *steps)
    assert badge["status"] == "running"
    assert (badge["steps"], badge["ended"], badge["failed"]) == (4, 2, 1)


def test_a_restored_cell_says_what_it_saved() -> None:
    first = [e.attached(), e.cell_started("c1"), e.step_started("s1", "c1"), e.used("s1")]
    first += [e.step_completed("s1"), e.cell_completed("c1"), e.attached(2)]
    badge = only_badge(*first, e.cell_restored("c2", "c1"))
    assert badge["status"] == "restored"
    assert (badge["saved"], badge["saved_tokens"], badge["saved_cost"]) == (900 * e.MS, 110, 0.5)


def test_a_cell_that_was_cut_off_is_in_doubt_and_keeps_its_finished_steps() -> None:
    badge = only_badge(*e.killed_at_step(5))
    assert (badge["status"], badge["steps"], badge["ended"]) == ("in doubt", 6, 5)


def test_only_badges_that_changed_are_given() -> None:
    view = view_of(e.attached(), e.cell_started("c1", "id:a"), e.cell_started("c2", "id:b"))
    badges = Badges()
    assert [badge["slot"] for badge in badges.changed(view)] == ["id:a", "id:b"]
    assert badges.changed(view) == []
    apply_all(view, [e.cell_completed("c2")])
    assert [badge["status"] for badge in badges.changed(view)] == ["completed"]


def test_the_run_adds_up() -> None:
    view = view_of(e.attached(2), e.cell_started("c1"), e.step_started("s1", "c1"), e.used("s1"))
    facts = facts_of(view)
    assert (facts["run_id"], facts["generation"], facts["state"]) == ("run1", 2, "running")
    assert (facts["tokens"], facts["cost"]) == (110, 0.5)


class Source:
    """Events in memory; `during` arrive while the past is read, and are in it, too."""

    def __init__(self, past: list[ev.Event], during: tuple[ev.Event, ...]) -> None:
        self.past, self.during = past, during
        self.listener: Callable[[tuple[ev.Event, ...]], None] | None = None

    def events_so_far(self) -> list[ev.Event]:
        assert self.listener is not None
        self.listener(self.during)
        return [*self.past, *self.during]

    def is_over(self) -> bool:
        return False

    def subscribe(self, listener: Callable[[tuple[ev.Event, ...]], None]) -> Callable[[], None]:
        self.listener = listener

        def unsubscribe() -> None:
            self.listener = None

        return unsubscribe


def test_an_event_that_comes_both_ways_counts_once() -> None:
    past = [e.attached(), e.cell_started("c1"), e.step_started("s1", "c1")]
    source = Source(past, (e.used("s1"),))
    notices: list[bool] = []
    followed = Followed(source, lambda: notices.append(True), ManualClock(past[-1].at))
    assert followed.view.cost == 0.5
    followed.fold()
    assert followed.view.cost == 0.5
    assert notices == [True]
    assert source.listener is not None
    source.listener((e.used("s1"),))
    assert followed.fold() is True
    assert followed.view.cost == 1.0
    assert followed.fold() is False
    followed.close()
    assert source.listener is None
