"""Every event comes back from its row as it was recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell import events as e
from evercell.history import History

if TYPE_CHECKING:
    from pathlib import Path

RUN, AT = "r000000001", 1_767_225_600_000_000_000
PAYLOAD = e.Payload(b"0" * 16, "json", 3, b"1.5")
ERROR = e.ErrorInfo("ValueError", "no", "Traceback ...", PAYLOAD)

EVENTS: list[e.Event] = [
    e.RunStarted(RUN, AT, "notebook", "/nb.ipynb", {"n": 1}, "cpython-311", "0.1.0"),
    e.RunAttached(RUN, AT, 1, 42, "host", None, "/nb.ipynb"),
    e.CellStarted(RUN, AT, "a-1", "s", 0, "id", "x", b"d", 0, "executed", "new", 1),
    e.StepStarted(RUN, AT, "a-2", "a-1", "s", "ask", b"k", 1, '{"p":1}', True),
    e.AttemptFailed(RUN, AT, "a-2", 1, e.ErrorInfo("OSError", "x"), 1000),
    e.AttemptStarted(RUN, AT, "a-2", "a-1", 2),
    e.UsageRecorded(RUN, AT, "a-2", 2, "m", 3, 4, 0.25),
    e.StepCompleted(RUN, AT, "a-2", 2, PAYLOAD, None, 77),
    e.StepCompleted(RUN, AT, "a-15", 1, PAYLOAD, None, 0, "skipped by me"),
    e.StepCanceled(RUN, AT, "a-3", 1, "KeyboardInterrupt"),
    e.StepFailed(RUN, AT, "a-4", 1, ERROR, "gave up", 5),
    e.StepsAnswered(RUN, AT, "a-1", ("a-2", "a-4")),
    e.CellCompleted(
        RUN, AT, "a-1", b"k", 9, {"x": b"v"}, (e.Product(("x",), b"v", PAYLOAD),), ("y",), (), None,
        None, True,
    ),
    e.CellFailed(RUN, AT, "a-5", 9, ERROR),
    e.CellRestored(RUN, AT, "a-6", "a-1", "s", 0, None, "x", b"d", 0, "", 2, 5, 9),
    e.CellAccepted(
        RUN, AT, "a-15", "a-1", "s", 0, "id", "x", b"d", 0, {"x": b"v"}, "edited", "me", "host"
    ),
    e.CellVerified(RUN, AT, "a-1", 5, (e.Verdict(("x",), b"w", "it is odd"),)),
    e.CellForgotten(RUN, AT, "a-16", ("a-1",), "s", 0, None, "x", "me", "host"),
    e.RunDetached(RUN, AT, 1),
    e.RunFinished(RUN, AT, "completed"),
    e.RunStarted(
        RUN, AT, "flow", "/nb.ipynb", {"n": 1}, "cpython-311", "0.1.0",
        e.WorkflowStart("flow-1", "host", PAYLOAD, b"seed", b"v", deadline=AT, overrides=("a-2",)),
    ),
    e.TimerStarted(RUN, AT, "a-7", "workflow", "sleep", AT + 5),
    e.TimerFired(RUN, AT, "a-7"),
    e.TimerCanceled(RUN, AT, "a-8"),
    e.SignalReceived(RUN, AT, "s-1", "approve", PAYLOAD, "[1.5]", "me"),
    e.TimerStarted(RUN, AT, "a-16", "id:a", "sleep", AT + 5, "a-1", b"k", 1),
    e.SignalAwaited(RUN, AT, "a-17", "id:a", "approve", AT + 9, "a-1", b"k", 1),
    e.SignalTaken(RUN, AT, "a-17", "s-1"),
    e.ConditionAwaited(RUN, AT, "a-18", "workflow", "Cell In[3], line 4", AT + 9),
    e.WaitEnded(RUN, AT, "a-18"),
    e.SignalSent(RUN, AT, "a-9", "another", "go", b"k", "[]"),
    e.CancelSent(RUN, AT, "a-10", "another", "enough"),
    e.DeliveryReported(RUN, AT, "a-9", ERROR),
    e.ApprovalRequested(RUN, AT, "a-11", "workflow", "Deploy?", '{"type":"object"}', AT + 9),
    e.ApprovalAnswered(RUN, AT, "a-11", True, PAYLOAD, "{}", "me", "c-1"),
    e.UpdateAccepted(RUN, AT, "u-1", "set", PAYLOAD, "[2]"),
    e.UpdateCompleted(RUN, AT, "u-1", PAYLOAD, "2"),
    e.CancelRequested(RUN, AT, "c-2", None, "enough"),
    e.CancelRequested(RUN, AT, "c-3", "a-2", "enough", "me"),
    e.CommandReceived(RUN, AT, "c-4", "skip", "a-2", "me"),
    e.ChildStarted(RUN, AT, "a-12", "child", "flow", "flow-2", b"k", "abandon"),
    e.ChildFinished(RUN, AT, "a-12", "child", "failed", error=ERROR),
    e.MarkerRecorded(RUN, AT, "a-13", "side effect", "dice", PAYLOAD, "4"),
    e.AttributesSet(RUN, AT, "a-14", '{"stage":2}'),
    e.HeartbeatRecorded(RUN, AT, "a-2", 1, PAYLOAD, "40"),
    e.RunBlocked(RUN, AT, ERROR),
    e.ScheduleSet(RUN, AT, "nightly", "flow", '{"every":"1d"}', PAYLOAD),
    e.ScheduleFired(RUN, AT, "nightly", AT, "child"),
    e.MapStarted(RUN, AT, "a-1", "ask", 600),
]  # fmt: skip


def test_every_event_type_is_tried() -> None:
    assert {type(event) for event in EVENTS} == set(e.EVENT_TYPES.values())


def test_events_come_back_equal_and_in_order(tmp_path: Path) -> None:
    history = History(tmp_path)
    try:
        history.commit(*EVENTS)
        assert history.events(RUN) == EVENTS
        assert history.events("another") == []
    finally:
        history.close()
