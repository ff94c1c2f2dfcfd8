"""A notebook's run: found or begun, attached to for the life of a kernel, left in good order.

open_run -> find the current run, or begin one -> attach (one kernel at a time) -> fold its cells
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal

import msgspec
from msgspec import field

from evercell import __version__
from evercell.clock import SystemClock
from evercell.engine.scope import Scope
from evercell.engine.state import RunState
from evercell.errors import UsageError
from evercell.events import RunAttached, RunDetached, RunFinished, RunStarted
from evercell.history import StepTable, same_parameters

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from evercell.clock import Clock
    from evercell.engine.control import Control
    from evercell.engine.waitlist import WaitList
    from evercell.history import History, RunLock

__all__ = ["ABI", "Run", "RunRequest", "begin_run", "check_own", "open_run", "resume_run"]

ABI = sys.implementation.cache_tag


class RunRequest(msgspec.Struct, frozen=True):
    """What a kernel wants to run: the notebook, and how it was started."""

    notebook: str  # absolute path, or "kernel:<name>" where the frontend tells no path
    parameters: Mapping[str, Any]
    kernel_id: str | None
    fresh: bool = False  # begin another run even if there is one to resume
    run: str | None = None  # the one to resume, its id or the beginning of it; None: the current


class Run(msgspec.Struct):
    """The run that this process is attached to."""

    history: History
    clock: Clock
    run_id: str
    request: RunRequest
    lock: RunLock
    state: RunState
    slots: frozenset[str]  # that had steps when this kernel attached
    activities: dict[str, Control] = field(default_factory=dict)  # steps under way
    waits: WaitList | None = None  # set by who takes commands for the run
    on_first_call: Callable[[], None] | None = None  # durable, of a cell that runs
    tell: Callable[[str], None] = field(default=lambda _: None)  # the user, while a cell runs
    _steps: dict[str, StepTable] = field(default_factory=dict)

    def steps(self, slot: str) -> StepTable:
        """The recorded calls of a cell by (key, ordinal); read once, then kept up to date by the
        scopes that hold it."""
        table = self._steps.get(slot)
        if table is None:
            table = StepTable()
            if slot in self.slots:
                # Attaching folded what there is of this run: nobody else adds to it since, and
                # whatever this process adds to the slot goes into the table.
                table = self.history.folded_steps(self.run_id, slot, self._tell)
            self._steps[slot] = table
        return table

    def _tell(self, line: str) -> None:
        self.tell(line)  # of the cell that runs then

    def scope(
        self,
        slot: str,
        live: dict[str, Any],
        *,
        resuming: bool,
        data_version: Callable[[str], bytes | None],
    ) -> Scope:
        """A new execution of the slot's cell; see Scope for `resuming` and `data_version`."""
        return Scope(
            history=self.history,
            clock=self.clock,
            run_id=self.run_id,
            cell=self.history.new_activity_id(),
            slot=slot,
            live=live,
            resuming=resuming,
            load=lambda: self.steps(slot),
            data_version=data_version,
            activities=self.activities,
            waits=self.waits,
        )

    def finish(self, status: Literal["completed", "failed", "canceled"]) -> None:
        """Record that a headless run came to its end; durable on return."""
        self.history.commit(RunFinished(self.run_id, self.clock.now(), status))

    def detach(self) -> None:
        """Let go of the run in good order; durable on return."""
        try:
            self.history.commit(RunDetached(self.run_id, self.clock.now(), self.lock.generation))
        finally:
            self.lock.release()


def open_run(history: History, request: RunRequest, clock: Clock | None = None) -> Run:
    """Attach to the run that is asked for, or to the notebook's current one, or begin its first.

    Raises RunInUseError when another kernel is attached, what `resume_run` raises for a run that is
    asked for, and what reading the history raises.
    """
    clock = clock or SystemClock()
    if request.fresh:
        return begin_run(history, request, clock)
    if request.run is not None:
        return resume_run(history, request, clock, request.run)
    with history.unread() as unread:
        if unread:
            return begin_run(history, request, clock)
    with history.opening():
        known = history.current_run(
            request.notebook, request.parameters, kernel_id=request.kernel_id
        )
        if known is None:
            return begin_run(history, request, clock)
        run = _take(history, request, clock, known.run_id)
    _attached(run)
    return run


def begin_run(history: History, request: RunRequest, clock: Clock | None = None) -> Run:
    """Begin another run of the notebook, which is its current run from now on."""
    clock = clock or SystemClock()
    run_id = clock.new_id()
    lock = history.attach(run_id, new=True)
    run = Run(history, clock, run_id, request, lock, RunState(), frozenset())
    history.append(
        RunStarted(
            run_id=run_id,
            at=clock.now(),
            workflow="notebook",
            notebook=request.notebook,
            parameters=dict(request.parameters),
            python=ABI or "",
            evercell=__version__,
        )
    )
    _attached(run)
    return run


def resume_run(history: History, request: RunRequest, clock: Clock, name: str) -> Run:
    """Attach to the notebook's run whose id begins so, which is its current run from now on.

    Raises RunNotFoundError, UsageError for a run that this kernel can't carry on, RunInUseError.
    """
    with history.opening():
        run = _take(history, request, clock, check_own(history, request, name))
    _attached(run)
    return run


def check_own(history: History, request: RunRequest, name: str) -> str:
    """The id of the run whose id begins so. Raises RunNotFoundError, and UsageError unless it is a
    run of this notebook with these parameters."""
    known = history.run(name)
    if known.workflow != "notebook":
        raise UsageError(
            f"Run {known.run_id} is a workflow's: it goes on with the notebook's run that started "
            "it. To fork it: handle.fork() or `evercell fork`."
        )
    here = request.notebook, dict(request.parameters)
    if known.notebook != here[0] or not same_parameters(known.parameters, here[1]):
        raise UsageError(
            f"Run {known.run_id} is of {known.notebook} with the parameters {known.parameters}, "
            f"and this kernel is at {here[0]} with {here[1]}. Take a kernel of that notebook."
        )
    return known.run_id


def _take(history: History, request: RunRequest, clock: Clock, run_id: str) -> Run:
    lock = history.attach(run_id)
    try:
        state = RunState.fold(history.cell_events(run_id))
        slots = frozenset(history.step_slots(run_id))
    except BaseException:
        lock.release()
        raise
    return Run(history, clock, run_id, request, lock, state, slots)


def _attached(run: Run) -> None:
    run.history.commit(
        RunAttached(
            run_id=run.run_id,
            at=run.clock.now(),
            generation=run.lock.generation,
            pid=os.getpid(),
            host=os.uname().nodename,
            kernel_id=run.request.kernel_id,
            notebook=run.request.notebook,
        )
    )
