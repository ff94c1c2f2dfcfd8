"""A step's attempts, written once for sync and async code.

    attempts(call) yields effects:   RunBody -> value or exception
                                     Commit  -> returns when the events are durable
                                     Wait    -> returns after the delay
    drive / drive_async perform them and return the step's result.

The order is append, then act: the result is durable before the caller sees it, and what the caller
sees is the round-tripped value, so that the first run equals the replay.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from evercell.codec import exceptions, values
from evercell.codec.secret import holds_secret
from evercell.engine import clear
from evercell.engine.body import call, call_async
from evercell.engine.retry import GiveUp, Retry, next_attempt
from evercell.engine.usage import AttemptContext, usage_of
from evercell.errors import NotStorableError
from evercell.events import (
    AttemptFailed,
    AttemptStarted,
    ErrorInfo,
    Event,
    StepCanceled,
    StepCompleted,
    StepFailed,
    StepStarted,
)
from evercell.history import StepRecord

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from evercell.engine.retry import RetryPolicy
    from evercell.engine.scope import Call, Scope
    from evercell.events import Payload
    from evercell.history import StepStatus

__all__ = [
    "Attempts",
    "Commit",
    "Effect",
    "RunBody",
    "Wait",
    "drive",
    "drive_async",
    "refuse_secrets",
]

_SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class RunBody:
    """Call the user's function, with this attempt as context."""

    context: AttemptContext


@dataclass(frozen=True, slots=True)
class Commit:
    """Make the events durable."""

    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Wait:
    """Let `seconds` pass."""

    seconds: float


Effect = RunBody | Commit | Wait


@dataclass(slots=True)
class Attempts:
    """The life of one durable call whose body has to run."""

    scope: Scope
    call: Call
    name: str
    arguments: Callable[[], str]  # JSON for people, made only when it is recorded
    policy: RetryPolicy
    at_most_once: bool

    def run(self) -> Generator[Effect, Any, Any]:
        """Yield effects until the step has a result; return it or raise its final error."""
        __tracebackhide__ = True
        self.scope.flush()  # keeps the log in the order of what happened
        tried = 0
        while True:
            attempt = self.call.attempt + tried
            yield from self._start(attempt)
            context = self._context(attempt)
            begin = self.scope.clock.monotonic()
            try:
                value = yield RunBody(context)
            except Exception as error:
                tried += 1
                match next_attempt(self.policy, tried, error):
                    case Retry(delay):
                        self._retry(attempt, error, delay)
                        yield Wait(delay)
                    case GiveUp(reason):
                        raised = yield from self._fail(attempt, error, reason, self._since(begin))
                        if raised is error:
                            raise
                        raise raised from error
            except BaseException as stop:
                self._cancel(attempt, stop)
                raise
            else:
                if not context.reported and (usage := usage_of(value)):
                    context.record(usage)
                return (yield from self._complete(attempt, value, self._since(begin)))

    def _context(self, attempt: int) -> AttemptContext:
        scope = self.scope
        return AttemptContext(
            scope.history, scope.clock, scope.run_id, self.call.activity_id, attempt
        )

    def _since(self, begin: float) -> int:
        return int((self.scope.clock.monotonic() - begin) * _SECOND)

    def _start(self, attempt: int) -> Generator[Effect, Any, None]:
        scope, call, now = self.scope, self.call, self.scope.clock.now()
        event: Event
        if call.first and attempt == 1:
            event = StepStarted(
                run_id=scope.run_id,
                at=now,
                activity_id=call.activity_id,
                cell=scope.cell,
                slot=scope.slot,
                name=self.name,
                key=call.key,
                ordinal=call.ordinal,
                arguments=clear.arguments(self.arguments()),
                at_most_once=self.at_most_once,
            )
        else:
            event = AttemptStarted(scope.run_id, now, call.activity_id, scope.cell, attempt)
        if self.at_most_once:
            yield Commit((event,))  # whether it was started must be known for certain
        else:
            scope.history.append(event)

    def _complete(self, attempt: int, value: object, duration: int) -> Generator[Effect, Any, Any]:
        scope = self.scope
        try:
            encoded = values.encode(value, scope.live)
            refuse_secrets(encoded.data)
        except NotStorableError as why:
            error = NotStorableError(
                f"step {self.name!r} returned a value that can't be recorded: {why.message} "
                "Return plain data from a step and make clients, files and the like in the cell."
            )
            raise (yield from self._fail(attempt, error, "not storable", duration)) from None
        payload = scope.history.put(encoded.data, encoded.codec)
        done = StepCompleted(
            run_id=scope.run_id,
            at=scope.clock.now(),
            activity_id=self.call.activity_id,
            attempt=attempt,
            result=payload,
            view=clear.view(value, encoded, payload),
            duration=duration,
        )
        yield Commit((done,))
        self._remember("completed", attempt, result=payload)
        return values.decode(encoded.codec, encoded.data, scope.live)

    def _fail(
        self, attempt: int, error: Exception, reason: str, duration: int
    ) -> Generator[Effect, Any, BaseException]:
        """Record the final failure; return the exception that every replay will raise, too."""
        scope = self.scope
        info = self._describe(error)
        failed = StepFailed(
            run_id=scope.run_id,
            at=scope.clock.now(),
            activity_id=self.call.activity_id,
            attempt=attempt,
            error=info,
            reason=reason,
            duration=duration,
        )
        yield Commit((failed,))
        self._remember("failed", attempt, error=info)
        return error if info.payload is not None else scope.exception(self.name, info)

    def _retry(self, attempt: int, error: Exception, delay: float) -> None:
        scope = self.scope
        info = self._describe(error, storable=False)
        scope.history.append(
            AttemptFailed(
                run_id=scope.run_id,
                at=scope.clock.now(),
                activity_id=self.call.activity_id,
                attempt=attempt,
                error=info,
                retry_delay=int(delay * _SECOND),
            )
        )

    def _cancel(self, attempt: int, stop: BaseException) -> None:
        scope = self.scope
        reason = type(stop).__name__
        scope.history.append(
            StepCanceled(scope.run_id, scope.clock.now(), self.call.activity_id, attempt, reason)
        )
        self._remember("canceled", attempt)

    def _describe(self, error: Exception, *, storable: bool = True) -> ErrorInfo:
        name, message, traceback = clear.error(error)
        if not storable:
            return ErrorInfo(name, message, traceback)
        try:
            encoded = exceptions.encode_exception(error, self.scope.live)
        except NotStorableError:
            return ErrorInfo(name, message, traceback)
        if holds_secret(encoded.data):
            return ErrorInfo(name, message, traceback)
        payload = self.scope.history.put(encoded.data, encoded.codec)
        return ErrorInfo(name, message, traceback, payload)

    def _remember(
        self,
        status: StepStatus,
        attempt: int,
        *,
        result: Payload | None = None,
        error: ErrorInfo | None = None,
    ) -> None:
        call = self.call
        self.scope.remember(
            StepRecord(
                activity_id=call.activity_id,
                key=call.key,
                ordinal=call.ordinal,
                status=status,
                attempts=attempt,
                at_most_once=self.at_most_once,
                result=result,
                error=error,
            )
        )


def refuse_secrets(data: bytes) -> None:
    """Raise NotStorableError for bytes that hold the text of a Secret."""
    if holds_secret(data):
        raise NotStorableError("it holds the text of a Secret, which is never recorded.")


def drive(attempts: Attempts, body: Callable[[], Any], timeout: float | None) -> Any:
    """Perform a sync step's effects on the calling thread."""
    __tracebackhide__ = True
    history = attempts.scope.history

    def perform(effect: Effect) -> Any:
        __tracebackhide__ = True
        match effect:
            case RunBody(context):
                return call(body, timeout, context)
            case Commit(events):
                return history.commit(*events)
            case Wait(seconds):
                return attempts.scope.clock.sleep(seconds)

    return _drive(attempts.run(), perform)


def _drive(steps: Generator[Effect, Any, Any], perform: Callable[[Effect], Any]) -> Any:
    __tracebackhide__ = True
    try:
        effect = next(steps)
        while True:
            try:
                done = perform(effect)
            except BaseException as error:  # noqa: BLE001 - handed on, not swallowed
                effect = steps.throw(error)
            else:
                effect = steps.send(done)
    except StopIteration as stop:
        return stop.value


async def drive_async(
    attempts: Attempts, body: Callable[[], Awaitable[Any]], timeout: float | None
) -> Any:
    """Perform an async step's effects on the running event loop."""
    __tracebackhide__ = True
    scope = attempts.scope

    async def perform(effect: Effect) -> Any:
        __tracebackhide__ = True
        match effect:
            case RunBody(context):
                return await call_async(body, timeout, context)
            case Commit(events):
                return await scope.history.commit_async(*events)
            case Wait(seconds):
                return await scope.clock.sleep_async(seconds)

    steps = attempts.run()
    try:
        effect = next(steps)
        while True:
            try:
                done = await perform(effect)
            except BaseException as error:  # noqa: BLE001 - handed on, not swallowed
                effect = steps.throw(error)
            else:
                effect = steps.send(done)
    except StopIteration as stop:
        return stop.value
