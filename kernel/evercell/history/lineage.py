"""A notebook's run that was forked from another one shares its history up to that point.

    lineage(run) ─> the runs that it shares, the oldest first, each up to a place in its order

What is shared stays the other run's: nothing is copied, so nothing is counted twice. Waits that had
not ended, and signals that nobody had taken, stay with the other run altogether. Where the result
of a step was overridden, so do waits that ended after it: what people said was about another one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from evercell.events import (
    ApprovalAnswered,
    ApprovalRequested,
    RunStarted,
    SignalAwaited,
    SignalReceived,
    SignalTaken,
    TimerCanceled,
    TimerFired,
    TimerStarted,
    decode_event,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    import duckdb

    from evercell.events import Event
    from evercell.history.queries import Check

__all__ = ["Shared", "ended_steps", "ended_waits", "last_place", "lineage"]


class Shared(msgspec.Struct, frozen=True):
    """A run, and up to which place in its order it is shared."""

    run_id: str
    top: int
    waits: int  # the same for what was waited for


def lineage(connection: duckdb.DuckDBPyConnection, run_id: str, check: Check) -> list[Shared]:
    """What the run shares of others, the oldest first; only on the word of this user's records."""
    found: list[Shared] = []
    overridden: set[str] = set()  # steps, of this run's origin or of one before that
    while True:
        # A result that is not fetched whole keeps the connection from other work.
        rows: list[Any] = connection.execute(
            """SELECT seq, type, body, tag FROM store.event
            WHERE run_id = ? AND type = 'RunStarted' LIMIT 1""",
            [run_id],
        ).fetchall()
        if not rows or not check(rows[0][3], (run_id, *rows[0][:3])):
            break
        event = decode_event(rows[0][2])
        if not isinstance(event, RunStarted) or event.forked_from is None:
            break
        run_id, top = event.forked_from, event.forked_at or 0
        overridden.update(event.overrides)
        ends = _ends(connection, run_id, top, overridden) if overridden else {}
        overridden -= ends.keys()
        waits = 0 if overridden else min([top, *ends.values()])
        found.append(Shared(run_id, top, waits))
    return found[::-1]


def _ends(
    connection: duckdb.DuckDBPyConnection, run_id: str, top: int, steps: set[str]
) -> dict[str, int]:
    """The places where those of `steps` that are the run's had ended."""
    rows = connection.execute(
        """SELECT activity_id, max(seq) FROM store.event
        WHERE run_id = ? AND seq <= ? AND type IN ('StepCompleted', 'StepFailed')
            AND activity_id IN (SELECT unnest(?))
        GROUP BY activity_id""",
        [run_id, top, list(steps)],
    ).fetchall()
    return dict(rows)


def last_place(connection: duckdb.DuckDBPyConnection, run_id: str) -> int:
    """The place of the run's latest event."""
    ((place,),) = connection.execute(
        "SELECT max(seq) FROM store.event WHERE run_id = ?", [run_id]
    ).fetchall()
    return place or 0


def ended_steps(connection: duckdb.DuckDBPyConnection, run: Shared) -> set[str]:
    """The activity_ids of the steps that had ended in what is shared of the run."""
    rows = connection.execute(
        """SELECT DISTINCT activity_id FROM store.event
        WHERE run_id = ? AND seq <= ? AND type IN ('StepCompleted', 'StepFailed')""",
        [run.run_id, run.top],
    ).fetchall()
    return {activity_id for (activity_id,) in rows}


def ended_waits(events: Iterable[Event]) -> list[Event]:
    """Of a run's waits those that came to their end, with what ended them."""
    events = list(events)
    ends: dict[str, Event] = {}
    for event in events:
        if isinstance(event, SignalTaken | TimerFired | ApprovalAnswered | TimerCanceled):
            ends[event.activity_id] = event
    ended = {it for it, end in ends.items() if not isinstance(end, TimerCanceled)}
    taken = {end.signal_id for end in ends.values() if isinstance(end, SignalTaken)}

    def is_shared(event: Event) -> bool:
        match event:
            case SignalReceived(signal_id=signal_id):
                return signal_id in taken
            case TimerStarted() | SignalAwaited() | ApprovalRequested():
                return event.activity_id in ended
            case SignalTaken() | TimerFired() | ApprovalAnswered():
                return ends.get(event.activity_id) is event and event.activity_id in ended
            case _:
                return False

    return list(filter(is_shared, events))
