"""One run of a workflow function: its code on its loop, what it waits for, what it asked for.

    replay(history): begin ─ each recorded input in order ─ did the code ask for all of it?
    activate(input): the input reaches the code ─ run until it waits ─ `take()` what it asked for

One input at a time: so the order of inputs, which the history holds, decides everything. All
methods are for the worker's thread.
"""

from __future__ import annotations

import asyncio
import random
from sys import getprofile, setprofile
from typing import TYPE_CHECKING, Any

from evercell import events as e
from evercell.engine.current import set_calling
from evercell.engine.durations import seconds
from evercell.engine.workflow import context
from evercell.engine.workflow.asks import REACHED, Asks, Pending
from evercell.engine.workflow.context import ContinueAsNew
from evercell.engine.workflow.loop import WorkflowLoop
from evercell.engine.workflow.messages import Messages, message_id
from evercell.engine.workflow.recorded import RecordedValues, Services
from evercell.engine.workflow.run_timers import RunTimers
from evercell.engine.workflow.where import first_line, raising_line, waiting_line
from evercell.errors import (
    HistoryError,
    NondeterminismError,
    NotStorableError,
    WorkflowCallError,
    WorkflowFailedError,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from evercell.engine.durations import Duration
    from evercell.engine.function import FunctionVersion, Reached
    from evercell.engine.step import Step
    from evercell.engine.workflow.ahead import Ahead
    from evercell.engine.workflow.asks import Identity
    from evercell.engine.workflow.context import StepWork
    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.job import RunScope
    from evercell.events import Event, RunStarted, WorkflowStart

__all__ = ["Instance", "Services"]


class Instance(RecordedValues):
    """A run's state in this process; rebuilt from its history at any time."""

    def __init__(
        self, started: RunStarted, definition: Workflow[..., Any], services: Services
    ) -> None:
        assert started.start is not None  # noqa: S101 - a workflow's run has it
        self.run_id = started.run_id
        self.started = started
        self.start: WorkflowStart = started.start
        self.definition = definition
        self.services = services
        self.timers = RunTimers(self)
        self.loop = WorkflowLoop(self.timers)  # type: ignore[abstract] # the rest is refused
        self.asks = Asks(self.run_id)
        self.messages = Messages(self)
        self.pending: dict[str, Pending] = {}
        self.work: list[Pending] = []  # asked for since the last `take`
        self.at = self.start.time or started.at  # the run's time, ns: that of the latest input
        self.scope: RunScope | None = None  # of its steps
        self.finished: e.RunFinished | None = None
        self.again: ContinueAsNew | None = None
        self.memo = self.start.memo  # and attributes: as they are now, JSON
        self.search_attributes = self.start.search_attributes
        self.ahead: Ahead | None = None  # the input that the code has, if that is not durable yet
        self.edited = False  # its code is not what its run began with
        self.broken = None
        self.querying: str | None = None  # name of the query whose handler runs
        self.disturbed = False  # by a query: it is not where its history leads any more
        self.patches: dict[str, bool] = {}
        self.versions: dict[FunctionVersion, Reached] = {}
        self.step_versions: dict[tuple[str, bytes], bytes] | None = None  # of each call, if asked
        self._random: random.Random | None = None
        self._task: asyncio.Task[None] | None = None
        self._canceled = self.closed = False
        self._reached: set[str] = set()  # ids of the messages that the code has seen

    # -- the run's life -----------------------------------------------------------------------

    def replay(self, history: Iterable[Event]) -> None:
        """Bring the code to where the recorded events lead. Raises NondeterminismError or
        WorkflowCallError; then nothing was carried out."""
        history = history if isinstance(history, list) else list(history)
        self.asks = Asks(self.run_id, history)
        guard = self.services.guard
        with guard.watching(self), self.loop.running():
            self._go_on(None)
            for number, event in enumerate(history):
                if type(event) in REACHED:
                    if self.finished is not None:
                        self.messages.left += history[number:]
                        break
                    self.asks.inputs -= 1
                    self._go_on(event)
        self.asks.finish_replay(self._standing())
        if self.finished is None:
            self.messages.remember(history)
            self.asks.count_calls()

    def begin(self, signals: Iterable[Event]) -> None:
        """Let the code begin; `signals` were handed on by the run that it continues. Raises as
        `replay`."""
        self.messages.remember(signals)
        for event in (None, *signals):
            if self.finished is None:
                self.activate(event)
            elif event is not None:
                self.messages.left.append(event)

    def activate(self, event: Event | None) -> None:
        """Let `event` reach the code, and run it until it waits. Raises as `replay`."""
        guard = self.services.guard
        before = guard.enter(self)
        try:
            self._go_on(event)
        finally:
            guard.leave(before)

    def _go_on(self, event: Event | None) -> None:
        if event is None:
            self._task = self.loop.create_task(self._main(*self.decode(self.start.input)))
        else:
            if event.at > self.at:  # noqa: PLR1730 - a clock may jump back; a call takes longer
                self.at = event.at
            self._reach(event)
        loop, task = self.loop, self._task
        watched = self.edited or self.asks.inputs <= 0  # as `watched`: a replay comes here often
        profile = self.services.guard.profile if watched else None
        loop.run_ready(profile)
        while self.messages.conditions and self.messages.wake_conditions():
            loop.run_ready(profile)
        if self.broken is not None:
            raise self.broken
        if self.finished is None and (loop.lost is not None or task is None or task.done()):
            loop.check(task)

    def _standing(self) -> str:
        """Where the code waits, or what has ended."""
        where = None if self._task is None else waiting_line(self._task.get_coro())
        return where or f"it has ended, {first_line(self.definition.function.__code__)}"

    @property
    def watched(self) -> bool:
        """Whether the guard looks at what the code does now: it did not when it was recorded, or
        was another's code. All recorded inputs have reached the code, and it may do something new.
        """
        return self.edited or self.asks.inputs <= 0

    def take(self) -> tuple[list[Event], list[Pending]]:
        """What the code asked for since the last time: to be recorded, and to be carried out."""
        work, self.work = self.work, []
        return self.take_asked(), work

    def take_asked(self) -> list[Event]:
        """The first of these alone."""
        fresh, self.asks.fresh = self.asks.fresh, []
        return fresh if self.finished else fresh + self.messages.awaiting.tell(self.at)

    def close(self) -> None:
        """Let go of the code where it stands: what its `finally` blocks ask for is refused."""
        self.closed = True
        caller = set_calling(self)
        try:
            self.loop.close()
        finally:
            set_calling(caller)
        self.pending.clear()
        self._task = None

    async def _main(self, args: list[Any], kwargs: dict[str, Any]) -> None:
        try:
            value = await self.definition.function(*args, **kwargs)
        except ContinueAsNew as again:
            self.again = again
            self._finish("continued as new", self._continued, raising_line(again))
        except asyncio.CancelledError as stop:
            if self._canceled:
                reason = str(stop.args[0]) if stop.args and stop.args[0] else None
                self._finish("canceled", lambda: self._end_as_canceled(reason), raising_line(stop))
            else:
                self.fail(WorkflowFailedError("the workflow's code cancelled its own task."))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the run's result
            self.fail(error)
        except (SystemExit, KeyboardInterrupt) as stop:
            self.fail(WorkflowFailedError(f"the workflow's code raised {stop!r}."))
        else:
            self._complete(value)

    def _continued(self) -> Event:
        run_id = self.services.new_run_id()
        return e.RunFinished(self.run_id, self.at, "continued as new", next_run=run_id)

    def _end_as_canceled(self, reason: str | None) -> Event:
        return e.RunFinished(self.run_id, self.at, "canceled", reason=reason)

    def _complete(self, value: object) -> None:
        def make() -> Event:
            result, view = self.encode(value)
            return e.RunFinished(self.run_id, self.at, "completed", result, view)

        why = "it was refused before."
        if not self.asks.result_refused:
            try:
                self._finish("completed", make, first_line(self.definition.function.__code__))
            except NotStorableError as refused:
                why = refused.message
            else:
                return
        self.fail(
            NotStorableError(
                f"workflow {self.started.workflow!r} returned a value that can't be recorded: "
                f"{why} Return plain data from a workflow."
            )
        )

    def fail(self, error: Exception) -> None:
        """The run fails with `error`, unless it is over, or its code was found not to fit."""
        if isinstance(error, WorkflowCallError):  # of the loop, which knows no run
            self.broken = self.broken or error
        if self.finished is None and self.broken is None:
            self._finish(
                "failed",
                lambda: e.RunFinished(self.run_id, self.at, "failed", error=self.describe(error)),
                f"{raising_line(error) or 'its handler'}: {type(error).__name__}: {error!s:.200}",
            )

    def _finish(self, status: e.RunEnd, make: Callable[[], Event], where: str | None) -> None:
        if self.finished is not None or self.broken is not None:
            return
        event = self.ask(("end", status), make, waits=False, where=where).event
        assert isinstance(event, e.RunFinished)  # noqa: S101 - identity says so
        self.finished = event

    # -- inputs -------------------------------------------------------------------------------

    def _reach(self, event: Event) -> None:
        if type(event) is e.StepCompleted:  # first and plainly: nearly all are such
            pending = self.pending.pop(event.activity_id, None) or self._arrived(event)
            if pending is not None and pending.future is not None and not pending.future.done():
                pending.future.set_result(self.decode(event.result))
        else:
            self._reach_other(event)

    def _reach_other(self, event: Event) -> None:
        message = message_id(event)
        if message is not None:
            if message in self._reached:
                return  # recorded twice, by senders that could not know that it had arrived
            self._reached.add(message)
        match event:
            case e.TimerFired():
                pending = self._arrived(event)
                if pending is not None:
                    self.timers.ended(pending.work)
                    self.loop.fire(pending.work)
            case e.SignalReceived() | e.UpdateAccepted():
                self.messages.reach(event)
            case e.CancelRequested(activity_id=str()):
                pass  # for a step, whose end tells the code
            case e.CancelRequested():
                self._canceled = True
                if self._task is not None:
                    self._task.cancel(event.reason)
            case _:
                self._settle(event)

    def _settle(self, event: Any) -> None:
        pending = self._arrived(event)
        if pending is None or pending.future is None or pending.future.done():
            return
        error = self.failure(event)
        if error is not None:
            pending.future.set_exception(error)
            return
        pending.future.set_result(self.outcome(event))

    def _arrived(self, event: Any) -> Pending | None:
        pending = self.pending.pop(event.activity_id, None)
        if pending is None and event.activity_id not in self.messages.dropped:
            raise self.asks.unasked(event, self._standing())
        return pending

    # -- asking -------------------------------------------------------------------------------

    def ask(
        self,
        identity: Identity,
        make: Callable[[], Event],
        *,
        work: Any = None,
        waits: bool = True,
        where: str | None = None,
    ) -> Pending:
        """Ask for something: the recorded ask, or a new one to be carried out. `waits`: something
        will come of it, for the future of what is returned. `where` the code stands, if it is not
        calling."""
        if self.closed:
            raise asyncio.CancelledError("the run let go of its code")
        if self.querying is not None:
            raise self.messages.mutated()
        if self.broken is not None:
            raise self.broken
        if self.finished is not None:
            raise asyncio.CancelledError("the run is over")
        try:
            event, _ = self.asks.ask(identity, make, where)
        except (NondeterminismError, HistoryError) as error:  # nothing that the code may handle
            self.broken = self.broken or error
            raise
        future = self.loop.create_future() if waits else None
        pending = Pending(event, future, work)
        if waits:
            activity_id: str = event.activity_id  # type: ignore[attr-defined] # what waits has one
            self.pending[activity_id] = pending
        self.work.append(pending)
        return pending

    def known_step(self, name: str, key: bytes, work: StepWork) -> Pending | None:
        """As `ask`, for a step whose call is the next recorded ask; None where it is not. A replay
        comes here for each step, so it compares without making anything."""
        asks = self.asks
        recorded = asks.recorded
        if not recorded:
            return None
        event = recorded[0]
        if type(event) is not e.StepStarted or event.name != name or event.key[:16] != key:
            return None
        if self.closed or self.querying or self.broken is not None or self.finished is not None:
            return None  # `ask` says why not
        recorded.popleft()
        asks.count += 1
        pending = Pending(event, self.loop.create_future(), work)
        self.pending[event.activity_id] = pending
        return pending

    def settle(self) -> None:
        """Return when all that the code has seen is durable, for it is about to do what shows.
        Raises HistoryWriteError."""
        if self.ahead is not None:
            with self.storing():
                self.ahead.settle()

    def tell(self, identity: Identity, make: Callable[[], Event], work: Any = None) -> Event:
        """Ask for something of which nothing comes back."""
        return self.ask(identity, make, work=work, waits=False).event

    def drop(self, activity_id: str) -> None:
        """Nobody waits for it any more; what still comes of it is no surprise."""
        self.pending.pop(activity_id, None)
        self.messages.dropped.add(activity_id)

    # -- what the durable calls of a notebook become (engine/current.py) ------------------------

    def step(
        self, step: Step[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Awaitable[Any]:
        guard = self.services.guard
        if getprofile() is not guard.profile:
            return context.ask_step(self, step, args, kwargs)
        setprofile(None)  # our own work: each of its calls would cost a look
        try:
            return context.ask_step(self, step, args, kwargs)
        finally:
            setprofile(guard.profile)

    def sleep(self, duration: Duration) -> Awaitable[None]:
        return asyncio.sleep(seconds(duration))

    def wait_signal(self, name: str, kind: Any, timeout: Duration | None) -> Awaitable[Any]:
        return context.ask_signal(self, name, kind, timeout)

    def approval(self, prompt: str, schema: Any, timeout: Duration | None) -> Awaitable[Any]:
        return context.ask_approval(self, prompt, schema, timeout)

    # -- values -------------------------------------------------------------------------------

    @property
    def random(self) -> random.Random:
        """Random numbers that a replay repeats."""
        if self.querying is not None:
            raise self.messages.mutated()  # the code would see other numbers than in a replay
        if self._random is None:
            self._random = random.Random(self.start.seed)  # noqa: S311 - repeatable on purpose
        return self._random
