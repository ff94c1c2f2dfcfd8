"""The feeder: everything is shown, nothing twice, and it sleeps when nothing happens."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import view_events as e

from evercell.clock import SystemClock
from evercell_widgets.feeder import Feeder

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell import events as ev
    from evercell_widgets.snapshot import Snapshot


class Source:
    """Events in memory; `during` are those that arrive while the past is read."""

    def __init__(self, *past: ev.Event, during: tuple[ev.Event, ...] = ()) -> None:
        self.past, self.during = list(past), during
        self.listener: Callable[[tuple[ev.Event, ...]], None] | None = None

    def events_so_far(self) -> list[ev.Event]:
        if self.during:
            self.emit(*self.during)
        return list(self.past)

    def subscribe(self, listener: Callable[[tuple[ev.Event, ...]], None]) -> Callable[[], None]:
        self.listener = listener

        def unsubscribe() -> None:
            self.listener = None

        return unsubscribe

    def emit(self, *events: ev.Event) -> None:
        self.past += events
        if self.listener is not None:
            self.listener(events)


class Sink:
    """Keeps pictures, and lets a test wait for one."""

    def __init__(self) -> None:
        self.pictures: list[Snapshot] = []
        self._came = threading.Condition()

    def __call__(self, picture: Snapshot) -> None:
        with self._came:
            self.pictures.append(picture)
            self._came.notify_all()

    def wait_for(self, completed: int) -> Snapshot:
        with self._came:
            assert self._came.wait_for(lambda: bool(self._with(completed)), timeout=10)
            return self._with(completed)[-1]

    def _with(self, completed: int) -> list[Snapshot]:
        return [p for p in self.pictures if p["header"]["steps"]["completed"] == completed]


def feed(source: Source, frames: Sink, stills: Sink) -> Feeder:
    return Feeder(
        source, frame=frames, still=stills, clock=SystemClock(), frame_interval=0.01,
        still_interval=0.05,
    )  # fmt: skip


def steps(first: int, last: int) -> list[ev.Event]:
    return [
        event
        for n in range(first, last)
        for event in (e.step_started(f"s{n}", "c1"), e.step_completed(f"s{n}"))
    ]


def test_the_last_state_is_always_shown_both_ways() -> None:
    source, frames, stills = Source(e.attached(), e.cell_started("c1")), Sink(), Sink()
    feeder = feed(source, frames, stills)
    assert feeder.start()["header"]["state"] == "running"
    for event in steps(0, 500):
        source.emit(event)
    assert frames.wait_for(500)["cells"][0]["steps"]["completed"] == 500
    assert stills.wait_for(500)["since"] == 0
    assert len(frames.pictures) < 500  # coalesced
    feeder.close()


def test_frames_join_without_a_gap() -> None:
    source, frames, stills = Source(e.attached(), e.cell_started("c1")), Sink(), Sink()
    feeder = feed(source, frames, stills)
    revision = feeder.start()["revision"]
    for event in steps(0, 300):
        source.emit(event)
    frames.wait_for(300)
    for picture in frames.pictures:
        assert picture["since"] == revision
        revision = picture["revision"]
    feeder.close()


def test_events_notified_while_the_past_is_read_count_once() -> None:
    during = tuple(steps(0, 3))
    clock = SystemClock()
    recent = [_at(event, clock.now()) for event in (e.attached(), e.cell_started("c1"))]
    source = Source(*recent, during=tuple(_at(event, clock.now()) for event in during))
    frames, stills = Sink(), Sink()
    feeder = feed(source, frames, stills)
    assert feeder.start()["header"]["steps"]["completed"] == 3
    source.emit(*steps(3, 5))
    last = frames.wait_for(5)
    assert last["header"]["steps"]["total"] == 5
    feeder.close()


def test_closing_shows_what_came_last_and_ends_the_subscription() -> None:
    source, frames, stills = Source(e.attached(), e.cell_started("c1")), Sink(), Sink()
    feeder = feed(source, frames, stills)
    feeder.start()
    source.emit(*steps(0, 2))
    assert feeder.close()["header"]["steps"]["completed"] == 2
    assert stills.pictures[-1]["header"]["steps"]["completed"] == 2
    assert source.listener is None
    feeder.close()


def test_a_prompt_feeder_shows_the_end_of_a_cell_before_the_source_goes_on() -> None:
    source, frames, stills = Source(e.attached(), e.cell_started("c1")), Sink(), Sink()
    feeder = Feeder(source, frame=frames, still=stills, clock=SystemClock(), prompt=True)
    feeder.start()
    source.emit(*steps(0, 2), e.cell_completed("c1"))
    assert stills.pictures[-1]["cells"][0]["status"] == "completed"
    feeder.close()


def test_it_sleeps_while_nothing_happens() -> None:
    source, frames, stills = Source(e.attached()), Sink(), Sink()
    feeder = feed(source, frames, stills)
    feeder.start()
    source.emit(e.cell_started("c1"), *steps(0, 1))
    stills.wait_for(1)
    shown = len(frames.pictures), len(stills.pictures)
    threading.Event().wait(0.2)  # twenty intervals in which it could have shown something
    assert (len(frames.pictures), len(stills.pictures)) == shown
    feeder.close()


def _at(event: ev.Event, at: int) -> ev.Event:
    import msgspec

    return msgspec.structs.replace(event, at=at)
