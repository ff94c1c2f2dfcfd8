"""What a recorded step writes down: each moment of `Attempts` as its event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from evercell.codec import values
from evercell.engine import clear
from evercell.engine.attempts import Commit
from evercell.engine.context import AttemptContext
from evercell.engine.failures import recorded_error
from evercell.engine.recordable import check_recordable
from evercell.errors import HistoryWriteError, NotStorableError
from evercell.events import (
    AttemptFailed,
    AttemptStarted,
    ErrorInfo,
    Event,
    HeartbeatRecorded,
    Payload,
    StepCanceled,
    StepCompleted,
    StepFailed,
    StepStarted,
    UsageRecorded,
)
from evercell.history import StepRecord

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from evercell.clock import Clock
    from evercell.codec.values import Encoded
    from evercell.engine.arguments import Watched
    from evercell.engine.attempts import Effect
    from evercell.engine.control import Control
    from evercell.engine.scope import Call
    from evercell.engine.usage import Usage
    from evercell.history import History, StepStatus

__all__ = ["Recorded", "StepScope", "Stored"]

_SECOND = 1_000_000_000


class StepScope(Protocol):
    """Where a step is called: a cell's execution (scope.py), or a run of a workflow."""

    history: History
    clock: Clock
    run_id: str
    cell: str
    slot: str
    live: dict[str, Any]
    activities: dict[str, Control]  # durable calls under way: what commands reach

    def flush(self) -> None:
        """Append what the history answered up to now."""
        ...

    def remember(self, record: StepRecord) -> None:
        """Keep what became of a call."""
        ...

    def keep_heartbeat(self, activity_id: str, details: Payload) -> None:
        """Keep the details of a step's latest heartbeat."""
        ...

    def exception(self, name: str, error: ErrorInfo) -> BaseException:
        """The exception that a recorded failure raises."""
        ...


class Stored(msgspec.Struct):
    """A result that is stored, and what it was encoded to, until that is given up."""

    payload: Payload
    encoded: Encoded | None


class Recorded:
    """The events of one durable call: `attempts.Recorder`, and `context.Book` for its bodies."""

    recording = True

    def __init__(
        self,
        scope: StepScope,
        call: Call,
        name: str,
        arguments: Callable[[], str],
        *,
        once: bool,
        watched: Watched | None = None,
    ) -> None:
        """`arguments`: JSON for people, made only when it is recorded; `once`: at most once;
        `watched`: those that the body may change."""
        self._watched = watched
        self.clock = scope.clock
        self.first = call.attempt
        self._scope = scope
        self._call = call
        self._name = name
        self._arguments = arguments
        self.once = once
        self._details = call.details

    # -- attempts.Recorder --------------------------------------------------------------------

    def open(self, control: Control) -> None:
        """Commands may come from here on."""
        if self._watched is not None:
            self._watched.begin()
        self._scope.flush()  # keeps the log in the order of what happened
        self._scope.activities[control.activity_id] = control

    def close(self, control: Control) -> None:
        """Commands come too late from here on."""
        if self._watched is not None:
            self._watched.end()
        if self._scope.activities.get(control.activity_id) is control:
            del self._scope.activities[control.activity_id]

    def context(
        self, control: Control, attempt: int, heartbeat_timeout: float | None
    ) -> AttemptContext:
        """What the body of an attempt sees."""
        run_id = self._scope.run_id
        return AttemptContext(
            self, control, self.clock, run_id, self._name, attempt, heartbeat_timeout
        )

    def started(self, attempt: int) -> Commit | None:
        """StepStarted, or AttemptStarted for a later one."""
        scope, call, now = self._scope, self._call, self.clock.now()
        event: Event
        if call.first and attempt == 1:
            event = StepStarted(
                run_id=scope.run_id,
                at=now,
                activity_id=call.activity_id,
                cell=scope.cell,
                slot=scope.slot,
                name=self._name,
                key=call.key,
                ordinal=call.ordinal,
                arguments=clear.arguments(self._arguments()),
                at_most_once=self.once,
            )
        else:
            event = AttemptStarted(scope.run_id, now, call.activity_id, scope.cell, attempt)
        scope.history.append(event)
        return Commit(()) if self.once else None  # whether it was started must be known for certain

    def not_begun(self, attempt: int, why: BaseException) -> None:
        """AttemptFailed: nothing is in doubt. It is queued behind the start, also in an outage."""
        self._scope.history.commit_then((self._attempt_failed(attempt, why, 0.0),), _tell_nobody)
        self._remember("retrying", attempt)

    def completed(self, attempt: int, value: object, duration: int) -> Generator[Effect, Any, Any]:
        """StepCompleted; the value as a replay gives it."""
        try:
            encoded = _encode(value, self._scope.live)
            if self._watched is not None:
                encoded = self._watched.with_changes(encoded)
        except NotStorableError as why:
            error = NotStorableError(
                f"step {self._name!r} returned a value that can't be recorded: "
                f"{why.message.rstrip('.')}. Return plain data from a step and make clients, files "
                "and the like in the cell."
            )
            raise (yield from self.failed(attempt, error, "not storable", duration)) from None
        try:
            payload = self._scope.history.put(encoded.data, encoded.codec)
        except HistoryWriteError as no_room:
            payload = yield from self.put_later(encoded, no_room)
        stored = Stored(payload, encoded)
        completed = self.completion(attempt, value, stored, duration)
        del encoded, value  # so that `give` need not hold it beside what was stored
        yield Commit((completed,))
        return self.give(attempt, stored)

    def store(self, value: object) -> Stored:
        """The value, stored, of a call whose arguments can't change. Raises NotStorableError,
        HistoryWriteError."""
        encoded = _encode(value, self._scope.live)
        return Stored(self._scope.history.put(encoded.data, encoded.codec), encoded)

    def completion(
        self, attempt: int, value: object, stored: Stored, duration: int
    ) -> StepCompleted:
        """The event of what the body returned."""
        payload, encoded = stored.payload, stored.encoded
        assert encoded is not None  # noqa: S101 - `give` comes later
        view = clear.view(value, encoded, payload)
        now, activity_id = self.clock.now(), self._call.activity_id
        return StepCompleted(self._scope.run_id, now, activity_id, attempt, payload, view, duration)

    def give(self, attempt: int, stored: Stored) -> Any:
        """The value as a replay gives it, once its event is durable."""
        self._remember("completed", attempt, result=stored.payload)
        encoded, live = stored.encoded, self._scope.live
        assert encoded is not None  # noqa: S101 - it is asked for once
        if stored.payload.data is None and encoded.codec == "parts":
            del encoded  # one copy is enough: that which was stored
            stored.encoded = None
            return values.decode("parts", self._scope.history.value(stored.payload), live)
        return values.decode(encoded.codec, bytes(encoded.data), live)

    def put_later(
        self,
        encoded: Encoded,  # noqa: ARG002 - for those who can wait
        error: HistoryWriteError,
    ) -> Generator[Effect, Any, Payload]:
        """There is no room for the value: a cell's code is told."""
        raise error
        yield  # a generator

    def skipped(self, attempt: int, result: Payload) -> Any:
        """The value that somebody gave, who recorded it."""
        self._remember("completed", attempt, result=result)
        data = self._scope.history.value(result)
        return values.decode(result.encoding, data, self._scope.live)

    def failed(
        self, attempt: int, error: Exception, reason: str, duration: int
    ) -> Generator[Effect, Any, BaseException]:
        """StepFailed; the exception that every replay will raise, too."""
        scope = self._scope
        info = recorded_error(error, scope.history, scope.live)
        failed = StepFailed(
            run_id=scope.run_id,
            at=self.clock.now(),
            activity_id=self._call.activity_id,
            attempt=attempt,
            error=info,
            reason=reason,
            duration=duration,
        )
        yield Commit((failed,))
        self._remember("failed", attempt, error=info)
        return error if info.payload is not None else scope.exception(self._name, info)

    def retried(self, attempt: int, error: Exception, delay: float) -> None:
        """AttemptFailed."""
        self._scope.history.append(self._attempt_failed(attempt, error, delay))

    def _attempt_failed(self, attempt: int, error: BaseException, delay: float) -> AttemptFailed:
        scope = self._scope
        return AttemptFailed(
            run_id=scope.run_id,
            at=self.clock.now(),
            activity_id=self._call.activity_id,
            attempt=attempt,
            error=recorded_error(error, scope.history, scope.live, storable=False),
            retry_delay=int(delay * _SECOND),
        )

    def canceled(self, attempt: int, reason: str) -> None:
        """StepCanceled."""
        scope = self._scope
        scope.history.append(
            StepCanceled(
                scope.run_id,
                self.clock.now(),
                self._call.activity_id,
                attempt,
                clear.text(reason),
            )
        )
        self._remember("canceled", attempt)

    # -- context.Book -------------------------------------------------------------------------

    def encode(self, details: tuple[Any, ...]) -> tuple[Encoded, list[Any]]:
        """A heartbeat's details as they are now. Raises NotStorableError."""
        listed = list(details)
        return _encode(listed, self._scope.live), listed

    def beat(self, attempt: int, details: tuple[Encoded, list[Any]]) -> None:
        """HeartbeatRecorded."""
        scope, call = self._scope, self._call
        encoded, listed = details
        payload = scope.history.put(encoded.data, encoded.codec)
        self._details = payload
        scope.keep_heartbeat(call.activity_id, payload)
        scope.history.append(
            HeartbeatRecorded(
                scope.run_id,
                self.clock.now(),
                call.activity_id,
                attempt,
                payload,
                clear.view(listed, encoded, payload),
            )
        )

    def details(self) -> tuple[Any, ...]:
        """What the latest recorded heartbeat was given."""
        if self._details is None:
            return ()
        data = self._scope.history.get(self._details)
        return tuple(values.decode(self._details.encoding, data, self._scope.live))

    def usage(self, attempt: int, usage: Usage) -> None:
        """UsageRecorded."""
        self._scope.history.append(
            UsageRecorded(
                self._scope.run_id,
                self.clock.now(),
                self._call.activity_id,
                attempt,
                usage.model,
                usage.input_tokens,
                usage.output_tokens,
                usage.cost,
            )
        )

    def _remember(
        self,
        status: StepStatus,
        attempt: int,
        *,
        result: Payload | None = None,
        error: ErrorInfo | None = None,
    ) -> None:
        call = self._call
        self._scope.remember(
            StepRecord(
                activity_id=call.activity_id,
                key=call.key,
                ordinal=call.ordinal,
                status=status,
                attempts=attempt,
                at_most_once=self.once,
                result=result,
                error=error,
            )
        )


def _tell_nobody(_failure: str | None) -> None:
    """Who waits for what was started knows."""


def _encode(value: object, live: dict[str, Any]) -> Encoded:
    encoded = values.encode(value, live)
    check_recordable(encoded.data)
    return encoded
