"""The engine's decisions: pure functions from what is recorded and what is asked to what happens.

    decide_cell(...) -> Restore | Postpone | Recompute | Execute
    decide_step(...) -> Answer | RaiseAgain | Attempt | Refuse

Nothing here touches a namespace, a file or a clock.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal

import msgspec

from evercell.cell.capture import RESULT
from evercell.cell.files import added_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from evercell.events import (
        CellAccepted,
        CellCompleted,
        CellStarted,
        CellVerified,
        ErrorInfo,
        Payload,
        Product,
        Verdict,
    )
    from evercell.history import StepRecord

SlotStatus = Literal["in doubt", "completed", "failed", "forgotten", "overridden"]

__all__ = [
    "Answer",
    "Attempt",
    "CellRecord",
    "Execute",
    "Postpone",
    "RaiseAgain",
    "Recompute",
    "Refuse",
    "Restore",
    "SlotStatus",
    "another_attempt",
    "decide_cell",
    "decide_step",
    "explained",
]


class CellRecord(msgspec.Struct, frozen=True):
    """A finished execution of a cell: what it was, and what came of it."""

    started: CellStarted
    completed: CellCompleted
    accepted: CellAccepted | None = None  # its user kept it: source and reads are those of then

    def settle(self, final: Mapping[bytes, bytes], event: CellVerified | None = None) -> CellRecord:
        """With what trials found out: the versions for good of what it read and, from the `event`
        of this very cell, which of its products can be stored."""
        verdicts = {verdict.names: verdict for verdict in event.products} if event else {}
        reads = self.completed.reads
        if not verdicts and final.keys().isdisjoint(reads.values()):
            return self
        completed = msgspec.structs.replace(
            self.completed,
            reads={name: final.get(version, version) for name, version in reads.items()},
            products=tuple(
                _settled(product, verdicts.get(product.names))
                for product in self.completed.products
            ),
        )
        return CellRecord(self.started, completed, self.accepted)

    def accept(self, event: CellAccepted) -> CellRecord:
        """This execution's result as that of the source and the inputs in `event`."""
        started = msgspec.structs.replace(
            self.started,
            slot=event.slot,
            source=event.source,
            source_digest=event.source_digest,
            ordinal=event.ordinal,
        )
        completed = msgspec.structs.replace(self.completed, reads=event.reads)
        return CellRecord(started, completed, event)

    @property
    def why(self) -> str:
        """Why restoring it is right, in words."""
        if self.accepted is None:
            return "the history holds its result"
        day = datetime.fromtimestamp(self.accepted.at / 1e9).astimezone()
        return f"{self.accepted.user} accepted its recorded result on {day:%Y-%m-%d %H:%M}"

    @property
    def unverified(self) -> bool:
        """Whether nobody knows yet if all that it made comes back."""
        return not all(product.verified for product in self.completed.products)

    @property
    def unstorable(self) -> str | None:
        """Why this cell's effects can't be given back without running it; None if they can."""
        for product in self.completed.products:
            if product.payload is None and product.names != (RESULT,):
                return f"{', '.join(product.names)}: {product.reason}"
        for change in self.completed.ambient:
            if change.payload is None:
                return self.completed.reason or f"{change.name} can't be stored"
        return None

    @property
    def lacks_only_variables(self) -> bool:
        """Whether it is variables, and no process state, that can't be given back."""
        return all(change.payload is not None for change in self.completed.ambient)


def _settled(product: Product, verdict: Verdict | None) -> Product:
    if verdict is None:
        return product
    product = msgspec.structs.replace(product, version=verdict.version, verified=True)
    if verdict.reason is None:
        return product
    return msgspec.structs.replace(product, payload=None, buffers=(), reason=verdict.reason)


class Restore(msgspec.Struct, frozen=True):
    """Give the recorded effects back."""

    record: CellRecord


class Postpone(msgspec.Struct, frozen=True):
    """Give back what is recorded, and run the cell when another one needs the rest, which can't be
    stored for `reason`."""

    record: CellRecord
    reason: str


class Recompute(msgspec.Struct, frozen=True):
    """Run the cell, its steps answered from the history, because `reason` can't be stored."""

    record: CellRecord
    reason: str


class Execute(msgspec.Struct, frozen=True):
    """Run the cell; `reason` says in the user's words why nothing recorded fits.

    `unchanged`: what is recorded would fit and can't be used, so the cell does again what it did.
    """

    reason: str
    unchanged: bool = False


_UNVERIFIED = "its kernel ended before it was known whether what it made comes back"
_WHY_NO_RECORD: dict[SlotStatus | None, str] = {
    None: "not run before",
    "in doubt": "it was cut off before it finished",
    "failed": "it failed the last time",
    "completed": "its source was edited",
    "forgotten": "its record was forgotten",
    "overridden": "the result of one of its steps was overridden",
}


def decide_cell(
    records: Sequence[CellRecord],
    *,
    ordinal: int,
    last: SlotStatus | None,
    seen: bool,
    volatile: bool,
    recompute: bool,
    differs: Callable[[Mapping[str, bytes]], str | None],
) -> Restore | Postpone | Recompute | Execute:
    """What happens to a cell.

    `records`: finished executions of the same source, latest first. `ordinal`: how many cells with
    this source came before it. `last`: how this cell's last execution ended, with whatever source.
    `seen`: it took effect in this kernel process already, so its user runs it once more on purpose.
    `volatile`, `recompute`: its author marked it so. `differs`: the first recorded read that is not
    what it was.
    """
    if volatile:
        return Execute("volatile: it runs each time")
    if seen:
        return Execute("run again in the same kernel")
    reason, unchanged = _WHY_NO_RECORD[last], False
    for record in records:
        if record.started.ordinal != ordinal:
            continue
        name = differs(record.completed.reads)
        unchanged = unchanged or name is None
        if not record.completed.restorable:
            reason = record.completed.reason or "its effects could not be tracked"
        elif name is not None:
            reason = f"stale: {name}"
        elif record.unverified:
            reason = _UNVERIFIED
            break
        else:
            return _use(record, recompute=recompute, cut_off=last == "in doubt")
    return Execute(reason, unchanged=unchanged)


def explained(
    reads: Mapping[str, bytes],
    left: Mapping[str, frozenset[bytes]],
    version: Callable[..., bytes | None],
) -> Mapping[str, bytes]:
    """`reads` without the files that are as cells further down `left` them, and without the folders
    that hold nothing else that is new. What such a cell wrote in an earlier kernel is no edit: at
    this place an undisturbed run would find what was read."""
    known = {name for name in reads.keys() & left.keys() if version(name) in left[name]}
    for folder in (name for name in reads if left and name.endswith(("/", "@file:"))):
        inside = [name.removeprefix(folder) for name in left if name.startswith(folder)]
        names = {path.partition("/")[0] for path in inside} - {""}
        now, then = version(folder) or b"", reads[folder]
        added = added_names(then, now)
        if names >= added if added is not None else version(folder, names) == then:
            known.add(folder)
    return {n: v for n, v in reads.items() if n not in known} if known else reads


def _use(
    record: CellRecord, *, recompute: bool, cut_off: bool
) -> Restore | Postpone | Recompute | Execute:
    """What to do with a record that fits. `cut_off`: the cell ran once more since, and what that
    left half done outside of the kernel no record shows."""
    if (why := record.unstorable) is not None:
        waits = record.completed.waits and not recompute and not cut_off
        return Postpone(record, why) if waits else Recompute(record, why)
    if recompute:
        return Recompute(record, "its author marked it")
    return Execute(_WHY_NO_RECORD["in doubt"]) if cut_off else Restore(record)


class Answer(msgspec.Struct, frozen=True):  # made at each replayed call: five times as quick
    """The history holds the result."""

    activity_id: str
    attempts: int
    result: Payload


class RaiseAgain(msgspec.Struct, frozen=True):
    """The step failed for good before its cell was interrupted; that is part of the history."""

    activity_id: str
    error: ErrorInfo


class Attempt(msgspec.Struct, frozen=True):
    """Run the body; `activity_id` is None for a call never made before."""

    activity_id: str | None
    attempt: int


class Refuse(msgspec.Struct, frozen=True):
    """An at-most-once step may or may not have taken effect; only its user can tell."""

    activity_id: str
    attempt: int


def decide_step(
    record: StepRecord | None, *, resuming: bool, at_most_once: bool
) -> Answer | RaiseAgain | Attempt | Refuse:
    """What happens to a durable call.

    `resuming`: its cell was cut off by the death of the kernel and goes on now, or runs because
    its record can't be used, as opposed to being run once more by its user, who wants what failed
    to be tried again.
    """
    if record is None:
        return another_attempt(None)
    if record.status == "completed" and record.result is not None:
        return Answer(record.activity_id, record.attempts, record.result)
    if record.status == "failed":
        if resuming and record.error is not None:
            return RaiseAgain(record.activity_id, record.error)
        return another_attempt(record)
    if at_most_once and record.status != "retrying":  # the last failure is known: nothing hangs
        return Refuse(record.activity_id, record.attempts)
    return another_attempt(record)


def another_attempt(record: StepRecord | None) -> Attempt:
    """The next attempt of a call. One that only another run made, from which this one was forked,
    is this run's first."""
    if record is None or record.shared:
        return Attempt(None, 1)
    return Attempt(record.activity_id, record.attempts + 1)
