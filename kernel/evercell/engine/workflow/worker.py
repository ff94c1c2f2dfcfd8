"""The thread on which the workflows of a kernel go on.

    start, signal, a step's end, a due timer ─ recorded ─> `deliver` in the order of the journal
      ─> instance.activate ─ what the code asks for ─ recorded ─> carried out (carrying.py)

One input reaches a run's code at a time, in the order of the journal, and nothing that comes of it
shows or begins before it is durable. Other threads only queue: `deliver` for what was recorded,
`call` for everything else. The thread of a step that ended alone may take the worker's turn for
what came of it (turn.py), and let the code have it while the disk writes (ahead.py).
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from evercell import events as e
from evercell.clock import SystemClock
from evercell.engine.failures import recorded_error
from evercell.engine.interceptors import has_interceptors
from evercell.engine.workflow import loading
from evercell.engine.workflow.ahead import Ahead
from evercell.engine.workflow.carrying import Carrier
from evercell.engine.workflow.endings import PASSING, blocked_error, fault, tell_interceptors
from evercell.engine.workflow.guard import GUARD
from evercell.engine.workflow.outage import RETRY, Outage
from evercell.engine.workflow.receiving import WorkflowReceiver
from evercell.engine.workflow.registry import HostRun, Runs
from evercell.engine.workflow.runner import StepRunner
from evercell.engine.workflow.scheduling import Scheduler
from evercell.engine.workflow.timers import TimerQueue
from evercell.engine.workflow.turn import Turn
from evercell.engine.workflow.waiters import Waiters
from evercell.errors import (
    EvercellError,
    HistoryWriteError,
    WorkflowClosedError,
)
from evercell.threads import carry_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from evercell.clock import Clock
    from evercell.engine.post import Post
    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.instance import Instance
    from evercell.events import Event, RunStarted
    from evercell.history import History

__all__ = ["WorkflowWorker"]

T = TypeVar("T")
_SECOND = 1_000_000_000


class WorkflowWorker(Runs):
    """The workflows of one host run in this process."""

    def __init__(
        self,
        history: History,
        host: HostRun,
        live: dict[str, Any],
        *,
        clock: Clock | None = None,
        notice: Callable[[str], None] = lambda _: None,
        idle: Callable[[int | None], bool] | None = None,
        post: Post | None = None,
    ) -> None:
        """`post` brings the commands of other processes. `notice` takes lines for the user, on the
        worker's thread. `idle(at)` is called when nothing is under way until the time `at`: a
        test's clock may go there, and says if so."""
        super().__init__(history, host, clock or SystemClock())
        self.live = live
        self.guard = GUARD
        self.notice = notice
        self.definitions: dict[str, Workflow[..., Any]] = {}
        self.versions: dict[str, bytes] = {}  # of their code, when they were defined
        self.timers: TimerQueue[Callable[[], None]] = TimerQueue()
        self.outage = Outage(self)
        self.runner = StepRunner(self)
        self.carrier = Carrier(self)
        self.scheduler = Scheduler(self)
        self._idle = idle
        self._post = post
        self.receiver = WorkflowReceiver(self)
        self._boxes: dict[str, Callable[[], None]] = {}  # what ends the post's service, by run
        self.waiting = Waiters()
        self._queue: deque[tuple[str, Event] | Ahead | Callable[[], None]] = deque()
        self._wake = threading.Lock()  # released where there is something to do
        self._wake.acquire()
        self.turn = Turn()
        self._closing = False
        self._under_way = 0  # inputs that are being recorded
        self.coming: dict[str, list[Event]] = {}  # the same, by the run that they are for
        self._asked: list[Event] = []  # not recorded yet
        self._thread = threading.Thread(target=self._run, name="evercell-workflows", daemon=True)
        self._thread.start()
        self.call(partial(loading.adopt, self)).result()

    # -- from any thread ------------------------------------------------------------------------

    def deliver(self, inputs: list[tuple[str, Event]], *, wake: bool = True) -> None:
        """Recorded inputs are to reach their runs. Not to `wake` the thread for them is for who
        calls `go_on_here` then."""
        self._queue.extend(inputs)
        if wake:
            self._signal()

    def recorded(self, ahead: Ahead, *, wake: bool) -> None:
        """As `deliver`, for an input that may have reached its run's code already."""
        self._queue.append(ahead)
        if wake:
            self._signal()

    def go_on_here(self) -> None:
        """Have what was delivered reach its runs on the calling thread, unless the worker's is at
        it."""
        if self._queue and not self.turn.take_if_free(self.reach_here):
            self._signal()

    def reach_here(self) -> None:
        """Have what was delivered reach its runs, and wake the worker's thread for the rest. In the
        worker's turn."""
        if self._closing:
            return
        due = self.timers.next
        while self._queue and isinstance(item := self._queue[0], (tuple, Ahead)):
            self._queue.popleft()
            if isinstance(item, Ahead):
                self.do(item)
            else:
                self.reach(*item)
        self.flush()
        # Else it is to see what is left, or until when it may sleep now.
        same = self.timers.next == due and self.outage.why is None
        if not same or self._queue or self._idle is not None:
            self._signal()

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Have `function` called on the worker's thread. HistoryWriteError where the history can't
        be written."""
        future: Future[T] = Future()

        def work() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                self.outage.refuse()
                future.set_result(function())
            except BaseException as error:  # noqa: BLE001 - the caller's
                future.set_exception(error)

        self.soon(work)
        return future

    def soon(self, item: Callable[[], None]) -> None:
        """Have `item` called on the worker's thread, whatever the state of the history."""
        self._queue.append(item)
        self._signal()

    def _signal(self) -> None:
        if self._wake.locked():
            with suppress(RuntimeError):  # another caller was faster; the thread is awake
                self._wake.release()

    def define(self, definition: Workflow[..., Any]) -> None:
        """Have runs of this name go on with this code; returns when that is under way."""
        if self.definitions.get(definition.name) is not definition:
            self.call(partial(loading.define, self, definition)).result()

    def meet(self, definition: Workflow[..., Any]) -> None:
        """Workflow code starts runs of this definition. If its name is new here, its open runs go
        on with it, too: later, because the code that starts it may be in the midst of a replay."""

        def define() -> None:
            if definition.name not in self.definitions:
                loading.define(self, definition)

        if definition.name not in self.definitions:
            self.soon(define)

    def close(self) -> None:
        """Stop where everything stands; open runs go on in the next process. Idempotent."""
        if self._closing:
            return
        self._closing = True
        self._signal()
        self._thread.join()
        self.turn.take(lambda: None)  # who carries runs on beside the thread comes to an end
        self.runner.close()
        self.waiting.cancel()
        for leave in self._boxes.values():
            leave()
        for instance in self.instances.values():
            instance.close()
        if self.attached:
            now, generation = self.clock.now(), self.host.generation
            self.history.append(
                *(e.RunDetached(run_id, now, generation) for run_id in self.attached)
            )

    # -- the thread -----------------------------------------------------------------------------

    def _run(self) -> None:
        carry_runs()
        while True:
            if not self._queue and not self._closing:
                self._sleep()
            if self._closing:
                return
            self.turn.take(self._round)

    def _round(self) -> None:
        for _ in range(len(self._queue)):
            item = self._queue.popleft()
            if isinstance(item, tuple):
                self.reach(*item)
            else:
                self.do(item)
        if self.outage.why is None:
            for fire in self.timers.due(self.clock.now()):
                self.do(fire)
        self.flush()

    def do(self, item: Callable[[], None]) -> None:
        """Call it; a fault of ours must not end the thread."""
        try:
            item()
        except Exception as error:  # noqa: BLE001 - the user is to know of it, whatever it is
            self.notice(fault(error).message)

    def _sleep(self) -> None:
        """Wait for something to do, or for the next timer."""
        at = self.timers.next
        if self.outage.why is not None:
            if not self._wake.acquire(timeout=RETRY):
                self.outage.ask()
        elif self._idle is not None:
            self._let_time_pass(self._idle)
        elif at is None:
            self._wake.acquire()
        else:
            left = (at - self.clock.now()) / _SECOND
            if left > 0:
                self._wake.acquire(timeout=min(left, threading.TIMEOUT_MAX))

    def _let_time_pass(self, idle: Callable[[int | None], bool]) -> None:
        stands = False

        def look() -> None:
            nonlocal stands
            busy = self._queue or self._under_way or self.runner.busy or self.ending
            stands = bool(busy) or not idle(self.timers.next)

        self.turn.take(look)
        if stands:
            self._wake.acquire()

    def broke(self, run_id: str, error: Exception) -> None:
        """A fault of ours in the run; from any thread."""
        instance = self.instances.get(run_id)
        if instance is not None:
            self.soon(partial(self.block, instance.started, fault(error)))

    def no_room(self, why: str) -> bool:
        """A step's result can't be stored at the time: whether it is to be tried again."""
        self.soon(partial(self.outage.begin, why))
        return not self._closing

    # -- on the thread --------------------------------------------------------------------------

    def record_input(self, run_id: str, *events: Event) -> None:
        """Record what is to reach a run, and deliver the last of it once it is durable."""
        self._under_way += 1
        coming = self.coming.setdefault(run_id, [])
        coming += events
        self.append(self.ensure_attached(run_id))
        self.flush()  # what the input answers stands before it

        def done() -> None:
            self._under_way -= 1
            for event in events:
                coming.remove(event)
            if not coming and self.coming.get(run_id) is coming:
                del self.coming[run_id]
            self.reach(run_id, events[-1])

        self.outage.commit_then(events, done)

    @property
    def at_rest(self) -> bool:
        """Whether all that was recorded has reached its run, and may."""
        return not self._queue and self.outage.why is None and not self._closing

    def reach(self, run_id: str, event: Event) -> None:
        """Let a run's code have what was recorded."""
        if self.outage.why is not None:
            self.outage.follow(partial(self.reach, run_id, event))
            return
        if isinstance(event, (e.StepCompleted, e.StepFailed)):
            self.runner.delivered(event.activity_id)
        instance = self.instances.get(run_id)
        if instance is not None and instance.finished is None:
            self.go_on(instance, partial(instance.activate, event))

    def go_on(self, instance: Instance, activate: Callable[[], None]) -> None:
        """Run the code, then record and carry out what it asked for."""
        try:
            activate()
            self.carrier.carry_out(instance, *instance.take())
        except EvercellError as error:
            self.block(instance.started, error)
        except Exception as error:  # noqa: BLE001 - no other run is to suffer from a fault of ours
            self.block(instance.started, fault(error))

    def block(self, started: RunStarted, error: EvercellError) -> None:
        """The run can't go on with today's code, or with the history as it is: it stays open; steps
        under way are finished."""
        run_id = started.run_id
        self.let_go(run_id, cancel=False)
        self.opened(started)
        self.blocked[run_id] = error
        if isinstance(error, PASSING):
            again = partial(loading.go_on, self, run_id)
            self.timers.put(self.clock.now() + int(RETRY * _SECOND), again)
        else:
            info = recorded_error(error, self.history, self.live, storable=False)
            blocked = e.RunBlocked(run_id, self.clock.now(), info)
            self.append([*self.ensure_attached(run_id), blocked])
        self.notice(f"workflow {started.workflow} ({run_id}) is blocked: {error}")
        told = blocked_error(run_id, error)
        self.carrier.give_up_updates(run_id, told)
        self.waiting.tell(run_id, told)

    def serve(self, run_id: str) -> None:
        """Take the commands of other processes for the run."""
        if self._post is not None and run_id not in self._boxes:
            self._boxes[run_id] = self._post.register(run_id, self.receiver)

    def look_again(self) -> None:
        """Have the commands delivered that a run's code was missing for."""
        if self._post is not None:
            self._post.look_again()

    def let_go(self, run_id: str, *, cancel: bool) -> None:
        """Drop the run's code, if it is here; `cancel` its steps that are under way."""
        self.starting.pop(run_id, None)
        self.open.pop(run_id, None)
        self.blocked.pop(run_id, None)
        instance = self.instances.pop(run_id, None)
        if instance is None:
            return
        if cancel:
            for activity_id, pending in instance.pending.items():
                if isinstance(pending.event, e.StepStarted):
                    self.runner.cancel(activity_id)
        instance.close()

    def finished(self, event: e.RunFinished, started: RunStarted) -> None:
        """A run's end is durable."""
        self.outcomes[event.run_id] = event
        if has_interceptors():
            tell_interceptors(event, started)
        self.attached.discard(event.run_id)
        leave = self._boxes.pop(event.run_id, None)
        if leave is not None:
            leave()
        unfinished = f"run {event.run_id} was closed before the update was carried out."
        self.carrier.give_up_updates(event.run_id, WorkflowClosedError(unfinished))
        self.waiting.tell(event.run_id, event)

    @property
    def awaited(self) -> bool:
        """Whether somebody waits for a run's end, or for an update's."""
        return bool(self.waiting or self.carrier.updates)

    # -- recording ------------------------------------------------------------------------------

    def append(self, events: Sequence[Event]) -> None:
        """Record what the code asked for: at the next `flush`, before anything that comes of it."""
        self._asked += events

    def flush(self) -> None:
        """Record what was asked for since the last time, and let its steps begin: once for all
        runs that had their turn, because waking another thread costs more than the work."""
        asked, self._asked = self._asked, []
        if asked:
            try:
                self.history.append(*asked)
            except HistoryWriteError as error:  # what the code has seen happen must not be lost
                self.outage.begin(error.message)
                self.history.commit_then(asked, lambda _: None)
        if self.outage.why is None:
            self.runner.flush()
