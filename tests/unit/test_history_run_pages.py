"""Events of workflows' runs, read in bulk: what comes back, in which order, and what does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import msgspec
import pytest

from evercell import events as e
from evercell.history import History, seals

if TYPE_CHECKING:
    from pathlib import Path


def recorded(history: History, run_id: str, steps: int) -> list[e.Event]:
    """A run with steps of all sorts: large, shown, skipped, failed, in doubt."""
    events: list[e.Event] = [
        e.RunAttached(run_id, 1, 1, 1, "host", None, None),
        e.TimerStarted(run_id, 2, "t-1", "workflow", "sleep", 9),
    ]
    for n in range(steps):
        once, text = n % 7 == 3, "ä" * n if n % 5 else "x" * 5000
        arguments = f'{{"text":"{text}"}}'
        events.append(
            e.StepStarted(
                run_id, n, f"s-{n}", "", "workflow", "ask", bytes([n % 256]) * 32, n, arguments,
                once,
            )
        )  # fmt: skip
        size = (0, 10, 3000, 100_000)[n % 4]
        payload = history.put(b'"' + b"y" * size + b'"', "json")
        view = '"seen"' if n % 11 == 5 else None
        reason = "skipped by ann" if n % 13 == 6 else None
        if n % 17 == 8:
            error = e.ErrorInfo("ValueError", "no", "")
            events.append(e.StepFailed(run_id, n, f"s-{n}", 1, error, "maximum attempts"))
        elif n % 19 != 9:
            events.append(e.StepCompleted(run_id, n, f"s-{n}", 1, payload, view, n, reason))
    return events


def test_all_come_back_as_they_were_and_in_order(tmp_path: Path) -> None:
    history = History(tmp_path)
    runs = {name: recorded(history, name, steps) for name, steps in (("r1", 120), ("r2", 3))}
    for events in zip(*runs.values(), strict=False):
        history.append(*events)
    history.commit(*runs["r1"][len(runs["r2"]) :])
    found = history.workflows.events(["r1", "r2", "nobody"])
    assert found["nobody"] == []
    for name, events in runs.items():  # as they are read one by one, which fills in views
        assert found[name] == history.events(name)
        assert list(map(bare, found[name])) == list(map(bare, events))
    history.close()


def bare(event: e.Event) -> e.Event:
    """Without what is there for people only."""
    return msgspec.structs.replace(event, view=None) if hasattr(event, "view") else event


@pytest.mark.parametrize(
    "change",
    [
        "payload_data = '\"forged\"'::BLOB, payload_size = 8",
        "attempt = 2",
        "activity_id = 's-2'",
        "tag = NULL",
        "type = 'StepStarted'",
    ],
)
def test_a_changed_row_is_left_out_and_its_user_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    monkeypatch.setattr(seals, "SIZE", 1)  # else those that are proved with it go, too
    history = History(tmp_path)
    events = recorded(history, "r1", 12)
    history.commit(*events)
    kept = [
        it
        for it in history.workflows.events(["r1"])["r1"]
        if not (isinstance(it, e.StepCompleted) and it.activity_id == "s-1")
    ]
    where = "type = 'StepCompleted' AND activity_id = 's-1'"
    with duckdb.connect(str(tmp_path / "history.duckdb")) as connection:
        connection.execute(f"UPDATE store.event SET {change} WHERE {where}")
    assert history.workflows.events(["r1"])["r1"] == kept
    assert "were " in "".join(history.take_notices())
    history.close()
