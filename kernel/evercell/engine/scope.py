"""The place where durable calls are counted and looked up: one execution of one cell.

    Scope.enter(step, values) -> Answered | Raised | Call

A call's key is content - function, version, arguments - and its ordinal counts identical calls in
the scope, so the n-th sample of one prompt stays the n-th, in whatever order tasks and threads ask.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec
from msgspec import field

from evercell.codec import canonical, exceptions, values
from evercell.codec.changes import CODEC, unpack
from evercell.engine.arguments import InFlight
from evercell.engine.decide import (
    Answer,
    Attempt,
    RaiseAgain,
    Refuse,
    another_attempt,
    decide_step,
)
from evercell.errors import InDoubtError, PayloadError, RestoreError, StepFailedError
from evercell.events import StepsAnswered

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from evercell.clock import Clock
    from evercell.codec.changes import Changed
    from evercell.engine.control import Control
    from evercell.engine.function import FunctionVersion, Reached
    from evercell.engine.waitlist import WaitList
    from evercell.events import ErrorInfo, Payload
    from evercell.history import History, StepRecord, StepTable
    from evercell.history.steps import Replay

__all__ = [
    "Answered",
    "Call",
    "Raised",
    "Scope",
    "StepIdentity",
    "current_scope",
    "enter_scope",
    "forget_scopes",
    "leave_scope",
]

_FLUSH_ANSWERED = 1024  # ids in one StepsAnswered event


class StepIdentity(Protocol):
    """What a scope needs to know of a step."""

    name: str
    at_most_once: bool
    function_version: FunctionVersion


class Answered(msgspec.Struct, frozen=True):  # made at each replayed call: five times as quick
    """The history's result, decoded."""

    value: Any
    changed: Changed | None = None  # what the body had changed in its arguments
    version: bytes = b""  # of what was called, where it had


class Raised(msgspec.Struct, frozen=True):
    """The exception to raise instead of running the body."""

    error: BaseException


class Call(msgspec.Struct, frozen=True):
    """A durable call whose body must run, from attempt number `attempt` on."""

    activity_id: str
    key: bytes
    ordinal: int
    attempt: int
    first: bool  # never made before: StepStarted is due
    details: Payload | None = None  # of the latest heartbeat of an earlier attempt
    version: bytes = b""  # of what is called


class Scope(msgspec.Struct):
    """One cell execution's durable calls. Safe to use from any thread and task."""

    history: History
    clock: Clock
    run_id: str
    cell: str  # activity_id of the cell execution
    slot: str
    live: dict[str, Any]  # the user's namespace
    resuming: bool
    load: Callable[[], StepTable]  # the slot's recorded calls; asked for at the first step only
    data_version: Callable[[str], bytes | None]
    notes: list[str] = field(default_factory=list)  # for the user, about recorded results
    missed: str | None = None  # what the history could not give back, so that the cell is no hit
    in_flight: InFlight = field(default_factory=InFlight)
    # Durable calls under way in the run, by activity_id: what commands reach.
    activities: dict[str, Control] = field(default_factory=dict)
    waits: WaitList | None = None  # what the run's cells wait for; None: commands don't reach it
    on_first_call: Callable[[], None] | None = None  # of whatever kind, before it is looked up
    _table: StepTable | None = None
    _replay: Replay | None = None  # the way through its table
    _ordinals: dict[bytes, int] = field(default_factory=dict)  # of what is counted beside steps
    _versions: dict[FunctionVersion, Reached] = field(default_factory=dict)
    _answered: deque[bytes] = field(default_factory=deque)  # ids in UTF-8, not reported yet
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def enter(
        self,
        step: StepIdentity,
        arguments: tuple[object, ...],
        *,
        again: Callable[[object], bool] | None = None,
    ) -> Answered | Raised | Call:
        """Look a call up and decide. `again`: whether the call is to be made once more in spite of
        its result, where its user runs the cell again. Raises NotStorableError for arguments
        without identity."""
        reached = self._versions.get(step.function_version)
        if reached is None or (reached.references and not reached.holds()):
            reached = step.function_version.compute(self.data_version)
            self._versions[step.function_version] = reached
        key = canonical.call_digest(reached.version, arguments, self.live)
        ordinal = 0
        with self._lock:
            replay = self._replay or self._begin_replay()
            usual, record = replay.take(key), None
            if usual is None:
                ordinal, usual, record = replay.find(key)
        entered: Answered | Raised | Call
        if usual is not None:  # what deciding would come to: a replay is here a million times
            activity_id, data = usual
            self._answered.append(activity_id)
            if len(self._answered) >= _FLUSH_ANSWERED:
                self.flush()
            entered = Answered(values.decode("json", data, self.live))
            if again is None:
                return entered
        elif record is None:  # the same: most calls that are made are made for the first time
            return self._call(another_attempt(None), key, ordinal, reached.version)
        else:
            entered = self._decided(step, record, key, ordinal, reached.version)
        if again is None or self.resuming or not isinstance(entered, Answered):
            return entered
        if not again(entered.value):
            return entered
        attempt = another_attempt(record) if usual is None else Attempt(usual[0].decode(), 2)
        return self._call(attempt, key, ordinal, reached.version)

    def _decided(
        self,
        step: StepIdentity,
        record: StepRecord | None,
        key: bytes,
        ordinal: int,
        version: bytes,
    ) -> Answered | Raised | Call:
        decision = decide_step(record, resuming=self.resuming, at_most_once=step.at_most_once)
        match decision:
            case Answer(activity_id, _, result):
                try:
                    data = self.history.value(result)
                    value = values.decode(result.encoding, data, self.live)
                    changed = unpack(data) if result.encoding == CODEC else None  # type: ignore[arg-type] # no parts
                except (PayloadError, RestoreError) as error:
                    self.notes.append(f"{step.name} runs again: {error}")
                    return self._call(another_attempt(record), key, ordinal, version)
                self._report(activity_id)
                return Answered(value, changed, version)
            case RaiseAgain(activity_id, error):
                self._report(activity_id)
                return Raised(self.exception(step.name, error))
            case Refuse(_, attempt):
                return Raised(_in_doubt(step.name, attempt))
            case Attempt():
                return self._call(decision, key, ordinal, version)

    def _call(self, attempt: Attempt, key: bytes, ordinal: int, version: bytes) -> Call:
        known, number = attempt.activity_id, attempt.attempt
        if known is None:
            new = self.history.new_activity_id()
            return Call(new, key, ordinal, number, first=True, version=version)
        details = self.table().heartbeats.get(known)
        return Call(known, key, ordinal, number, first=False, details=details, version=version)

    def count(self, key: bytes) -> int:
        """The ordinal of one more call with this key."""
        with self._lock:
            self._called()
            ordinal = self._ordinals.get(key, 0)
            self._ordinals[key] = ordinal + 1
            return ordinal

    def table(self) -> StepTable:
        """The slot's recorded calls by (key, ordinal)."""
        with self._lock:
            if self._table is None:
                self._table = self.load()
            return self._table

    def _begin_replay(self) -> Replay:
        self._called()
        self._replay = self.table().replay()
        return self._replay

    def _called(self) -> None:
        if (begin := self.on_first_call) is not None:
            self.on_first_call = None
            begin()

    def remember(self, record: StepRecord) -> None:
        """Keep what became of a call, for the next execution of this cell."""
        with self._lock:
            table = self._table
            (self.table() if table is None else table)[record.key, record.ordinal] = record

    def keep_heartbeat(self, activity_id: str, details: Payload) -> None:
        """Keep the details of a step's latest heartbeat, for its next attempt."""
        with self._lock:
            self.table().heartbeats[activity_id] = details

    def exception(self, name: str, error: ErrorInfo) -> BaseException:
        """The exception that a step's recorded failure raises, on the first run and on replay."""
        if error.payload is not None:
            try:
                data = self.history.get(error.payload)
                return exceptions.decode_exception(error.payload.encoding, data, self.live)
            except (PayloadError, RestoreError) as failed:
                self.notes.append(f"the exception of {name} can't be given back: {failed}")
        return StepFailedError(
            f"step {name!r} failed for good with {error.type}: {error.message}. The exception "
            "itself can't be stored. Run the cell once more to try the step again."
        )

    def miss(self, what: str, why: str) -> None:
        """Tell the user, and take the cell for one that is not what it would have been."""
        self.missed = f"{what}: {why}"
        self.notes.append(f"{self.missed}. Have the step return it.")

    def flush(self) -> None:
        """Append what the history answered since the last flush."""
        if not self._answered:
            return
        ids: list[bytes] = []
        with suppress(IndexError):  # other threads may take from it, too
            while True:
                ids.append(self._answered.popleft())
        if ids:
            answered = tuple(map(bytes.decode, ids))
            self.history.append(StepsAnswered(self.run_id, self.clock.now(), self.cell, answered))

    def _report(self, activity_id: str) -> None:
        self._answered.append(activity_id.encode())
        if len(self._answered) >= _FLUSH_ANSWERED:
            self.flush()


def _in_doubt(name: str, attempt: int) -> InDoubtError:
    return InDoubtError(
        f"at-most-once step {name!r} was started (attempt {attempt}) and its kernel stopped before "
        "the result was recorded, so it may have taken effect. Find out whether it did; then catch "
        "this error, or give the step another version= to run it again."
    )


_scope: ContextVar[Scope | Literal[False] | None] = ContextVar("evercell_scope", default=None)
_latest: Scope | None = None


def current_scope() -> Scope | None:
    """The scope of the calling code: its context's, or, in a thread that inherited no context, that
    of the latest cell. None before the first recorded cell, and in what a workflow carries out."""
    scope = _scope.get()
    return None if scope is False else scope or _latest


def leave_scope() -> None:
    """The calling context belongs to no cell from here on: its steps run plain."""
    _scope.set(False)


@contextmanager
def enter_scope(scope: Scope) -> Iterator[Scope]:
    """Make `scope` current for the time of a cell."""
    global _latest  # noqa: PLW0603 - threads carry no context, and outlive their cell
    token = _scope.set(scope)
    _latest = scope
    try:
        yield scope
    finally:
        _scope.reset(token)
        scope.flush()


def forget_scopes() -> None:
    """Nothing is recorded from here on: a thread's later steps run plain."""
    global _latest  # noqa: PLW0603
    _latest = None
