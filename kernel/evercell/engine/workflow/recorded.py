"""A run's values: stored and read, with the services that its process gives."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from evercell import events as e
from evercell.codec import exceptions, values
from evercell.engine import clear
from evercell.engine.failures import recorded_error
from evercell.engine.recordable import check_recordable
from evercell.engine.workflow.endings import ending_error
from evercell.errors import HistoryWriteError, NotStorableError, StepFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evercell.engine.workflow.guard import Guard
    from evercell.errors import HistoryError, NondeterminismError, WorkflowCallError
    from evercell.events import ErrorInfo, Payload
    from evercell.history import History

__all__ = ["RecordedValues", "Services"]


class Services(Protocol):
    """What a run needs of the process that carries it."""

    history: History
    live: dict[str, Any]
    guard: Guard

    @property
    def notice(self) -> Callable[[str], None]:
        """Takes lines for the user."""
        ...

    def new_activity_id(self) -> str:
        """A fresh id."""
        ...

    def new_run_id(self) -> str:
        """A fresh id."""
        ...


class RecordedValues:
    """What a run's code gives to the history, and gets from it."""

    services: Services
    broken: NondeterminismError | WorkflowCallError | HistoryError | None  # why the code must stop

    def decode(self, payload: Payload) -> Any:
        """A stored value. Raises PayloadError, RestoreError."""
        services, codec = self.services, payload.codec
        encoding = payload.encoding if "+" in codec else codec
        small = payload.data is not None  # `get` is the quick one
        data = services.history.get(payload) if small else services.history.value(payload)
        return values.decode(encoding, data, services.live)

    def exception(self, error: ErrorInfo) -> BaseException:
        """The exception that a recorded failure raises."""
        if error.payload is None:
            return StepFailedError(f"failed with {error.type}: {error.message}")
        services = self.services
        data = services.history.get(error.payload)
        return exceptions.decode_exception(error.payload.encoding, data, services.live)

    def failure(self, event: Any) -> BaseException | None:
        """The exception that a recorded outcome raises in the code, if any."""
        error: ErrorInfo | None = getattr(event, "error", None)
        if error is not None:
            return self.exception(error)
        if isinstance(event, e.ChildFinished):
            return ending_error(event.status, f"the child workflow {event.child}")
        return None

    def outcome(self, event: Any) -> Any:
        """The value that a recorded outcome gives the code."""
        match event:
            case e.StepCompleted() | e.ChildFinished():
                return None if event.result is None else self.decode(event.result)
            case e.ApprovalAnswered():
                answer = None if event.payload is None else self.decode(event.payload)
                return event.approved, answer
            case _:
                return None

    def encode(self, value: object) -> tuple[Payload, str | None]:
        """A value of the code as it is recorded, and JSON for people. Raises NotStorableError."""
        encoded = values.encode(value, self.services.live)
        check_recordable(encoded.data)
        with self.storing():
            payload = self.services.history.put(encoded.data, encoded.codec)
        return payload, clear.json_view(value, encoded)

    @contextmanager
    def storing(self) -> Iterator[None]:
        """A history that can't be written in the block is nothing that the code may handle: it goes
        on from where it stood before."""
        try:
            yield
        except HistoryWriteError as error:
            self.broken = self.broken or error
            raise

    def view(self, value: object) -> str | None:
        """JSON for people of what may not be recordable."""
        try:
            return clear.json_view(value, values.encode(value, self.services.live))
        except NotStorableError:
            return None

    def describe(self, error: BaseException) -> ErrorInfo:
        """An exception of the code as it is recorded."""
        return recorded_error(error, self.services.history, self.services.live)
