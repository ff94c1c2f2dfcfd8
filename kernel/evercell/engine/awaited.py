"""What a cell can wait for: a time, a signal, a person; what begins it, and what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import msgspec

from evercell.codec import values
from evercell.engine import clear
from evercell.engine.commands import arguments
from evercell.engine.conversion import convert
from evercell.engine.pending import Replied, Taken
from evercell.errors import UsageError
from evercell.events import ApprovalRequested, SignalAwaited, TimerStarted

if TYPE_CHECKING:
    from evercell.engine.pending import Begun, Outcome
    from evercell.engine.scope import Scope

__all__ = ["Approval", "AskAgainError", "Head", "Kind", "Signal", "Sleep"]

_SECOND = 1_000_000_000


class AskAgainError(Exception):
    """A person's answer is not what the code takes."""


class Head(msgspec.Struct, frozen=True):
    """What every beginning of a wait holds."""

    run_id: str
    at: int
    activity_id: str
    slot: str
    cell: str
    key: bytes
    ordinal: int

    def fields(self) -> dict[str, Any]:
        """The same by name."""
        return msgspec.structs.asdict(self)


class Kind(Protocol):
    """What is waited for."""

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes two waits the same."""
        ...

    def begun(self, head: Head, since: int) -> Begun:
        """The event of its beginning."""
        ...

    def value(self, outcome: Outcome, scope: Scope) -> Any:
        """What the code gets, unless the wait was cancelled. Raises TimeoutError, UsageError for a
        signal of another kind, AskAgainError."""
        ...


class Sleep(msgspec.Struct, frozen=True):
    name: str
    length: float  # seconds

    @property
    def identity(self) -> tuple[object, ...]:
        return ("sleep", self.length)

    def begun(self, head: Head, since: int) -> Begun:
        return TimerStarted(
            **head.fields(), name="sleep", fire_at=since + int(self.length * _SECOND)
        )

    def value(self, outcome: Outcome, scope: Scope) -> None:  # noqa: ARG002 - see Kind
        return None


class Signal(msgspec.Struct, frozen=True):
    name: str
    signal: str
    kind: Any
    limit: float | None

    @property
    def identity(self) -> tuple[object, ...]:
        return ("signal", self.signal)

    def begun(self, head: Head, since: int) -> Begun:
        return SignalAwaited(
            **head.fields(), name=self.signal, expires_at=_expires(since, self.limit)
        )

    def value(self, outcome: Outcome, scope: Scope) -> Any:
        match outcome:
            case Taken(signal):
                args, kwargs = arguments(scope.history, signal.payload, scope.live)
                several = kwargs or len(args) > 1
                given = (*args, *kwargs.values()) if several else next(iter(args), None)
                return convert(given, self.kind, f"signal {self.signal!r}")
            case _:
                raise TimeoutError(f"no signal {self.signal!r} came in time.")


class Approval(msgspec.Struct, frozen=True):
    name: str
    prompt: str
    schema: Any
    form: str | None  # the schema as JSON
    limit: float | None

    @property
    def identity(self) -> tuple[object, ...]:
        return ("approval", self.prompt)

    def begun(self, head: Head, since: int) -> Begun:
        return ApprovalRequested(
            **head.fields(),
            prompt=clear.text(self.prompt),
            schema=self.form,
            expires_at=_expires(since, self.limit),
        )

    def value(self, outcome: Outcome, scope: Scope) -> Any:
        match outcome:
            case Replied(answer):
                if self.schema is None:
                    return answer.approved
                return self._filled_in(answer.payload, scope) if answer.approved else None
            case _:
                raise TimeoutError(f"nobody answered {self.prompt!r} in time.")

    def _filled_in(self, payload: Any, scope: Scope) -> Any:
        if payload is None:
            raise AskAgainError("the form was not filled in.")
        value = values.decode(payload.encoding, scope.history.value(payload), scope.live)
        if isinstance(self.schema, dict):
            return value
        try:
            return convert(value, self.schema, "the form")
        except UsageError as error:  # a validator of the model, or a form that was edited since
            raise AskAgainError(error.message) from error


def _expires(since: int, limit: float | None) -> int | None:
    return None if limit is None else since + int(limit * _SECOND)
