"""What a step's body changes in its arguments: noticed, recorded with its result, and given back.

    opens  ─ the objects in the arguments, if they can change
    body   ─ runs
    ends   ─ the call's key once more: another one? ─ no: nothing to do, as nearly always
                                                     └ yes: their states go with the result
    answer ─ the caller takes the result ─ the objects that it passed get those states

Steps that run at the same time and hold one object can't be told apart by what becomes of it. Such
a change, and one that can't be stored, is told in words, when it is recorded and when it is missed.
"""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import field

from evercell.codec import canonical, values
from evercell.codec.changes import CODEC, Changed, describe, has_state, nodes_of, pack, put_back
from evercell.engine.recordable import check_recordable
from evercell.errors import EvercellError, RestoreError

if TYPE_CHECKING:
    from evercell.engine.scope import Call, Scope

__all__ = ["Answering", "InFlight", "Watched"]

_SHARED = "another step that ran at the same time had the same object"


class InFlight:
    """Which objects the steps that run now hold. For any thread."""

    def __init__(self) -> None:
        self._holders: dict[int, list[Watched]] = {}
        self._lock = threading.Lock()

    def begin(self, call: Watched) -> None:
        """`call` runs now; those that hold one of its objects are told, and so is it."""
        with self._lock:
            for node in filter(has_state, call.nodes):
                holders = self._holders.setdefault(id(node), [])
                holders.append(call)
                if len(holders) > 1:
                    for holder in holders:
                        holder.trouble = _SHARED

    def end(self, call: Watched) -> None:
        """`call` is over."""
        with self._lock:
            for node in filter(has_state, call.nodes):
                holders = self._holders.get(id(node), [])
                if call in holders:
                    holders.remove(call)
                if not holders:
                    self._holders.pop(id(node), None)


class Watched(msgspec.Struct, eq=False):
    """The arguments of a call that runs."""

    scope: Scope
    call: Call
    name: str
    arguments: tuple[object, ...]
    trouble: str = ""  # why a change can't be given back
    nodes: list[Any] = field(default_factory=list)

    def begin(self) -> None:
        """Before the body."""
        try:
            self.nodes = nodes_of(self.arguments)
        except EvercellError as error:
            self.trouble = error.message
        self.scope.in_flight.begin(self)

    def end(self) -> None:
        """After it."""
        self.scope.in_flight.end(self)
        self.nodes = []

    def with_changes(self, encoded: values.Encoded) -> values.Encoded:
        """The result, and what the body changed in the arguments, if it did."""
        scope, call = self.scope, self.call
        digest, changes = b"", None
        try:
            digest = canonical.call_digest(call.version, self.arguments, scope.live)
            if digest == call.key:
                return encoded
            if not self.trouble:
                changes = describe(self.nodes, scope.live)
                check_recordable(changes)
        except EvercellError as error:
            changes, self.trouble = None, error.message
        if changes is None:
            scope.notes.append(
                f"{self.name} changed its arguments, which a replay can't give back: "
                f"{self.trouble}. Have the step return what you need later."
            )
        changed = Changed(encoded.codec, bytes(encoded.data), changes, digest, self.trouble)
        view = str(bytes(encoded.data), "utf-8") if encoded.codec == "json" else encoded.view
        return values.Encoded(CODEC, pack(changed), view)


class Answering(msgspec.Struct, frozen=True):
    """The answer of a call that changed its arguments: to call, and for an async step to await."""

    scope: Scope
    name: str
    version: bytes
    arguments: tuple[object, ...]
    value: Any
    changed: Changed
    is_async: bool

    def __call__(self) -> Any:
        return self._later() if self.is_async else self._now()

    async def _later(self) -> Any:
        await asyncio.sleep(0)  # steps that began before this one ended began without its changes
        return self._now()

    def _now(self) -> Any:
        changed, live = self.changed, self.scope.live
        try:
            if changed.changes is None:
                raise RestoreError(changed.reason)
            put_back(changed.changes, self.arguments, live)
            if canonical.call_digest(self.version, self.arguments, live) != changed.digest:
                raise RestoreError("they come back as something else")
        except EvercellError as error:
            self.scope.miss(f"what {self.name} changed in its arguments is missing", error.message)
        return self.value
