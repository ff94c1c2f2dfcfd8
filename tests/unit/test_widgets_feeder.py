"""The feeder: everything is shown, nothing twice, and it sleeps when nothing happens."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, TypeVar

import view_events as e

from evercell.clock import SystemClock
from evercell_widgets.feeder import Feeder
from evercell_widgets.outline import Look

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell import events as ev
    from evercell_widgets.frames import Frame
    from evercell_widgets.snapshot import Snapshot

T = TypeVar("T")


class Source:
    """Events in memory; `during` are those that arrive while the past is read."""

    def __init__(self, *past: ev.Event, during: tuple[ev.Event, ...] = ()) -> None:
        self.past, self.during = list(past), during
        self.over = False
        self.listener: Callable[[tuple[ev.Event, ...]], None] | None = None

    def events_so_far(self) -> list[ev.Event]:
        if self.during:
            self.emit(*self.during)
        return list(self.past)

    def is_over(self) -> bool:
        return self.over

    def subscribe(self, listener: Callable[[tuple[ev.Event, ...]], None]) -> Callable[[], None]:
        self.listener = listener

        def unsubscribe() -> None:
            self.listener = None

        return unsubscribe

    def emit(self, *events: ev.Event) -> None:
        self.past += events
        if self.listener is not None:
            self.listener(events)


class Screen:
    """Keeps pictures, and lets a test wait for one."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, Frame]] = []
        self.pictures: list[Frame] = []
        self.stills: list[Snapshot] = []
        self._came = threading.Condition()

    def frame(self, page: str, frame: Frame) -> None:
        with self._came:
            self.frames.append((page, frame))
            self._came.notify_all()

    def picture(self, frame: Frame) -> None:
        with self._came:
            self.pictures.append(frame)
            self._came.notify_all()

    def still(self, picture: Snapshot) -> None:
        with self._came:
            self.stills.append(picture)
            self._came.notify_all()

    def wait_for(self, shown: Callable[[Screen], list[T]], completed: int) -> T:
        """The first picture among `shown` with so many completed steps."""

        def found() -> list[T]:
            return [p for p in shown(self) if p["header"]["steps"]["completed"] == completed]  # type: ignore[index]

        with self._came:
            assert self._came.wait_for(lambda: bool(found()), timeout=10)
            return found()[0]


def pictures(screen: Screen) -> list[Frame]:
    return screen.pictures


def stills(screen: Screen) -> list[Snapshot]:
    return screen.stills


def frames(screen: Screen) -> list[Frame]:
    return [frame for _, frame in screen.frames]


def feed(source: Source, screen: Screen, **options: bool) -> Feeder:
    return Feeder(
        source, screen, clock=SystemClock(), frame_interval=0.01, still_interval=0.05, **options
    )  # fmt: skip


def steps(first: int, last: int) -> list[ev.Event]:
    return [
        event
        for n in range(first, last)
        for event in (e.step_started(f"s{n}", "c1"), e.step_completed(f"s{n}"))
    ]


def test_the_last_state_is_always_shown_both_ways() -> None:
    source, screen = Source(e.attached(), e.cell_started("c1")), Screen()
    feeder = feed(source, screen)
    first, still = feeder.start()
    assert first["header"]["state"] == still["header"]["state"] == "running"
    for event in steps(0, 500):
        source.emit(event)
    assert screen.wait_for(pictures, 500)["total"] == 2
    assert screen.wait_for(stills, 500)["cells"][0]["steps"]["completed"] == 500
    assert len(screen.pictures) < 500  # coalesced
    feeder.close()


def test_a_page_sees_at_once_what_it_looks_at_and_then_what_changes() -> None:
    source, screen = Source(e.attached(), e.cell_started("c1"), *steps(0, 30)), Screen()
    feeder = feed(source, screen)
    feeder.start()
    opened = Look(first=10, count=5, open={"g:id:a:ask": True})
    feeder.look("p", opened)
    ((_, frame),) = screen.frames
    assert frame["order"] == [f"s:id:a:s{n}" for n in range(8, 13)]
    source.emit(*steps(30, 300))
    last = screen.wait_for(frames, 300)
    assert last["total"] == 302
    assert last["rows"] == []  # what is in sight did not change
    assert {page for page, _ in screen.frames} == {"p"}
    feeder.leave("p")
    source.emit(*steps(300, 301))
    assert screen.wait_for(pictures, 301)["order"] == ["c:id:a", "g:id:a:ask"]
    feeder.close()


def test_a_look_shows_what_was_not_shown_yet() -> None:
    source, screen = Source(e.attached(), e.cell_started("c1")), Screen()
    feeder = feed(source, screen)  # not started: nobody folds in the background
    source.emit(*steps(0, 7))
    feeder.look("p", Look())
    assert screen.frames[0][1]["header"]["steps"]["completed"] == 7


def test_a_search_that_was_put_off_is_shown_in_the_end() -> None:
    source, screen = Source(e.attached(), e.cell_started("c1"), *steps(0, 2000)), Screen()
    feeder = feed(source, screen)
    feeder.start()
    feeder.look("p", Look(search="{}"))
    assert screen.frames[0][1]["total"] == 2002
    source.emit(*steps(2000, 2003))
    deadline = threading.Event()
    while screen.frames == [] or screen.frames[-1][1]["total"] != 2005:
        assert not deadline.wait(0.01)
    feeder.close()


def test_events_notified_while_the_past_is_read_count_once() -> None:
    during = tuple(steps(0, 3))
    clock = SystemClock()
    recent = [_at(event, clock.now()) for event in (e.attached(), e.cell_started("c1"))]
    source = Source(*recent, during=tuple(_at(event, clock.now()) for event in during))
    screen = Screen()
    feeder = feed(source, screen)
    assert feeder.start()[0]["header"]["steps"]["completed"] == 3
    source.emit(*steps(3, 5))
    last = screen.wait_for(pictures, 5)
    assert last["header"]["steps"]["total"] == 5
    feeder.close()


def test_closing_shows_what_came_last_and_ends_the_subscription() -> None:
    source, screen = Source(e.attached(), e.cell_started("c1")), Screen()
    feeder = feed(source, screen)
    feeder.start()
    source.emit(*steps(0, 2))
    assert feeder.close()["header"]["steps"]["completed"] == 2
    assert screen.stills[-1]["header"]["steps"]["completed"] == 2
    assert source.listener is None
    feeder.close()


def test_a_prompt_feeder_shows_the_end_of_a_cell_before_the_source_goes_on() -> None:
    source, screen = Source(e.attached(), e.cell_started("c1")), Screen()
    feeder = feed(source, screen, prompt=True)
    feeder.start()
    source.emit(*steps(0, 2), e.cell_completed("c1"))
    assert screen.stills[-1]["cells"][0]["status"] == "completed"
    feeder.close()


def test_what_nobody_has_is_in_doubt_from_when_its_process_let_go() -> None:
    source, screen = Source(e.attached(), e.cell_started("c1")), Screen()
    source.over = True
    feeder = feed(source, screen)
    first, _ = feeder.start()
    assert first["header"]["state"] == "stopped"
    source.over = False
    source.emit(e.attached(generation=2), e.cell_started("c1"), *steps(0, 1))
    assert screen.wait_for(pictures, 1)["header"]["state"] == "running"
    source.over = True
    source.emit()  # it says only that
    last = feeder.close()
    assert last["header"]["state"] == "stopped"
    assert last["cells"][0]["status"] == "in doubt"


def test_it_sleeps_while_nothing_happens() -> None:
    source, screen = Source(e.attached()), Screen()
    feeder = feed(source, screen)
    feeder.start()
    source.emit(e.cell_started("c1"), *steps(0, 1))
    screen.wait_for(stills, 1)
    shown = len(screen.pictures), len(screen.stills)
    threading.Event().wait(0.2)  # twenty intervals in which it could have shown something
    assert (len(screen.pictures), len(screen.stills)) == shown
    feeder.close()


def _at(event: ev.Event, at: int) -> ev.Event:
    import msgspec

    return msgspec.structs.replace(event, at=at)
