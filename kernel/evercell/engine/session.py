"""A kernel process under history: what the kernel opens at its first cell and closes at its end."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Literal

from evercell.cell.files import leave_out
from evercell.cell.trial import LIMIT
from evercell.cell.words import words_in
from evercell.clock import SystemClock
from evercell.engine.feed import RunFeed
from evercell.engine.notebook import NotebookRun
from evercell.engine.post import Post
from evercell.engine.receiver import NotebookReceiver, interrupt_main_thread
from evercell.engine.run import begin_run, check_own, open_run, resume_run
from evercell.engine.scope import forget_scopes
from evercell.engine.waitlist import WaitList
from evercell.engine.workflow.holder import hold_worker
from evercell.errors import EvercellError, NotInKernelError
from evercell.history import History, own_paths
from evercell.loading import importing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from evercell.clock import Clock
    from evercell.engine.accept import Accepted
    from evercell.engine.commands import Fork
    from evercell.engine.explain import Explanation
    from evercell.engine.host import CellRequest, Host
    from evercell.engine.preview import CellPreview, NotebookCell
    from evercell.engine.run import Run, RunRequest
    from evercell.engine.state import RunState
    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import CellForgotten

__all__ = ["Session", "current_session"]

_current: Session | None = None


class Session:
    """The history, the run and the cells of this process. One at a time.

    `commands` takes in what people and other processes tell the runs of this process; whoever has
    a run registers for it.
    """

    def __init__(
        self,
        history: History,
        request: RunRequest,
        live: dict[str, Any],
        project: Path | None,
        clock: Clock,
        *,
        on_first_call: Callable[[], None] | None = None,
    ) -> None:
        self.history = history
        self.request = request
        self.clock = clock
        self._live = live
        self._project = project
        self.commands = Post(history, clock)
        self._on_first_call = on_first_call
        self._leave_run: Callable[[], None] = lambda: None
        self.cells = self._take(open_run(history, request, clock))
        self._worker: WorkflowWorker | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        request: RunRequest,
        live: dict[str, Any],
        project: Path | None = None,
        clock: Clock | None = None,
        *,
        on_first_call: Callable[[], None] | None = None,
    ) -> Session:
        """Open the history in `folder`, attach to the notebook's run, and become current.

        `on_first_call` is called when a cell that runs makes its first durable call (a step, a
        wait, a workflow), on the thread that makes it.

        Raises RunInUseError, HistoryWriteError, HistoryNewerError, JournalDamagedError,
        HistoryLockedError; then nothing is open.
        """
        global _current  # noqa: PLW0603 - a process has one kernel
        clock = clock or SystemClock()
        history = History(folder, clock=clock)
        leave_out(own_paths(history.folder))
        try:
            session = cls(history, request, live, project, clock, on_first_call=on_first_call)
        except BaseException:
            history.close()
            raise
        history.start_folding()
        # Before the first cell, so that what was said while no kernel lived comes before what
        # its waits find. What can't be recorded now stays for the post's thread.
        with suppress(EvercellError):
            session.commands.deliver()
        session.commands.start()
        _current = session
        hold_worker(session._worker_for_calls)
        return session

    def _take(self, run: Run) -> NotebookRun:
        """Have the run's cells wait durably, and its commands come here."""
        waits = WaitList(self.history, self.clock, run.run_id, self.commands.call_at)
        run.waits = waits
        run.on_first_call = self._on_first_call
        cells = NotebookRun(run, self._live, self._project)
        receiver = NotebookReceiver(
            run,
            waits,
            self._live,
            running=lambda: cells.running,
            interrupt=interrupt_main_thread,
            fork=self._fork,
        )
        unregister = self.commands.register(run.run_id, receiver)

        def leave() -> None:
            unregister()
            waits.close()

        self._leave_run = leave
        return cells

    @property
    def run_id(self) -> str:
        """The current run's id."""
        return self.cells.run.run_id

    async def execute(self, request: CellRequest, host: Host) -> dict[str, Any]:
        """Restore the cell or run it; returns the content of the execute_reply."""
        try:
            return await self.cells.execute(request, host)
        finally:
            self._define_workflows()

    @property
    def workflows(self) -> WorkflowWorker:
        """The thread that carries this run's workflows; made when it is first asked for."""
        if self._worker is None:
            # Here, because few notebooks need them.
            with importing:
                from evercell.engine.workflow.registry import HostRun  # noqa: PLC0415
                from evercell.engine.workflow.worker import WorkflowWorker  # noqa: PLC0415

            run = self.cells.run
            host = HostRun(
                run.run_id, run.lock.generation, os.getpid(), os.uname().nodename,
                self.request.kernel_id, self.request.notebook,
            )  # fmt: skip
            self._worker = WorkflowWorker(
                self.history,
                host,
                self._live,
                clock=self.clock,
                notice=_to_stderr,
                post=self.commands,
            )
        return self._worker

    def _worker_for_calls(self) -> WorkflowWorker:
        self.define_new()
        return self.workflows

    def define_new(self) -> None:
        """Have open runs go on with what the cell that runs has defined so far: it asks for them.
        Not as soon as it is defined: what the code uses may stand below it."""
        module = sys.modules.get("evercell.engine.workflow.definition")
        if module is None:
            return
        for name, definition in list(module.UNTOLD.items()):
            self._define([definition])
            module.UNTOLD.pop(name, None)

    def _define_workflows(self) -> None:
        """Have open runs go on whose definition the cell made, imported or gave back."""
        module = sys.modules.get("evercell.engine.workflow.definition")
        if module is None:
            return
        kind = module.Workflow
        found = {v.name: v for v in list(self._live.values()) if type(v) is kind}
        self._define({**module.DEFINED, **found}.values())
        module.UNTOLD.clear()

    def _define(self, definitions: Iterable[Workflow[..., Any]]) -> None:
        for definition in definitions:
            self.workflows.define(definition)

    def _fork(self, command: Fork) -> None:
        with importing:
            from evercell.engine.workflow.outside import fork_for  # noqa: PLC0415 - few need it

        fork_for(self.workflows, command)

    def _stop_workflows(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.close()

    @property
    def state(self) -> RunState:
        """What the current run's cells amount to."""
        return self.cells.run.state

    def preview(self, cells: Iterable[NotebookCell]) -> tuple[CellPreview, ...]:
        """What Restart and Run All would do to the notebook's cells as they stand now."""
        return self.cells.preview(cells)

    def explain(self, cells: Iterable[NotebookCell], chosen: int) -> Explanation | None:
        """Why the cell with the index `chosen` would be restored or run; None if there is none."""
        return self.cells.explain(cells, chosen)

    def accept(self, cells: Iterable[NotebookCell], chosen: int | None = None) -> Accepted:
        """Keep recorded results of stale cells on the user's word; durable on return."""
        return self.cells.accept(cells, chosen)

    def forget(
        self, cells: Iterable[NotebookCell], chosen: int | None = None
    ) -> tuple[CellForgotten, ...]:
        """Take the records of a cell, or of all, out of use for good; durable on return."""
        return self.cells.forget(cells, chosen)

    def provide(self, text: str | None, *, run: bool = True) -> None:
        """Load the restored variables that `text` names and that waited; None: all. `run`: also
        those that it takes a cell's run to make.

        Raises PayloadError, RestoreError.
        """
        self.cells.provide(None if text is None else words_in(text), run=run)

    def waiting(self) -> tuple[str, ...]:
        """The restored variables that are not loaded yet."""
        return tuple(self.cells.namespace.pending)

    def new_run(self) -> str:
        """Leave the current run and begin another; returns its id. Variables stay as they are.

        Raises what reading the history raises; then the current run goes on.
        """
        return self._go_over(lambda: begin_run(self.history, self.request, self.clock))

    def resume_run(self, run: str) -> str:
        """Leave the current run and go on with an earlier one of this notebook (its id or the
        beginning of it); returns its id. Variables stay as they are.

        Raises RunNotFoundError, UsageError for a run that this kernel can't carry on,
        RunInUseError, and what reading the history raises; then the current run goes on.
        """
        wanted = check_own(self.history, self.request, run)
        if wanted == self.run_id:
            return wanted
        return self._go_over(lambda: resume_run(self.history, self.request, self.clock, wanted))

    def fork_run(self, run: str | None = None, overrides: Mapping[str, Any] | None = None) -> str:
        """Leave the current run and begin one that knows what `run` has finished (its id or the
        beginning of it; None: the current one), with other results for the steps that `overrides`
        names (see `record_fork`); returns its id. Variables stay as they are.

        Raises RunNotFoundError, UsageError for a run that this kernel can't fork, ForkError, and
        what reading the history raises; then the current run goes on.
        """
        with importing:
            from evercell.engine.forks import record_fork  # noqa: PLC0415 - few need it

        origin = check_own(self.history, self.request, run or self.run_id)
        forked = record_fork(self.history, self.clock, origin, overrides, self._live)
        return self.resume_run(forked)

    def _go_over(self, begin: Callable[[], Run]) -> str:
        self.cells.provide(None, run=True)
        self.cells.verifying.close()
        run = begin()
        try:
            self._stop_workflows()
            self._leave_run()
            self.cells.run.detach()
        finally:
            self.cells = self._take(run)
        return self.run_id

    def wait_for_workflows(self) -> Iterator[tuple[str, str, str]]:
        """(run_id, workflow, how it ended) of each run that is open now, as they end; an interrupt
        ends the wait, not the runs.

        Raises WorkflowBlockedError and WorkflowNotDefinedError for runs that can't go on.
        """
        self._define_workflows()
        if self._worker is None:
            return
        with importing:
            from evercell.engine.workflow.handle import wait_for_end  # noqa: PLC0415 - as above

        for run_id, started in list(self._worker.open_runs()):
            end = wait_for_end(self._worker, run_id)
            yield run_id, started.workflow, end.status

    def feed(self) -> RunFeed:
        """The run's events, past and coming, for a display."""
        return RunFeed(self.history, self.run_id)

    def finish(self, status: Literal["completed", "failed", "canceled"]) -> None:
        """Record that a headless run came to its end, and whether what it made comes back."""
        self.cells.verifying.close(LIMIT)
        self.cells.run.finish(status)

    def close(self) -> None:
        """Detach from the run and make everything durable. Idempotent."""
        global _current  # noqa: PLW0603
        if _current is not self:
            return
        _current = None
        forget_scopes()
        hold_worker(None)
        self.commands.close()
        self._leave_run()
        try:
            self._stop_workflows()
            self.cells.verifying.close()
            self.cells.run.detach()
        finally:
            self.history.close()


def _to_stderr(line: str) -> None:
    with suppress(OSError, ValueError):  # a log on the disk that is full, or closed
        print(f"evercell: {line}", file=sys.stderr)  # noqa: T201 - no cell's output


def current_session() -> Session:
    """The session of this process. Raises NotInKernelError where there is none."""
    if _current is None:
        raise NotInKernelError(
            "this needs a notebook on the Evercell kernel, and none is recording in this process. "
            "Choose the kernel 'Evercell (Python 3)', or run %load_ext evercell and another cell."
        )
    return _current
