"""Values that are tried beside the kernel: what was found is recorded as soon as it is known.

    cell finished, durable ─ begin ─ a thread waits for the copy ─> CellVerified, durable
                                                               └──> taken in before the next cell

A cell whose kernel ended in between is run again: nobody knows whether its record is true.
"""

from __future__ import annotations

import time
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from evercell.engine import clear
from evercell.errors import HistoryError
from evercell.events import CellVerified, Verdict
from evercell.threads import OwnThread

if TYPE_CHECKING:
    from evercell.cell.capture import Unverified
    from evercell.cell.namespace import Namespace
    from evercell.engine.run import Run
    from evercell.events import CellCompleted

__all__ = ["Verifying"]

_PATIENCE = 3.0  # seconds that a kernel that ends waits for what is being tried


class Verifying:
    """The trials of one run in this process. Its methods are for the main thread."""

    def __init__(self, run: Run, namespace: Namespace) -> None:
        self._run = run
        self._namespace = namespace
        self._trials: list[tuple[OwnThread, Unverified]] = []
        self._found: list[tuple[CellCompleted, CellVerified]] = []
        self._ending = False

    def begin(self, completed: CellCompleted, unverified: Unverified) -> None:
        """The cell is recorded: record also what comes out of the trial."""
        thread = OwnThread(partial(self._wait, completed, unverified), "evercell-trial")
        self._trials.append((thread, unverified))
        thread.start()

    def _wait(self, completed: CellCompleted, unverified: Unverified) -> None:
        answer = unverified.trial.result()
        if answer is None and self._ending:
            return
        event = CellVerified(
            run_id=self._run.run_id,
            at=(now := self._run.clock.now()),
            activity_id=completed.activity_id,
            duration=max(0, now - completed.at),
            products=tuple(
                Verdict(found.names, found.version, clear.reason(found.reason))
                for found in unverified.settle(answer)
            ),
        )
        with suppress(HistoryError):  # then it stays unverified; the next cell says what is wrong
            self._run.history.append(event)
            self._found.append((completed, event))

    def take(self) -> None:
        """Have the run and its namespace know what was found meanwhile. Between cells."""
        self._trials = [trial for trial in self._trials if trial[0].is_alive()]
        while self._found:
            completed, event = self._found.pop(0)
            final = {v.names: v.version for v in event.products}
            versions = {p.version: final[p.names] for p in completed.products if p.names in final}
            self._namespace.traces.settle(versions, self._namespace.versions)
            come_back = [n for v in event.products if v.reason is None for n in v.names]
            self._namespace.in_turn.difference_update(come_back)
            self._run.state.apply(event)

    def close(self, patience: float | None = None) -> None:
        """Wait for what is being tried, for so many seconds; the rest stays unverified."""
        limit = time.monotonic() + (_PATIENCE if patience is None else patience)
        for thread, _ in self._trials:
            thread.join(max(0.0, limit - time.monotonic()))
        self._ending = True
        for thread, unverified in self._trials:
            if thread.is_alive():
                unverified.trial.kill()
                thread.join()
        self._trials.clear()
