"""What comes of a step's end, found out while the disk makes that durable.

    written ─┬─ the system takes it to the disk ────────────────────────┬─ synced ─> carried out
             └─ the run's code gets the result, and runs until it waits ─┘     └ failed ─> held

Workflow code has no effects of its own: what it asks for is recorded and begun afterwards, by
`Ahead.conclude`. The worker's turn is held until the sync is over, so that nobody looks at the run
meanwhile: no query, no other input. Where code is about to do something that shows, on the author's
word or by printing, the sync is waited for first (`settle`). If it fails, what was found out waits
as all does that follows from events which can't be written (outage.py); the events stay queued.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from evercell.errors import HistoryWriteError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evercell.engine.workflow.instance import Instance
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event

__all__ = ["Ahead", "record"]


class Ahead:
    """The last of a step's events on its way to its run; in the worker's queue, once recorded."""

    __slots__ = (
        "_asked", "_event", "_failed", "_here", "_instance", "_run_id", "_settle", "_worker", "why",
    )  # fmt: skip

    def __init__(self, worker: WorkflowWorker, run_id: str, event: Event) -> None:
        self._worker = worker
        self._run_id = run_id
        self._event = event
        self._here = threading.get_ident()
        self._instance: Instance | None = None  # whose code has it
        self._failed: Exception | None = None  # what the code could not go on for
        self._asked: tuple[Event, ...] = ()  # what of its asks is in the journal's queue
        self._settle: Callable[[], None] = lambda: None
        self.why: str | None = None  # it can't be written at the time

    def tell(self, failure: str | None) -> None:
        """It was recorded, or can't be at the time; by the thread that wrote."""
        self.why, worker = failure, self._worker
        if failure is None:
            worker.recorded(self, wake=threading.get_ident() != self._here)
        else:
            worker.outage.stalled(failure, self.conclude)

    def go(self, settle: Callable[[], None]) -> None:
        """Let the run's code have it, unless something else is to reach it before. `settle()`
        returns when `tell` was called."""
        worker = self._worker
        instance = worker.instances.get(self._run_id)
        if instance is None or instance.finished is not None or not worker.at_rest:
            return
        if worker.guard.lenient:
            return  # what goes on within `workflow.unsafe()` may do anything
        self._instance, self._settle, instance.ahead = instance, settle, self
        try:
            instance.activate(self._event)
            if instance.finished is None:
                asked = self._asked = tuple(instance.take_asked())
                if asked:
                    worker.history.queue(asked)
                worker.carrier.make_ready(instance)
        except Exception as error:  # noqa: BLE001 - `conclude` says what becomes of it
            self._failed = error
        finally:
            instance.ahead = None

    def settle(self) -> None:
        """Return when it is durable. Raises HistoryWriteError."""
        self._settle()
        if self.why is not None:
            raise HistoryWriteError(self.why)

    def __call__(self) -> None:
        self._worker.outage.follow(self.conclude)

    def conclude(self) -> None:
        """It is durable: carry out what comes of it. In the worker's turn."""
        instance, worker = self._instance, self._worker
        worker.history.show(self._asked)
        if instance is None or worker.instances.get(self._run_id) is not instance:
            worker.reach(self._run_id, self._event)
            return
        worker.runner.delivered(self._event.activity_id)  # type: ignore[attr-defined] # a step's
        if self._failed is not None or instance.work or instance.finished is not None:
            worker.go_on(instance, self._raise)

    def _raise(self) -> None:
        if self._failed is not None:
            raise self._failed


def record(worker: WorkflowWorker, run_id: str, events: Sequence[Event]) -> bool:
    """Record a step's end, whose last event is for the run, on the calling thread, and carry out
    what comes of it. Whether it was recorded here; then `go_on_here` does what is left of that."""
    ahead = Ahead(worker, run_id, events[-1])
    commit_here = worker.history.commit_here
    told = False

    def work() -> None:
        nonlocal told
        told = commit_here(events, ahead.tell, ahead.go)
        if ahead.why is not None:
            worker.outage.begin(ahead.why)  # before anybody can look at the run
        elif told:
            worker.reach_here()

    if not worker.turn.take_if_free(work):
        told = commit_here(events, ahead.tell)
    return told
