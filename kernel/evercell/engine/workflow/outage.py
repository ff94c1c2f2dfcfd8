"""While the history can't be written: who waits is told why, nothing begins, and nothing is lost.

    events stay queued in the journal ─ `hold` ─> the waiting are told, new calls are refused
      ─ a call comes, or a second has passed: can it be written now?
      ─> what follows from the events, in the journal's order; steps and timers begin again

For the worker's thread, apart from `why`.
"""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import TYPE_CHECKING

from evercell.errors import HistoryWriteError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event

__all__ = ["RETRY", "Outage"]

RETRY = 1.0  # seconds between two tries


class Outage:
    """One worker's; `why` is None as long as there is none."""

    def __init__(self, worker: WorkflowWorker) -> None:
        self._worker = worker
        self.why: str | None = None
        self._held: deque[Callable[[], None]] = deque()  # in the order of the journal
        self._asking = False

    def stalled(self, why: str, item: Callable[[], None]) -> None:
        """`hold`, from any thread."""
        self._worker.soon(partial(self.hold, why, item))

    def stalled_ends(self, why: str, ends: list[tuple[str, Event]]) -> None:
        """`stalled`, for inputs that are to reach their runs."""
        for run_id, event in ends:
            self.stalled(why, partial(self._worker.reach, run_id, event))

    def commit_then(self, events: Sequence[Event], done: Callable[[], None]) -> None:
        """Have `done` called on the worker's thread, in the journal's order, when `events` are
        durable."""

        def tell(failure: str | None) -> None:
            if failure is None:
                self._worker.soon(partial(self.follow, done))
            else:
                self.stalled(failure, done)

        self._worker.history.commit_then(events, tell)

    def begin(self, why: str) -> None:
        """The history can't be written at the time."""
        if self.why is None:
            self.why, worker, error = why, self._worker, HistoryWriteError(why)
            worker.notice(why)
            for run_id in {run_id for run_id, _ in worker.carrier.updates.values()}:
                worker.carrier.give_up_updates(run_id, error)
            worker.waiting.tell_all(error)

    def hold(self, why: str, item: Callable[[], None]) -> None:
        """`item` follows from events that can't be written at the time."""
        self.begin(why)
        self._held.append(item)

    def follow(self, item: Callable[[], None]) -> None:
        """`item` follows from durable events; now, or behind what comes before it."""
        if self.why is None:
            item()
        else:
            self._held.append(item)

    def refuse(self) -> None:
        """Go on if the history can be written now; else raise HistoryWriteError."""
        if self.why is not None:
            self._worker.history.commit()
            self._end()

    def ask(self) -> None:
        """Go on soon, if the history can be written."""
        if self.why is None or self._asking:
            return
        self._asking = True

        def tell(failure: str | None) -> None:
            self._worker.soon(partial(self._answered, failure))

        self._worker.history.commit_then((), tell)

    def _answered(self, failure: str | None) -> None:
        self._asking = False
        if failure is None:
            self._end()

    def _end(self) -> None:
        self.why = None
        held, self._held = self._held, deque()
        for item in held:
            self._worker.do(item)
