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
    e.StepCanceled(RUN, AT, "a-3", 1, "KeyboardInterrupt"),
    e.StepFailed(RUN, AT, "a-4", 1, ERROR, "gave up", 5),
    e.StepsAnswered(RUN, AT, "a-1", ("a-2", "a-4")),
    e.CellCompleted(
        RUN, AT, "a-1", b"k", 9, {"x": b"v"}, (e.Product(("x",), b"v", PAYLOAD),), ("y",), (), None,
        None, True,
    ),
    e.CellFailed(RUN, AT, "a-5", 9, ERROR),
    e.CellRestored(RUN, AT, "a-6", "a-1", "s", 0, None, "x", b"d", 0, "", 2, 5, 9),
    e.RunDetached(RUN, AT, 1),
    e.RunFinished(RUN, AT, "completed"),
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
