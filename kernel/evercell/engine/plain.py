"""A step outside a recorded cell: the function with its retries and limits, nothing recorded."""

# ruff: noqa: ARG002 - it keeps nothing of what it is told

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from evercell.clock import SystemClock
from evercell.engine.context import AttemptContext
from evercell.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Generator

    from evercell.clock import Clock
    from evercell.engine.attempts import Effect
    from evercell.engine.control import Control
    from evercell.engine.usage import Usage
    from evercell.events import Payload

__all__ = ["Unrecorded", "commit_nothing", "commit_nothing_async"]


class Unrecorded:
    """`attempts.Recorder` and `context.Book` that keep nothing but the latest heartbeat."""

    recording = False
    first = 1

    def __init__(self, name: str) -> None:
        self.clock: Clock = SystemClock()
        self._name = name
        self._details: tuple[Any, ...] = ()

    def open(self, control: Control) -> None:
        """Nobody sends commands here."""

    def close(self, control: Control) -> None:
        """See `open`."""

    def context(
        self, control: Control, attempt: int, heartbeat_timeout: float | None
    ) -> AttemptContext:
        """What the body of an attempt sees."""
        return AttemptContext(self, control, self.clock, "", self._name, attempt, heartbeat_timeout)

    def started(self, attempt: int) -> None:
        """Nothing."""

    def not_begun(self, attempt: int, why: BaseException) -> None:
        """Nothing."""

    def completed(self, attempt: int, value: object, duration: int) -> Generator[Effect, Any, Any]:
        """The value itself."""
        yield from ()
        return value

    def skipped(self, attempt: int, result: Payload) -> Any:
        """Never: `open` lets no commands in. Raises UsageError."""
        raise UsageError(
            f"step {self._name!r} is not recorded here, so it can't be skipped. Only steps of a "
            "recorded cell or workflow can."
        )

    def retried(self, attempt: int, error: Exception, delay: float) -> None:
        """Nothing."""

    def failed(
        self, attempt: int, error: Exception, reason: str, duration: int
    ) -> Generator[Effect, Any, BaseException]:
        """The error itself."""
        yield from ()
        return error

    def canceled(self, attempt: int, reason: str) -> None:
        """Nothing."""

    def encode(self, details: tuple[Any, ...]) -> tuple[Any, ...]:
        """The details themselves."""
        return details

    def beat(self, attempt: int, details: tuple[Any, ...]) -> None:
        """For the next attempt."""
        self._details = details

    def details(self) -> tuple[Any, ...]:
        """What the latest heartbeat was given."""
        return self._details

    def usage(self, attempt: int, usage: Usage) -> None:
        """Nothing."""


def commit_nothing(*_events: object) -> None:
    """There are none."""


async def commit_nothing_async(*_events: object) -> None:
    """There are none."""
