"""What workflow code asked for, and what the history says that it asked for.

    ask(identity, make) ─┬─ replay: the next recorded one, which must be the same ─> its event
                         └─ live:   make() ─> a new event, to be recorded and carried out

What code asks for is verified by position: the n-th of its asks is the n-th that is recorded. New
asks wait until the whole history was gone through, so that a replay which goes wrong has carried
out nothing.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

import msgspec

from evercell import events as e
from evercell.engine.workflow.where import calling_line
from evercell.errors import NondeterminismError, NotStorableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from evercell.engine.workflow.loop import WorkflowFuture

__all__ = [
    "ASKED",
    "REACHED",
    "SLOT",
    "Asks",
    "Identity",
    "Pending",
    "describe",
    "identity_of",
]

REACHED = frozenset(
    {
        e.StepCompleted,
        e.StepFailed,
        e.TimerFired,
        e.ChildFinished,
        e.ApprovalAnswered,
        e.SignalReceived,
        e.UpdateAccepted,
        e.CancelRequested,
        e.DeliveryReported,
    }
)
"""Events that record what reached the code."""

Identity = tuple[object, ...]
"""A word for the kind of ask, then what must be the same in a replay."""

SLOT = "workflow"  # where a cell's steps name their cell

_IMPOSED = ("terminated", "timed out")  # ends of a run that its code did not ask for


_IDENTITIES: dict[type[e.Event], Callable[[Any], Identity]] = {
    e.StepStarted: lambda event: ("step", event.name, event.key[:16]),
    e.StepCanceled: lambda event: ("cancel of step", event.activity_id),
    e.TimerStarted: lambda _: ("timer",),
    e.TimerCanceled: lambda event: ("cancel of timer", event.activity_id),
    e.ChildStarted: lambda event: ("child", event.workflow, event.key),
    e.ApprovalRequested: lambda event: ("approval", event.prompt, event.schema),
    e.MarkerRecorded: lambda event: (event.kind, event.name),
    e.SignalSent: lambda event: ("signal", event.target, event.name, event.key),
    e.CancelSent: lambda event: ("cancel of run", event.target),
    e.AttributesSet: lambda event: ("attributes", event.search_attributes, event.memo),
    e.UpdateCompleted: lambda event: ("end of update", event.update_id),
    e.RunFinished: lambda event: ("end", event.status),
}


ASKED = tuple(_IDENTITIES)
"""Events that record what code asked for."""


def identity_of(event: e.Event) -> Identity | None:
    """What the recorded ask was about; None for what was imposed on the code."""
    if isinstance(event, e.RunFinished) and event.status in _IMPOSED:
        return None
    return _IDENTITIES[type(event)](event)


def describe(identity: Identity, event: e.Event | None = None) -> str:
    """An ask in words; `event` tells a recorded step's arguments."""
    kind, *rest = identity
    match event:
        case e.StepStarted():
            return f"step {event.name}({event.arguments[:200]})"
        case e.TimerStarted():
            return f"timer ({event.name})"
        case _:
            pass
    names = [repr(part) for part in rest if isinstance(part, str)]
    return " ".join((str(kind), *names[:2]))


class Pending(msgspec.Struct, eq=False):
    """Something that the code asked for and that has not come: `work` is what its kind needs to be
    carried out."""

    event: e.Event
    future: WorkflowFuture[Any] | None
    work: Any = None
    over: bool = False  # its outcome is being recorded


class Asks:
    """One run's asks, in order."""

    __slots__ = (
        "_calls", "_run_id", "_uncounted", "count", "fresh", "inputs", "markers", "recorded",
    )  # fmt: skip

    def __init__(self, run_id: str, history: Iterable[e.Event] = ()) -> None:
        self._run_id = run_id
        self.recorded: deque[e.Event] = deque()  # that the code has not asked for yet
        self.markers: set[str] = set()  # patches that the history knows
        self.inputs = 0  # recorded ones that have not reached the code yet
        self.count = 0
        self.fresh: list[e.Event] = []  # asked for the first time, not recorded yet
        self._calls: dict[bytes, int] = {}  # how often each step was called
        self._uncounted = history  # where that has yet to be counted
        append = self.recorded.append
        for event in history:
            kind = type(event)
            if kind is e.StepStarted:  # first and plainly: nearly all are such, or ends of them
                append(event)
            elif kind is e.StepCompleted:
                self.inputs += 1
            elif kind in _IDENTITIES:
                if identity_of(event) is not None:
                    append(event)
                if isinstance(event, e.MarkerRecorded) and event.kind != "side effect":
                    self.markers.add(event.name)
            elif kind in REACHED:
                self.inputs += 1

    @property
    def replaying(self) -> bool:
        """Whether the code goes over ground that the history knows."""
        return bool(self.recorded) or self.inputs > 0

    def ask(
        self, identity: Identity, make: Callable[[], e.Event], where: str | None = None
    ) -> tuple[e.Event, bool]:
        """The event of the ask, and whether it is new. `where` the code stands, if it is not
        calling. Raises NondeterminismError where the history holds another one at this place."""
        self.count += 1
        while self.recorded:
            recorded = self.recorded.popleft()
            known = identity_of(recorded)
            if known == identity:
                return recorded, False
            if isinstance(recorded, e.MarkerRecorded) and recorded.kind == "deprecate patch":
                continue  # its code is gone, as announced
            raise self._differs(
                describe(known or (), recorded), describe(identity), where or calling_line()
            )
        event = make()
        self.fresh.append(event)
        return event, True

    def next_ordinal(self, key: bytes) -> int:
        """The number of a new step among those with the same call."""
        self.count_calls()
        ordinal = self._calls.get(key, 0)
        self._calls[key] = ordinal + 1
        return ordinal

    def count_calls(self) -> None:
        """Count the recorded calls of steps, and let go of the history. A replay does without, as
        long as it asks for nothing new."""
        history, self._uncounted = self._uncounted, ()
        calls = self._calls
        for event in history:
            if type(event) is e.StepStarted:
                key = event.key[:16]
                calls[key] = calls.get(key, 0) + 1

    def next_is(self, identity: Identity) -> bool:
        """Whether the next recorded ask is this one."""
        return bool(self.recorded) and identity_of(self.recorded[0]) == identity

    @property
    def result_refused(self) -> bool:
        """Whether the history holds here that the run's result could not be recorded: that may
        depend on settings, and on secrets that this process does not know."""
        match self.recorded[0] if self.recorded else None:
            case e.RunFinished(status="failed", error=e.ErrorInfo(type=name)):
                return name.rpartition(".")[2] == NotStorableError.__name__
            case _:
                return False

    def finish_replay(self, where: str | None) -> None:
        """The code has seen the whole history, and stands at `where`: raise NondeterminismError if
        it did not ask for all that is recorded."""
        for recorded in self.recorded:
            if isinstance(recorded, e.MarkerRecorded) and recorded.kind == "deprecate patch":
                continue
            known = identity_of(recorded)
            assert known is not None  # noqa: S101 - see __init__
            raise self._differs(describe(known, recorded), "nothing more", where)
        self.recorded.clear()

    def unasked(self, event: e.Event, where: str | None) -> NondeterminismError:
        """The error for a recorded result of something that the code, which stands at `where`, did
        not ask for."""
        for recorded in self.recorded:
            if _subject(recorded) == _subject(event):
                known = describe(identity_of(recorded) or (), recorded)
                return self._differs(f"the result of {known}", "nothing of the kind yet", where)
        return self._differs(
            f"{type(event).__name__} of {_subject(event)}", "nothing of the kind", where
        )

    def _differs(self, recorded: str, asked: str, where: str | None) -> NondeterminismError:
        return NondeterminismError(
            f"the code of this workflow no longer fits its run {self._run_id}: at its ask number "
            f"{self.count}, the history holds {recorded}, and today's code asks for {asked}"
            f"{f' ({where})' if where else ''}. Nothing was carried out. Take the edit back, make "
            "it conditional with workflow.patched('name'), or leave the run and start another one "
            f"that shares its history up to there: evercell fork {self._run_id}."
        )


def _subject(event: e.Event) -> str:
    return str(getattr(event, "activity_id", None) or getattr(event, "update_id", "?"))
