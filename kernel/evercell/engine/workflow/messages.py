"""What reaches a run from outside: signals, updates, queries; and the conditions it waits for.

    signal ─ a handler of its name, else who waits for it and for its kind, else kept for who will
    update ─ validated by its handler's validator, then carried out as a task of the run
    query  ─ answered by its handler, which may ask for nothing

Handlers are registered by the running code, as in Temporal's set_signal_handler.
"""

from __future__ import annotations

import inspect
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evercell import events as e
from evercell.engine.conversion import convert, convert_arguments
from evercell.engine.workflow.awaiting import Awaiting
from evercell.engine.workflow.where import first_line
from evercell.errors import (
    HandlerNotFoundError,
    NotStorableError,
    QueryMutatedError,
    UsageError,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.engine.workflow.instance import Instance
    from evercell.engine.workflow.loop import WorkflowFuture
    from evercell.events import Event

__all__ = ["Handler", "Messages", "message_id"]


_SETTLING = frozenset(
    {
        e.ApprovalAnswered, e.ChildFinished, e.DeliveryReported, e.StepCompleted, e.StepFailed,
        e.TimerFired,
    }
)  # fmt: skip


def message_id(event: Event) -> str | None:
    """What tells a message from outside from a second delivery of it."""
    match event:
        case e.SignalReceived():
            return event.signal_id
        case e.UpdateAccepted():
            return event.update_id
        case e.CancelRequested():
            return event.command_id
        case _:
            return None


@dataclass(slots=True)
class Handler:
    """A function of the running code that takes messages of one name."""

    name: str
    function: Callable[..., Any]
    validator: Callable[..., Any] | None = None

    def arguments(self, args: list[Any], kwargs: dict[str, Any]) -> inspect.BoundArguments:
        """The arguments, made into what the function's annotations say. Raises UsageError."""
        return convert_arguments(self.function, self.name, args, kwargs)


@dataclass(slots=True, eq=False)
class _Waiter:
    """Code that waits for a signal."""

    future: WorkflowFuture[e.SignalReceived]
    kind: Any  # what it makes of the argument


def _value(name: str, args: list[Any], kwargs: dict[str, Any], kind: Any) -> Any:
    given = (*args, *kwargs.values())
    several = kwargs or len(given) > 1
    return convert(given if several else next(iter(given), None), kind, f"signal {name!r}")


class Messages:
    """One run's handlers, waiters and undelivered signals."""

    __slots__ = (
        "_instance",
        "_updating",
        "_waiters",
        "awaiting",
        "conditions",
        "dropped",
        "left",
        "misfits",
        "queries",
        "signals",
        "taken",
        "unhandled",
        "updates",
    )  # fmt: skip

    def __init__(self, instance: Instance) -> None:
        self._instance = instance
        self.awaiting = Awaiting(instance.run_id)
        self.signals: dict[str, Handler] = {}
        self.queries: dict[str, Handler] = {}
        self.updates: dict[str, Handler] = {}
        self.dropped: set[str] = set()  # activities that nobody waits for any more
        self.taken: set[str] = set()  # ids of messages that were recorded
        self.unhandled: list[e.SignalReceived] = []  # in order: nobody took them yet
        self.left: list[Event] = []  # came when the code had ended: for a run that goes on
        self.misfits: set[str] = set()  # ids of signals of which a notice was given
        self._waiters: dict[str, deque[_Waiter]] = {}
        self.conditions: list[tuple[Callable[[], object], WorkflowFuture[None]]] = []
        self._updating: dict[str, e.UpdateAccepted] = {}

    def remember(self, history: Iterable[Event]) -> None:
        """What a history holds has come; when it is delivered once more, that is no surprise."""
        others = []
        for event in history:
            kind = type(event)
            if kind in _SETTLING:
                self.dropped.add(event.activity_id)  # type: ignore[attr-defined] # these have one
            elif kind is not e.StepStarted:
                others.append(event)
        self.taken.update(it for it in map(message_id, others) if it is not None)
        self.awaiting.remember(others)

    # -- signals ------------------------------------------------------------------------------

    def reach(self, event: e.SignalReceived | e.UpdateAccepted) -> None:
        """A recorded message reaches the code."""
        if isinstance(event, e.UpdateAccepted):
            self._updating[event.update_id] = event
            self._instance.loop.create_task(self._update(event))
            return
        handler = self.signals.get(event.name)
        if handler is not None:
            self._handle(handler, event)
            return
        waiters = self._waiting(event.name)
        for waiter in waiters:
            if self._fits(event, waiter.kind):
                waiters.remove(waiter)
                waiter.future.set_result(event)
                return
        self.unhandled.append(event)

    def on_signal(self, handler: Handler) -> None:
        """Have `handler` take the signals of its name: those that came before it, in order, too."""
        self.signals[handler.name] = handler
        early = [event for event in self.unhandled if event.name == handler.name]
        self.unhandled = [event for event in self.unhandled if event.name != handler.name]
        for event in early:
            self._handle(handler, event)

    def next_signal(self, name: str, kind: Any) -> WorkflowFuture[e.SignalReceived]:
        """A future of the next SignalReceived of this name that can be made into `kind`."""
        future: WorkflowFuture[e.SignalReceived] = self._instance.loop.create_future()
        for event in self.unhandled:
            if event.name == name and self._fits(event, kind):
                self.unhandled.remove(event)
                future.set_result(event)
                return future
        self._waiters.setdefault(name, deque()).append(_Waiter(future, kind))
        return future

    def signal_value(self, event: e.SignalReceived, kind: Any) -> Any:
        """The signal's argument as `kind`: the only one, else a tuple of them, None without any.
        Raises UsageError."""
        return _value(event.name, *self.arguments(event), kind)

    def check_signal(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Raise UsageError for arguments that the signal's handler, or who waits for it, can't
        take: nothing is recorded then."""
        try:
            self._check_signal(name, args, kwargs)
        except UsageError as error:
            raise UsageError(f"signal {name!r} was not sent: {error.message}.") from None

    def _check_signal(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        if name in self.signals:
            self.signals[name].arguments(args, kwargs)
            return
        refused: UsageError | None = None
        for waiter in self._waiting(name):
            try:
                _value(name, args, kwargs, waiter.kind)
            except UsageError as error:
                refused = refused or error
            else:
                return
        if refused is not None:
            raise refused

    def _waiting(self, name: str) -> deque[_Waiter]:
        """Who waits for signals of this name, in order."""
        waiters = self._waiters.get(name)
        if waiters is None:
            return deque()
        if any(waiter.future.done() for waiter in waiters):  # given up
            waiters = deque(waiter for waiter in waiters if not waiter.future.done())
            self._waiters[name] = waiters
        return waiters

    def _fits(self, event: e.SignalReceived, kind: Any) -> bool:
        try:
            self.signal_value(event, kind)
        except UsageError as error:  # it came before anybody could tell its sender
            if not self._instance.asks.replaying and event.signal_id not in self.misfits:
                self.misfits.add(event.signal_id)
                self._instance.services.notice(
                    f"signal {event.name!r} is kept for who waits for another kind: {error.message}"
                )
            return False
        return True

    def _handle(self, handler: Handler, event: e.SignalReceived) -> None:
        args, kwargs = self.arguments(event)
        try:
            bound = handler.arguments(args, kwargs)
        except UsageError as error:  # it came before anybody could tell its sender
            if not self._instance.asks.replaying:
                self._instance.services.notice(f"signal {event.name!r} was left out: {error}")
            return
        try:
            with self._instance.services.guard.profiling():
                outcome = handler.function(*bound.args, **bound.kwargs)
        except Exception as error:  # noqa: BLE001 - the handler is part of the run
            self._instance.fail(error)
            return
        if inspect.isawaitable(outcome):
            self._instance.loop.create_task(self._finish(outcome))

    async def _finish(self, outcome: Any) -> None:
        try:
            await outcome
        except Exception as error:  # noqa: BLE001 - the handler is part of the run
            self._instance.fail(error)

    def arguments(self, event: e.SignalReceived | e.UpdateAccepted) -> tuple[Any, Any]:
        """The message's (args, kwargs)."""
        if event.payload is None:
            return [], {}
        args, kwargs = self._instance.decode(event.payload)
        return args, kwargs

    # -- updates ------------------------------------------------------------------------------

    def check_update(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> None:
        """Raise HandlerNotFoundError, UsageError, or what the validator raises."""
        handler = self._handler(self.updates, "update", name)
        bound = handler.arguments(args, kwargs)
        if handler.validator is not None:
            self._read_only(f"validator of {name}", handler.validator, bound)

    async def _update(self, event: e.UpdateAccepted) -> None:
        try:
            handler = self._handler(self.updates, "update", event.name)
            bound = handler.arguments(*self.arguments(event))
            value = handler.function(*bound.args, **bound.kwargs)
            if inspect.isawaitable(value):
                value = await value
        except Exception as error:  # noqa: BLE001 - the update's result, for whoever asked
            self._updated(event.update_id, error=error)
        else:
            self._updated(event.update_id, value)

    def _updated(self, update_id: str, value: Any = None, error: Exception | None = None) -> None:
        instance = self._instance
        accepted = self._updating.pop(update_id, None)
        if accepted is None:
            return
        handler = self.updates.get(accepted.name)

        def make() -> Event:
            nonlocal error
            if error is None:
                try:
                    payload, view = instance.encode(value)
                except NotStorableError as failed:
                    error = failed
                else:
                    return e.UpdateCompleted(instance.run_id, instance.at, update_id, payload, view)
            info = instance.describe(error)
            return e.UpdateCompleted(instance.run_id, instance.at, update_id, error=info)

        where = None if handler is None else first_line(handler.function.__code__)
        instance.ask(("end of update", update_id), make, waits=False, where=where)

    @property
    def idle(self) -> bool:
        """Whether no update is under way."""
        return not self._updating

    # -- queries ------------------------------------------------------------------------------

    def query(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The handler's answer. Raises HandlerNotFoundError, QueryMutatedError, UsageError, and
        what the handler raises."""
        handler = self._handler(self.queries, "query", name)
        return self._read_only(name, handler.function, handler.arguments(args, kwargs))

    def mutated(self) -> QueryMutatedError:
        """The error for a query that asks for something. Its run is to be taken from the history
        again: what was asked for is half there."""
        self._instance.disturbed = True
        return QueryMutatedError(
            f"{self._instance.querying!r} asked for a step, a task, a timer, a random number or "
            "the like, or woke code that waits. A query or a validator only looks, for it leaves "
            "nothing in the history: make it an update."
        )

    def _read_only(
        self, name: str, function: Callable[..., Any], bound: inspect.BoundArguments
    ) -> Any:
        instance, loop = self._instance, self._instance.loop
        guard, broken, answer = instance.services.guard, instance.broken, None
        failure: BaseException | None = None
        instance.querying = name
        try:
            with guard.watching(instance), guard.profiling(), loop.read_only(self.mutated):
                answer = function(*bound.args, **bound.kwargs)
        except BaseException as error:  # noqa: BLE001 - for whoever asks
            failure = error
        if instance.disturbed or loop.stirred:
            failure = self.mutated()
        instance.querying = None
        instance.broken = broken  # a clock that a query looked at is no fault of the run's
        if failure is not None:
            raise failure
        if inspect.iscoroutine(answer):
            answer.close()
            raise QueryMutatedError(
                f"{name!r} is async, but a query or a validator is answered on the spot. Make it a "
                "plain function, or an update."
            )
        return answer

    def _handler(self, handlers: dict[str, Handler], kind: str, name: str) -> Handler:
        handler = handlers.get(name)
        if handler is None:
            known = ", ".join(sorted(handlers)) or "none"
            raise HandlerNotFoundError(
                f"Workflow {self._instance.started.workflow} has no {kind} {name!r}; known are: "
                f"{known}. Its code registers one with @workflow.{kind}."
            )
        return handler

    # -- conditions ---------------------------------------------------------------------------

    def condition(self, predicate: Callable[[], object]) -> WorkflowFuture[None]:
        """A future that is done once `predicate()` is true; asked after whatever happens."""
        future = self._instance.loop.create_future()
        self.conditions.append((predicate, future))
        return future

    def wake_conditions(self) -> bool:
        """Settle the conditions that hold now; whether there were any."""
        with self._instance.services.guard.profiling():
            return self._settle_conditions()

    def _settle_conditions(self) -> bool:
        woken = False
        for predicate, future in list(self.conditions):
            try:
                if not future.done():
                    if not predicate():
                        continue
                    future.set_result(None)
                    woken = True
            except Exception as error:  # noqa: BLE001 - raised where it is waited for
                future.set_exception(error)
                woken = True
            self.conditions.remove((predicate, future))
        return woken
