"""The deterministic event loop: ready callbacks in order, and nothing from outside.

    call_soon  ─ a queue, emptied by `run_ready`
    call_later ─ a durable timer: the `Timers` that the loop is given records it
    all else   ─ refused: files, sockets, threads and processes are for steps

Tasks and futures hash by their number instead of their address, so that the sets in which
`asyncio.wait` and `TaskGroup` keep them are walked in the same order each time.

The idea of a workflow as its own event loop is Temporal's (temporalio.worker._workflow_instance).
"""

from __future__ import annotations

import asyncio
import itertools
from asyncio import events
from collections import deque
from contextlib import contextmanager, suppress
from contextvars import copy_context
from functools import partial
from sys import setprofile
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from evercell.errors import WorkflowCallError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from contextvars import Context

__all__ = ["Timers", "WorkflowFuture", "WorkflowLoop"]

T = TypeVar("T")
_BUSY = 1_000_000  # callbacks without once waiting for anything


class Timers(Protocol):
    """Who keeps the loop's time and its timers."""

    def seconds(self) -> float:
        """The run's time, in seconds since the epoch."""
        ...

    def timer_started(self, handle: asyncio.TimerHandle, delay: float) -> None:
        """`handle` is to run in `delay` seconds, more than 0."""
        ...

    def timer_canceled(self, handle: asyncio.TimerHandle) -> None:
        """Nobody waits for `handle` any more; perhaps it ran already."""
        ...


class WorkflowFuture(asyncio.Future[T]):
    """A future whose hash is its number; `WorkflowLoop.create_future` makes it. `on_cancel`, a
    function and its arguments, is called soon after a cancellation."""

    __slots__ = ("number", "on_cancel")
    number: int
    on_cancel: tuple[Any, ...]

    def __hash__(self) -> int:
        return self.number

    def cancel(self, msg: Any | None = None) -> bool:
        on_cancel = getattr(self, "on_cancel", None)
        if on_cancel is not None and not self.done():
            self.get_loop().call_soon(*on_cancel)  # before those who wait for it
        return super().cancel(msg)


class WorkflowTask(asyncio.Task[T]):
    """A task whose hash is its number."""

    def __init__(self, coroutine: Any, *, loop: WorkflowLoop, **options: Any) -> None:
        self.number = loop.next_number()  # first: the base class puts the task into sets
        super().__init__(coroutine, loop=loop, **options)
        self._log_destroy_pending = False  # a run that is let go of leaves its tasks pending

    def __hash__(self) -> int:
        return self.number


class _Handle(asyncio.Handle):
    """asyncio's, which each step needs several of, made without asking the loop for its mode."""

    __slots__ = ()

    def __init__(
        self, callback: Callable[..., Any], args: tuple[Any, ...], loop: Any, context: Any
    ) -> None:
        self._callback = callback
        self._args = args
        self._loop = loop
        self._context = copy_context() if context is None else context
        self._cancelled = False
        self._repr = None
        self._source_traceback = None


class WorkflowLoop(asyncio.AbstractEventLoop):
    """One run's loop. All methods are for the thread that runs it."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers
        self._ready: deque[asyncio.Handle] = deque()
        self._numbers = itertools.count(1)
        self._closed = False
        self._current = False  # it is the thread's running loop
        self._refuse: Callable[[], Exception] | None = None  # what the code asks for now
        self.lost: BaseException | None = None  # what kept a task from going on
        self._tasks: set[WorkflowTask[Any]] = set()  # those that may not be done
        self._tasks_limit = 64

    def next_number(self) -> int:
        """The number of the next task or future."""
        return next(self._numbers)

    def run_ready(self, profile: Callable[..., None] | None = None) -> None:
        """Run callbacks until none is ready, with `profile` as the profile function of each, and of
        nothing else. Raises WorkflowCallError for code that never waits."""
        if not self._current:
            previous = events._get_running_loop()
            events._set_running_loop(self)  # as `running`, without a generator: once for each input
            try:
                self._run_ready(profile)
            finally:
                events._set_running_loop(previous)
        else:
            self._run_ready(profile)

    def _run_ready(self, profile: Callable[..., None] | None) -> None:
        ready, left = self._ready, _BUSY
        while ready:
            handle = ready.popleft()
            if not handle._cancelled:
                if profile is not None:
                    setprofile(profile)
                try:
                    handle._context.run(handle._callback, *handle._args)  # type: ignore[attr-defined]
                except BaseException as error:  # noqa: BLE001 - no other run is to suffer
                    self._left(handle, error)
                if profile is not None:
                    setprofile(None)
            left -= 1
            if left == 0:
                raise WorkflowCallError(
                    f"the workflow ran {_BUSY:,} callbacks without once waiting for a step, a "
                    "timer or a signal: a loop around asyncio.sleep(0)? Wait for what it is "
                    "about, with workflow.wait_condition(...) or asyncio.sleep(seconds)."
                )

    @contextmanager
    def running(self) -> Iterator[None]:
        """Be the thread's running loop in the block: a replay calls `run_ready` for each event, and
        asyncio asks the system for the process's id each time when it is told of a loop."""
        previous = events._get_running_loop()
        events._set_running_loop(self)
        self._current = True
        try:
            yield
        finally:
            self._current = False
            events._set_running_loop(previous)

    @contextmanager
    def read_only(self, refuse: Callable[[], Exception]) -> Iterator[None]:
        """Be the thread's running loop in the block, for code that only looks: a task or a future
        raises what `refuse` makes. What it woke is `stirred`."""
        self._refuse = refuse
        try:
            with self.running():
                yield
        finally:
            self._refuse = None

    @property
    def stirred(self) -> bool:
        """Whether code is about to go on."""
        return bool(self._ready)

    def _left(self, handle: asyncio.Handle, error: BaseException) -> None:
        """A callback raised. A plain function is the user's; a task's step has no exception but
        those that its task has, too, else it was not made, and its task would never go on."""
        plain = isinstance(handle._callback, (FunctionType, MethodType, partial))  # type: ignore[attr-defined]
        if not plain and not isinstance(error, (SystemExit, KeyboardInterrupt)):
            self.lost = error

    def check(self, main: asyncio.Task[Any] | None) -> None:
        """Raise WorkflowCallError where the code can't go on although its run has no end: whoever
        waits for it would do so for ever."""
        ended = main.exception() if main is not None and main.done() else None
        error = self.lost or ended
        if error is not None:
            raise WorkflowCallError(
                f"the run can't go on, because its code was left by {error!r}. It goes on when it "
                "is replayed: restart the kernel, or run the cell that defines the workflow."
            ) from error

    # -- asyncio's interface: what is deterministic -------------------------------------------

    def time(self) -> float:
        return self._timers.seconds()

    def call_soon(  # type: ignore[override] # typeshed follows the arguments' types
        self, callback: Callable[..., Any], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        handle = _Handle(callback, args, self, context)
        self._ready.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self,
        delay: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        handle = asyncio.TimerHandle(self.time() + delay, callback, args, self, context)
        if delay <= 0:
            self._ready.append(handle)
        else:
            self._timers.timer_started(handle, delay)
        return handle

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        return self.call_later(when - self.time(), callback, *args, context=context)

    def fire(self, handle: asyncio.TimerHandle) -> None:
        """The timer's time came."""
        if not handle.cancelled():
            self._ready.append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        self._timers.timer_canceled(handle)

    def create_future(self) -> WorkflowFuture[Any]:
        if self._refuse is not None:
            raise self._refuse()
        future: WorkflowFuture[Any] = WorkflowFuture(loop=self)
        future.number = next(self._numbers)
        return future

    def create_task(  # type: ignore[override] # typeshed's signature differs by version
        self, coro: Coroutine[Any, Any, T], **options: Any
    ) -> asyncio.Task[T]:
        if self._refuse is not None:
            coro.close()
            raise self._refuse()
        task: WorkflowTask[T] = WorkflowTask(coro, loop=self, **options)
        self._tasks.add(task)
        if len(self._tasks) > self._tasks_limit:
            self._tasks = {task for task in self._tasks if not task.done()}
            self._tasks_limit = 2 * len(self._tasks) + 64
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return events._get_running_loop() is self

    def is_closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """End all coroutines where they stand, here and now: the garbage collector would do it at
        any time, and what their `finally` blocks ask for would go to whatever runs then."""
        self._closed = True
        self._ready.clear()
        tasks, self._tasks = self._tasks, set()
        for task in sorted(tasks, key=hash):
            coroutine = task.get_coro()
            if not task.done() and coroutine is not None:
                with suppress(BaseException):  # of code that is over
                    coroutine.close()
        self._ready.clear()

    def get_task_factory(self) -> None:
        return None

    def get_exception_handler(self) -> None:
        return None

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        """An exception that nobody fetched. The run's own result tells of failures."""

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        """As `call_exception_handler`."""

    async def shutdown_asyncgens(self) -> None:
        """Generators end with their run."""

    # -- what is not ----------------------------------------------------------------------------

    def call_soon_threadsafe(self, *_: Any, **__: Any) -> Any:  # type: ignore[override]
        raise _refused("loop.call_soon_threadsafe", "Signal the workflow: handle.signal(name, ...)")

    def run_in_executor(self, *_: Any) -> Any:  # type: ignore[override]
        raise _refused("loop.run_in_executor (asyncio.to_thread)", "Make the function a @step")


_OUTSIDE = frozenset({
    "add_reader", "add_signal_handler", "add_writer", "connect_accepted_socket",
    "connect_read_pipe", "connect_write_pipe", "create_connection", "create_datagram_endpoint",
    "create_server", "create_unix_connection", "create_unix_server", "getaddrinfo", "getnameinfo",
    "run_forever", "run_until_complete", "sendfile", "set_debug", "set_default_executor",
    "set_exception_handler", "set_task_factory", "shutdown_default_executor", "sock_accept",
    "sock_connect", "sock_recv", "sock_recv_into", "sock_recvfrom", "sock_sendall", "sock_sendfile",
    "sock_sendto", "start_tls", "stop", "subprocess_exec", "subprocess_shell",
})  # fmt: skip


def _refusing(name: str) -> Callable[..., Any]:
    def refuse(*_: Any, **__: Any) -> Any:
        raise _refused(f"loop.{name}", "Do this in a @step")

    return refuse


for _name in _OUTSIDE:
    setattr(WorkflowLoop, _name, _refusing(_name))


def _refused(call: str, remedy: str) -> WorkflowCallError:
    return WorkflowCallError(
        f"workflow code called {call}, whose outcome a replay could not repeat. {remedy}."
    )
