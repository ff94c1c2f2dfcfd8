"""One step of a run, to be carried out, and what its attempts need to know of the run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec

from evercell.codec import exceptions
from evercell.engine.attempts import Attempts, Commit, Wait
from evercell.engine.control import Control
from evercell.engine.failures import recorded_error
from evercell.engine.recorder import Recorded
from evercell.engine.scope import Call
from evercell.engine.workflow.asks import SLOT
from evercell.engine.workflow.outage import RETRY
from evercell.errors import HistoryWriteError, InDoubtError, StepFailedError
from evercell.events import StepFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from evercell.clock import Clock
    from evercell.codec.values import Encoded
    from evercell.engine.attempts import Effect
    from evercell.engine.recorder import Stored
    from evercell.engine.workflow.context import StepWork
    from evercell.events import ErrorInfo, Payload
    from evercell.history import History, StepRecord

__all__ = ["Job", "RunScope"]


@dataclass(slots=True)
class RunScope:
    """What a step's attempts need to know of the run that asked for it."""

    history: History
    clock: Clock
    run_id: str
    live: dict[str, Any]
    cell: str = ""
    slot: str = SLOT
    notes: list[str] = field(default_factory=list)
    activities: dict[str, Control] = field(default_factory=dict)
    no_room: Callable[[str], bool] = lambda _: False  # a result can't be stored: try again?

    def flush(self) -> None:
        """Nothing waits to be reported: a workflow's replay answers no calls of cells."""

    def remember(self, record: StepRecord) -> None:
        """The workflow keeps its own account."""

    def keep_heartbeat(self, activity_id: str, details: Payload) -> None:
        """The attempts of one process know it themselves."""

    def exception(self, name: str, error: ErrorInfo) -> BaseException:
        """The exception that a recorded failure raises."""
        if error.payload is None:
            return StepFailedError(f"step {name!r} failed with {error.type}: {error.message}")
        data = self.history.get(error.payload)
        return exceptions.decode_exception(error.payload.encoding, data, self.live)


class _Recorded(Recorded):
    """A workflow records itself that it asked for the step, and that it no longer wants it."""

    def started(self, attempt: int) -> Commit | None:
        if attempt > 1:
            return super().started(attempt)
        return Commit(()) if self.once else None  # that it was asked for must be known for certain

    def not_begun(self, attempt: int, why: BaseException) -> None:
        pass  # the runner begins it once there is room

    def canceled(self, attempt: int, reason: str) -> None:
        pass

    def give(self, attempt: int, stored: Stored) -> None:
        pass  # the run's code gets it with the event

    def put_later(
        self, encoded: Encoded, error: HistoryWriteError
    ) -> Generator[Effect, Any, Payload]:
        """What the step was paid for is kept until there is room for it."""
        scope = self._scope
        assert isinstance(scope, RunScope)  # noqa: S101 - see Job
        while scope.no_room(error.message):
            yield Wait(RETRY)
            try:
                return scope.history.put(encoded.data, encoded.codec)
            except HistoryWriteError as still:
                error = still
        raise error


class Job(msgspec.Struct, frozen=True, gc=False):  # nothing that it holds knows it
    """One step of one run, to be carried out."""

    scope: RunScope
    activity_id: str
    key: bytes
    ordinal: int
    attempt: int  # the next one's number
    work: StepWork
    details: Payload | None = None  # of the latest heartbeat of an earlier attempt

    def attempts(self) -> tuple[Attempts, Recorded]:
        """What is to be driven, and the recorder that it has."""
        step = self.work.step
        call = Call(
            self.activity_id, self.key, self.ordinal, self.attempt, first=True, details=self.details
        )
        recorder = _Recorded(self.scope, call, step.name, lambda: "", once=step.at_most_once)
        control = Control(self.activity_id)
        attempts: Attempts = step.attempts(recorder, control, self.work.args, self.work.kwargs)
        return attempts, recorder

    def failed(self, error: Exception, reason: str, attempt: int) -> StepFailed:
        """The event of an end that is not its body's doing."""
        scope = self.scope
        info = recorded_error(error, scope.history, scope.live)
        return StepFailed(scope.run_id, scope.clock.now(), self.activity_id, attempt, info, reason)

    def in_doubt(self) -> StepFailed:
        """The end of an at-most-once step that can't be known to have had no effect."""
        error = InDoubtError(
            f"at-most-once step {self.work.step.name!r} was started (attempt {self.attempt - 1}) "
            "and its kernel stopped before the result was recorded, so it may have taken effect. "
            "Find out whether it did, and catch this error in the workflow."
        )
        return self.failed(error, "in doubt", self.attempt - 1)
