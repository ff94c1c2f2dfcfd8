"""Frames: a page that merges them has what a whole frame holds, whatever happened between."""

from __future__ import annotations

import json

import view_events as e
from hypothesis import example, given, settings
from hypothesis import strategies as st
from test_widgets_view import EVENTS

from evercell import events as ev
from evercell_widgets.details import details_of
from evercell_widgets.frames import Frame, Viewers, frame_of
from evercell_widgets.outline import Look
from evercell_widgets.view import RunView, apply_all

NOW = 1_700_000_100 * 10**9
LOOKS = st.builds(
    Look,
    st.integers(0, 6),
    st.integers(0, 8),
    st.dictionaries(
        st.sampled_from(["c:id:a", "c:id:b", "g:id:a:ask", "g:id:b:ask"]), st.booleans()
    ),
    st.sampled_from(["", "", "failed", "restored"]),
    st.sampled_from(["", "", "ask"]),
    st.sampled_from([None, "c:id:a", "s:id:a:s1", "g:id:a:ask", "x"]),
)


class Time:
    """A clock that goes on only when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class Page:
    """Merges frames as `static/store.js` does."""

    def __init__(self) -> None:
        self.rows: dict[str, object] = {}

    def take(self, frame: Frame) -> list[object]:
        self.rows |= {row["id"]: row for row in frame["rows"]}
        self.rows = {id_: self.rows[id_] for id_ in frame["order"]}
        return [self.rows[id_] for id_ in frame["order"]]


def viewers_of(view: RunView, clock: Time | None = None) -> Viewers:
    return Viewers(view, now=lambda: NOW, monotonic=(clock or Time()).monotonic)


@settings(max_examples=300)
@example(
    [
        e.cell_started("c0", "id:a"),
        e.answered("c0", "s0", "s1"),
        e.cell_restored("c1", "c0", "id:b"),
        e.attempt_failed("s0"),
    ],
    [(3, Look()), (4, None)],
)
@given(EVENTS, st.lists(st.tuples(st.integers(0, 40), LOOKS | st.none()), max_size=5))
def test_merged_frames_are_the_whole(
    events: list[ev.Event], cuts: list[tuple[int, Look | None]]
) -> None:
    view = RunView()
    viewers, page = viewers_of(view), Page()
    look, done = Look(), 0
    page.take(viewers.look("p", look, fresh=True))
    for cut, other in [*sorted(cuts, key=lambda pair: pair[0]), (len(events), None)]:
        apply_all(view, events[done:cut])
        done = max(done, cut)
        if other is None:
            ((_, frame),) = viewers.frames()
        else:
            look = other
            frame = viewers.look("p", look)
        whole = frame_of(view, look, now=NOW)
        assert page.take(frame) == whole["rows"]
        assert {**frame, "rows": [], "number": 0} == {**whole, "rows": []}
        json.dumps(frame)


def test_only_rows_that_changed_are_sent_again() -> None:
    view = RunView()
    apply_all(view, [e.attached(), e.cell_started("c1"), e.step_started("s1", "c1")])
    viewers = viewers_of(view)
    assert len(viewers.look("p", Look())["rows"]) == 2
    apply_all(view, [e.step_started("s2", "c1")])
    ((_, frame),) = viewers.frames()
    assert [row["id"] for row in frame["rows"]] == ["c:id:a", "s:id:a:s2"]
    assert frame["order"] == ["c:id:a", "s:id:a:s1", "s:id:a:s2"]
    assert [row["id"] for row in viewers.look("p", Look(), fresh=True)["rows"]] == frame["order"]


def test_a_window_beyond_the_end_shows_the_end() -> None:
    view = RunView()
    steps = [e.step_started(f"s{n}", "c1") for n in range(3)]
    apply_all(view, [e.cell_started("c1"), *steps])
    frame = frame_of(view, Look(first=50, count=2), now=NOW)
    assert (frame["first"], frame["total"], frame["order"]) == (2, 4, ["s:id:a:s1", "s:id:a:s2"])


def test_a_search_is_done_again_when_it_has_paid_for_itself_and_owed_until_then() -> None:
    view, clock = RunView(), Time()
    viewers = viewers_of(view, clock)
    look = Look(search="{}")
    apply_all(view, [e.cell_started("c1"), *(e.step_started(f"s{n}", "c1") for n in range(5))])

    class Slow(Time):
        def monotonic(self) -> float:
            clock.seconds += 0.01  # each look at the clock: a search takes 10 ms
            return clock.seconds

    viewers = Viewers(view, now=lambda: NOW, monotonic=Slow().monotonic)
    assert viewers.look("p", look)["total"] == 7
    apply_all(view, [e.step_started("s5", "c1")])
    ((_, frame),) = viewers.frames()
    assert frame["total"] == 7
    assert viewers.owe
    clock.seconds += 5
    ((_, frame),) = viewers.frames()
    assert frame["total"] == 8
    assert not viewers.owe


def test_pages_beyond_the_most_are_forgotten_the_oldest_first() -> None:
    viewers = viewers_of(RunView())
    for n in range(8):
        viewers.look(f"p{n}", Look())
    viewers.look("p2", Look())
    assert [name for name, _ in viewers.frames()] == ["p3", "p4", "p5", "p6", "p7", "p2"]
    for n in range(8):
        viewers.leave(f"p{n}")
    assert not viewers


def test_details_tell_arguments_result_attempts_and_errors() -> None:
    view = RunView()
    result = ev.Payload(b"0" * 16, "json", 9, b'{"ok": 1}')
    apply_all(
        view,
        [
            e.attached(), e.cell_started("c1", source="a = 1\nask(a)"),
            e.step_started("s1", "c1", arguments='{"prompt": "<script>"}'), e.attempt_failed("s1"),
            e.attempt_started("s1", "c1"), e.used("s1"),
            ev.StepCompleted("run1", NOW, "s1", 2, result, None, 5 * e.MS),
        ],
    )  # fmt: skip
    details = details_of(view, "s:id:a:s1")
    assert details is not None
    texts = {text["title"]: text["text"] for text in details["texts"]}
    assert texts["Arguments"] == '{\n  "prompt": "<script>"\n}'
    assert texts["Result"] == '{\n  "ok": 1\n}'
    assert "RateLimitError: 429" in texts["Failed attempts"]
    facts = dict(details["facts"])
    assert (facts["State"], facts["Attempts"], facts["Tokens"]) == ("ran", "2", "110")
    cell = details_of(view, "c:id:a")
    assert cell is not None
    assert cell["texts"][0]["text"] == "a = 1\nask(a)"
    assert details_of(view, "s:id:a:gone") is None
    assert details_of(view, "nonsense") is None


def test_a_group_tells_what_failed() -> None:
    view = RunView()
    events = [e.attached(), e.cell_started("c1")]
    for n in range(6):
        events += [e.step_started(f"s{n}", "c1", arguments=f'{{"n": {n}}}'), e.step_failed(f"s{n}")]
    apply_all(view, events)
    details = details_of(view, "g:id:a:ask")
    assert details is not None
    assert details["texts"][0]["text"].count("ValueError: <b>no</b>") == 6
