"""A workflow's run, seen from outside of it; and a child's, seen by its parent."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from evercell.codec import exceptions, values
from evercell.engine.current import calling_workflow
from evercell.engine.workflow import context, forking, loading, outside
from evercell.engine.workflow.endings import ending_error
from evercell.engine.workflow.holder import current_worker
from evercell.errors import RunNotFoundError, UsageError, WorkflowFailedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from evercell import events as e
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event

__all__ = ["ChildHandle", "RunDescription", "WorkflowHandle", "get_handle", "wait_for_end"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class RunDescription:
    """What is known of a run."""

    run_id: str
    workflow: str
    workflow_id: str
    status: str  # "running", "blocked", "not defined", or how it ended
    started_at: int  # nanoseconds since the epoch
    parent: str | None  # run_id
    memo: dict[str, Any]
    search_attributes: dict[str, Any]
    error: str | None  # why it is blocked or failed


class WorkflowHandle(Generic[R]):
    """A run. Await it, or call `result`, for what its function returns. A handle is plain data: it
    can be stored, and works after a restart."""

    def __init__(self, run_id: str) -> None:
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"<workflow run {self.run_id}: await it, or call .result()>"

    def __reduce__(self) -> tuple[Any, ...]:
        return WorkflowHandle, (self.run_id,)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkflowHandle) and other.run_id == self.run_id

    def __hash__(self) -> int:
        return hash(self.run_id)

    # -- its result -----------------------------------------------------------------------------

    def result(self, timeout: float | None = None) -> R:
        """What the workflow returned, waiting for it at most `timeout` seconds. A run that
        continued as new is followed.

        Raises what the workflow raised, or WorkflowCanceledError, WorkflowTerminatedError,
        WorkflowTimeoutError, WorkflowFailedError; WorkflowBlockedError while today's code does not
        fit the run; TimeoutError; RunNotFoundError.
        """
        worker = current_worker()
        value: R = _value(worker, wait_for_end(worker, self.run_id, timeout))
        return value

    def __await__(self) -> Generator[Any, None, R]:
        return self._wait().__await__()

    async def _wait(self) -> R:
        if calling_workflow() is not None:
            raise UsageError(
                "workflow code can't await the handle of a run that it did not start: a replay "
                "could not repeat it. Start it as a child, or let it signal this run."
            )
        worker = current_worker()
        run_id: str | None = self.run_id
        while run_id is not None:
            end = await asyncio.wrap_future(_end(worker, run_id))
            run_id = end.next_run
        value: R = _value(worker, end)
        return value

    # -- messages -------------------------------------------------------------------------------

    def signal(self, name: str, *args: Any, **kwargs: Any) -> Awaitable[None] | None:
        """Send a signal; it is durable on return. In a recorded cell it is sent once for each call,
        also over restarts; in workflow code await what is returned.

        Raises WorkflowClosedError, RunNotFoundError, UsageError for arguments of a wrong type.
        """
        caller = calling_workflow()
        if caller is not None:
            return context.send_signal(caller, self.run_id, name, args, kwargs)
        outside.signal(current_worker(), self.run_id, name, args, kwargs)
        return None

    def query(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The answer of the workflow's query handler, also of a closed run.

        Raises HandlerNotFoundError, QueryMutatedError, WorkflowNotDefinedError, and what the
        handler raises.
        """
        return outside.query(current_worker(), self.run_id, name, args, kwargs)

    def update(self, name: str, *args: Any, **kwargs: Any) -> UpdateHandle:
        """Ask the workflow to do something and to answer: accepted and durable on return; await
        what is returned, or call its `result`, for the answer. In a recorded cell it is sent once
        for each call, also over restarts.

        Raises UpdateRejectedError, HandlerNotFoundError, WorkflowClosedError.
        """
        if calling_workflow() is not None:
            raise UsageError(
                "workflow code can't send updates: send a signal, which may carry this run's id "
                "for the answer."
            )
        return UpdateHandle(outside.update(current_worker(), self.run_id, name, args, kwargs))

    def answer(
        self, value: Any = True, *, activity_id: str | None = None, by: str | None = None
    ) -> None:
        """Answer the approval that the run waits for: True, False, or the filled-in form; durable
        on return. `activity_id` (view approvals) chooses among several.

        Raises UsageError where none is waited for, or the form does not fit; WorkflowClosedError.
        """
        outside.answer(current_worker(), self.run_id, value, activity_id, by)

    def cancel(self, reason: str | None = None) -> Awaitable[None] | None:
        """Ask the workflow to stop: its code gets asyncio.CancelledError where it waits, and may
        clean up. Durable on return; in workflow code await what is returned."""
        caller = calling_workflow()
        if caller is not None:
            return context.send_cancel(caller, self.run_id, reason)
        outside.cancel(current_worker(), self.run_id, reason)
        return None

    def terminate(self, reason: str | None = None) -> None:
        """End the run at once, without asking its code. Durable on return."""
        outside.terminate(current_worker(), self.run_id, reason)

    def fork(
        self,
        at: str | None = None,
        override: dict[str, Any] | None = None,
        *,
        id: str | None = None,  # noqa: A002 - as in start()
        accept_edits: bool = False,
    ) -> WorkflowHandle[R]:
        """A new run that shares this one's history up to the step `at` (its name for the first of
        that name, "name#n" for the n-th from 0, or its activity_id); without `at`, up to the
        failure or the end. `override` gives shared steps other results. The run and its definition
        have to fit.

        accept_edits: share results of steps whose code is another today.

        Raises ForkError, RunNotFoundError, NondeterminismError, WorkflowNotDefinedError.
        """
        request = forking.ForkRequest(at, override or {}, accept_edits, id)
        return WorkflowHandle(outside.fork(current_worker(), self.run_id, request))

    # -- what is known --------------------------------------------------------------------------

    def describe(self) -> RunDescription:
        """What is known of the run. Raises RunNotFoundError."""
        return outside.describe(current_worker(), self.run_id)

    @property
    def status(self) -> str:
        """As `describe().status`."""
        return self.describe().status

    def history(self) -> list[Event]:
        """The run's events, in order."""
        return current_worker().history.events(self.run_id)


class UpdateHandle:
    """An accepted update."""

    def __init__(self, future: Future[e.UpdateCompleted]) -> None:
        self._future = future

    def result(self, timeout: float | None = None) -> Any:
        """What the handler returned. Raises what it raised, and TimeoutError."""
        try:
            done = self._future.result(timeout)
        except TimeoutError:
            raise TimeoutError(
                f"the update has not answered within {timeout:g} s; it goes on: ask again, or "
                "await it."
            ) from None
        return self._value(done)

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        return self._value(await asyncio.wrap_future(self._future))

    def _value(self, event: e.UpdateCompleted) -> Any:
        worker = current_worker()
        if event.error is not None:
            raise _exception(worker, event.error)
        return None if event.result is None else _decode(worker, event.result)


class ChildHandle(WorkflowHandle[Any]):
    """A child, in its parent's code: await it for its result."""

    def __init__(self, run_id: str, future: asyncio.Future[Any]) -> None:
        super().__init__(run_id)
        self._future = future

    def __await__(self) -> Generator[Any, None, Any]:
        return self._future.__await__()

    def result(self, timeout: float | None = None) -> Any:  # noqa: ARG002 - of the base class
        """Not in workflow code, which waits with `await`. Raises UsageError."""
        raise UsageError("workflow code waits for a child with `await handle`.")


def get_handle(name: str) -> WorkflowHandle[Any]:
    """The handle of the run with this run id or workflow id. Raises RunNotFoundError."""
    if calling_workflow() is not None:
        return WorkflowHandle(name)
    worker = current_worker()
    return WorkflowHandle(outside.find(worker, name))


def wait_for_end(
    worker: WorkflowWorker, run_id: str, timeout: float | None = None
) -> e.RunFinished:
    """How the run, or the last one that continues it, ends. Raises WorkflowBlockedError,
    WorkflowNotDefinedError, RunNotFoundError, TimeoutError."""
    following: str | None = run_id
    limit = None if timeout is None else time.monotonic() + timeout
    while following is not None:
        left = None if limit is None else max(0.0, limit - time.monotonic())
        try:
            end = _end(worker, following).result(left)
        except TimeoutError:
            raise TimeoutError(
                f"workflow run {following} has not ended within {timeout:g} s; it goes on: ask "
                "again, or await it. handle.describe() tells its state."
            ) from None
        following = end.next_run
    return end


def _end(worker: WorkflowWorker, run_id: str) -> Future[e.RunFinished]:
    """The run's end, perhaps to come."""
    future: Future[e.RunFinished] = Future()
    worker.soon(lambda: _wait_for(worker, run_id, future))
    return future


def _wait_for(worker: WorkflowWorker, run_id: str, future: Future[e.RunFinished]) -> None:
    try:
        worker.outage.refuse()
        loading.refuse_standing(worker, run_id)
        if run_id not in worker.outcomes and worker.knows(run_id):
            worker.waiting.add(run_id, future)
            return
        end = worker.find_end(run_id)
    except Exception as error:  # noqa: BLE001 - for whoever waits
        future.set_exception(error)
        return
    if end is None:
        unknown = f"No run {run_id!r} of this notebook is open or closed. See: evercell ls"
        future.set_exception(RunNotFoundError(unknown))
    else:
        future.set_result(end)


def _value(worker: WorkflowWorker, end: e.RunFinished) -> Any:
    if end.error is not None:
        raise _exception(worker, end.error)
    failure = ending_error(end.status, f"workflow run {end.run_id}", end.reason)
    if failure is not None:
        raise failure
    return None if end.result is None else _decode(worker, end.result)


def _decode(worker: WorkflowWorker, payload: e.Payload) -> Any:
    return values.decode(payload.encoding, worker.history.value(payload), worker.live)


def _exception(worker: WorkflowWorker, error: e.ErrorInfo) -> BaseException:
    if error.payload is None:
        return WorkflowFailedError(f"the workflow failed with {error.type}: {error.message}")
    data = worker.history.get(error.payload)
    return exceptions.decode_exception(error.payload.encoding, data, worker.live)
