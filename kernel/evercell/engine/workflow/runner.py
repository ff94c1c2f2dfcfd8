"""Where the bodies of a workflow's steps run: async ones on an event loop of their own, sync ones
on a pool of threads. Attempts and retries are those of every step (engine/attempts.py).

    start(job) ─ body ─ retries ... ─ StepCompleted | StepFailed, recorded ─> deliver(run_id, event)

The final event is handed to the workflow in the order of the journal, which is what a replay sees.
Async steps that end in one round of their loop are recorded, and delivered, at once. If they are
few, the loop's thread records them, carries their runs on and begins their next steps by itself
(turn.py), and so does the thread of a sync step that is the only one; the task of a lone async step
goes on with the next one, where nothing else waits for the loop.
"""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from contextvars import Context, copy_context
from time import monotonic
from typing import TYPE_CHECKING

import msgspec

from evercell import events as e
from evercell.engine.attempts import drive, drive_async
from evercell.engine.scope import leave_scope
from evercell.engine.straight import perform, perform_async
from evercell.engine.workflow.ahead import record
from evercell.engine.workflow.within import Within, abandon
from evercell.errors import HistoryError, StepCanceledError, UsageError
from evercell.threads import carry_runs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from evercell.engine.attempts import Attempts
    from evercell.engine.control import Control
    from evercell.engine.workflow.job import Job
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event

    End = tuple[str, Event]

__all__ = ["StepRunner"]

_THREADS = 64
_FINAL = (e.StepCompleted, e.StepFailed)
_ONE_TASK = sys.version_info >= (3, 14)  # of a thread, not of a loop, can be running
_FEW = 16  # ends in a round of the loop that its thread records, and carries on from, by itself
_STRETCH = 0.005  # seconds in which a task may go from step to step without a round of the loop


class _HandedOn(BaseException):
    """Ends the driving of a step that has nothing to do any more."""


class StepRunner:
    """Carries out the steps of one worker's runs."""

    def __init__(self, worker: WorkflowWorker) -> None:
        self._worker = worker
        self._next: list[Job] = []  # that they were asked for is not recorded yet
        self._ended: list[tuple[Job, Sequence[Event]]] = []  # in this round, to be recorded
        self._queue: deque[Job] = deque()  # of async steps
        self._tasks: dict[str, tuple[asyncio.Task[None], Context]] = {}
        self.controls: dict[str, Control] = {}  # of the steps under way: what commands reach
        self._canceled: set[str] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._ident = 0  # of that thread
        self._context = Context()  # of the loop's thread, that bodies begin in
        self._free = threading.local()  # `job`: the next one of a pool's thread; None: any
        self._pool: ThreadPoolExecutor | None = None
        self._woken = False
        self._stretch = 0.0  # when the loop's latest task began
        self._goes_on = False  # it is about to take the next step itself
        self._alone = False  # the loop's thread recorded the end of its only step by itself
        self._closed = False
        self._jobs: set[str] = set()  # activities whose final event is not delivered

    def has(self, activity_id: str) -> bool:
        """Whether the step is being carried out. For the worker's thread."""
        return activity_id in self._jobs

    def start(self, job: Job) -> None:
        """Carry the step out after the next `flush`. For the worker's thread."""
        self._jobs.add(job.activity_id)
        self._next.append(job)

    def refuse(self, job: Job) -> None:
        """Record that an at-most-once step can't be known to have had no effect."""
        self._jobs.add(job.activity_id)
        self._commit([(job, (job.in_doubt(),))])

    def cancel(self, activity_id: str) -> None:
        """The workflow no longer wants the step; a thread's result is dropped."""
        if activity_id not in self._jobs:
            return
        self._jobs.discard(activity_id)
        self._canceled.add(activity_id)
        control = self.controls.get(activity_id)
        if control is not None:
            with suppress(UsageError):  # it has ended
                control.cancel("the workflow no longer wants it", lambda: None)
        loop = self._loop
        if loop is not None:
            loop.call_soon_threadsafe(self._cancel, activity_id)

    def delivered(self, activity_id: str) -> None:
        """The step's final event reached its run. For the worker's thread."""
        self._jobs.discard(activity_id)
        self._canceled.discard(activity_id)

    @property
    def busy(self) -> bool:
        """Whether a step is being carried out. For the worker's thread."""
        return bool(self._jobs)

    def close(self) -> None:
        """Stop without recording anything: what runs is in doubt, as after a kill."""
        self._closed = True
        loop, self._loop = self._loop, None
        if loop is not None:
            loop.call_soon_threadsafe(loop.stop)
            if self._thread is not None:
                self._thread.join()
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)

    # -- async steps ----------------------------------------------------------------------------

    def flush(self) -> None:
        """Let the steps begin that were started: all that was asked for is recorded. For the
        worker's thread."""
        started, self._next = self._next, []
        for job in started:
            if job.work.step.is_async:
                self._queue.append(job)
            elif getattr(self._free, "job", job) is None:
                self._free.job = job
            else:
                if self._pool is None:
                    self._pool = ThreadPoolExecutor(_THREADS, "evercell-step", carry_runs)
                self._pool.submit(self._run_sync, job)
        if not self._queue:
            return
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(
                target=self._run_loop, args=(self._loop,), name="evercell-steps", daemon=True
            )
            self._thread.start()
        if threading.get_ident() == self._ident:
            if not self._goes_on:
                self._begin()
        elif not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._begin)

    def _run_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        self._ident = threading.get_ident()
        carry_runs()
        loop.set_default_executor(ThreadPoolExecutor(None, "evercell-to-thread", carry_runs))
        asyncio.set_event_loop(loop)
        leave_scope()
        self._context = copy_context()
        try:
            loop.run_forever()
        finally:
            abandon(asyncio.all_tasks(loop), dict(self._tasks.values()))
            self._tasks.clear()
            loop.close()

    def _begin(self) -> None:
        self._woken = False
        self._stretch = monotonic()
        loop = asyncio.get_running_loop()
        while self._queue:
            job = self._queue.popleft()
            if job.activity_id not in self._canceled:
                context = self._context.copy()
                # As loop.create_task, which asks for a factory and a mode first.
                task = asyncio.Task(self._run_async(job), loop=loop, context=context)
                self._tasks[job.activity_id] = task, context

    def _cancel(self, activity_id: str) -> None:
        known = self._tasks.get(activity_id)
        if known is not None:
            known[0].cancel()

    async def _run_async(self, job: Job) -> None:
        """Carry `job` out, and then what comes of it, if that is one async step: a task of its own,
        and the round of the loop in which it would begin, take as long as the step."""
        known = self._tasks[job.activity_id]
        moves: Awaitable[None] = self._perform_async(job)
        following: Job | None = job
        while following is not None:
            try:
                await moves
            finally:
                self._tasks.pop(following.activity_id, None)
            following = self._next_here(known[0])
            if following is not None:
                self._tasks[following.activity_id] = known
                moves = Within(self._context.copy(), self._perform_async(following))

    def _next_here(self, task: asyncio.Task[None]) -> Job | None:
        """Carry the run on whose step `task` recorded alone; the step that `task` is to go on
        with."""
        if not self._alone:
            return None
        self._alone = False
        loop = asyncio.get_running_loop()
        if _ONE_TASK:
            loop.call_soon(self._worker.go_on_here)
            return None
        self._goes_on = True
        try:
            self._worker.go_on_here()
        finally:
            self._goes_on = False
        busy = getattr(loop, "_ready", True) or monotonic() > self._stretch + _STRETCH
        if busy or len(self._queue) != 1 or task.cancelling():
            self._begin()
            return None
        job = self._queue.popleft()
        return None if job.activity_id in self._canceled else job

    async def _perform_async(self, job: Job) -> None:
        async def commit(*events: Event) -> None:
            if not self._handed_on(job, events, self._collect):
                await job.scope.history.commit_async(*events)

        work = job.work
        body = functools.partial(work.step.__wrapped__, *work.args, **work.kwargs)
        attempts, recorder = job.attempts()
        try:
            if work.step.straight:
                await perform_async(attempts, recorder, body, commit)
            else:
                await drive_async(attempts, body, commit)
        except (_HandedOn, asyncio.CancelledError):
            pass
        except Exception as end:  # noqa: BLE001 - who waits for the step is to know of it
            self._end_otherwise(job, attempts, end)

    def _collect(self, job: Job, events: Sequence[Event]) -> None:
        """Record the step's end with those of the others that end in this round."""
        if len(self._tasks) == 1 and not self._ended:
            self._goes_on = True
            try:
                self._alone = self._commit_here([(job, events)], ahead=not _ONE_TASK)
            finally:
                self._goes_on = False
            return
        if not self._ended:
            asyncio.get_running_loop().call_soon(self._commit_round)
        self._ended.append((job, events))

    def _commit_round(self) -> None:
        ended, self._ended = self._ended, []
        if len(ended) > _FEW:
            self._commit(ended)
        elif self._commit_here(ended):
            self._worker.go_on_here()

    # -- sync steps -----------------------------------------------------------------------------

    def _run_sync(self, job: Job) -> None:
        following: Job | None = job
        while following is not None:
            context = copy_context()
            context.run(leave_scope)
            alone = context.run(self._perform_sync, following)
            following = self._following() if alone else None

    def _following(self) -> Job | None:
        """The sync step that comes of what this thread has recorded alone."""
        self._worker.go_on_here()
        job: Job | None = self._free.job
        del self._free.job
        return job

    def _perform_sync(self, job: Job) -> bool:
        """Whether the thread recorded the step's end by itself."""
        alone = False

        def end(job: Job, events: Sequence[Event]) -> None:
            nonlocal alone
            if len(self._jobs) == 1:
                self._free.job = None
                alone = self._commit_here([(job, events)])
                if not alone:
                    del self._free.job
            else:
                self._commit([(job, events)])

        def commit(*events: Event) -> None:
            if not self._handed_on(job, events, end):
                job.scope.history.commit(*events)

        work = job.work
        body = functools.partial(work.step.__wrapped__, *work.args, **work.kwargs)
        if job.activity_id not in self._canceled:
            attempts, recorder = job.attempts()
            try:
                if work.step.straight:
                    perform(attempts, recorder, body, commit)
                else:
                    drive(attempts, body, commit)
            except _HandedOn:
                pass
            except Exception as ended:  # noqa: BLE001 - as above
                self._end_otherwise(job, attempts, ended)
        return alone

    # -- both -----------------------------------------------------------------------------------

    def _handed_on(
        self,
        job: Job,
        events: Sequence[Event],
        record: Callable[[Job, Sequence[Event]], None],
    ) -> bool:
        """False for events that are to be durable before the step goes on. Its last event is
        recorded and delivered from here; then, unless nothing follows anyway, as on a result, and
        for a step that nobody wants any more, raises _HandedOn."""
        if events and isinstance(events[-1], _FINAL):
            record(job, events)
            if type(events[-1]) is e.StepCompleted:
                return True
        elif job.activity_id not in self._canceled:
            return False
        raise _HandedOn

    def _end_otherwise(self, job: Job, attempts: Attempts, end: Exception) -> None:
        """The step ended by an order: skipped, which is recorded, or cancelled; or the history
        can't be written, and what came of the attempt is in doubt, as after a kill, unless its body
        was not called."""
        if isinstance(end, HistoryError):
            again = functools.partial(
                self._again, job, attempts.control.attempt, in_doubt=attempts.entered
            )
            self._worker.outage.stalled(end.message, again)
        elif not isinstance(end, StepCanceledError):
            self._jobs.discard(job.activity_id)
            self._worker.broke(job.scope.run_id, end)
        elif job.activity_id not in self._canceled:
            failed = job.failed(end, "canceled", job.attempt)
            self._commit([(job, (failed,))])

    def _again(self, job: Job, attempt: int, *, in_doubt: bool) -> None:
        """The history can be written again. For the worker's thread."""
        if job.activity_id not in self._jobs:
            return  # nobody wants it any more
        if in_doubt or attempt > 1:  # the first one's start is recorded by the run
            job = msgspec.structs.replace(job, attempt=attempt + 1)
        if in_doubt and job.work.step.at_most_once:
            self.refuse(job)
        else:
            self.start(job)

    def _commit_here(self, ended: list[tuple[Job, Sequence[Event]]], *, ahead: bool = True) -> bool:
        """Record ends that nobody else's are to be recorded with; whether it was done here: then
        what was delivered waits for `go_on_here`. `ahead`: a run's code may run here, too."""
        if ahead and len(ended) == 1:
            job, events = ended[0]
            return record(self._worker, job.scope.run_id, events)
        history = ended[0][0].scope.history
        final = [(job.scope.run_id, events[-1]) for job, events in ended]
        here = threading.get_ident()

        def tell(failure: str | None) -> None:
            if failure is not None:
                self._worker.outage.stalled_ends(failure, final)
            else:
                self._worker.deliver(final, wake=threading.get_ident() != here)

        return history.commit_here([event for _, events in ended for event in events], tell)

    def _commit(self, ended: list[tuple[Job, Sequence[Event]]]) -> None:
        history = ended[0][0].scope.history
        final = [(job.scope.run_id, events[-1]) for job, events in ended]

        def tell(failure: str | None) -> None:
            if failure is None:
                self._worker.deliver(final)
            else:
                self._worker.outage.stalled_ends(failure, final)

        history.commit_then([event for _, events in ended for event in events], tell)
