"""Process state outside the namespace: what a cell changed, stored, and put back.

    before a cell: take(loaded) -> a snapshot per component
    after it:      changes(snapshots) -> those that differ, with the new state
    restoring:     apply(name, data)

Components of libraries count from the moment that the library is loaded; one that a cell loads is
compared with nothing, so only what it shows later is known. The random states count as read only by
a cell that changed them, or that found one just seeded and left it so: it may have seeded it. The
others are read by every cell.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from blake3 import blake3

from evercell.cell.components import PROCESS, Component
from evercell.cell.contexts import CONTEXTS
from evercell.cell.finalizers import FINALIZERS
from evercell.cell.interpreter import INTERPRETER
from evercell.cell.libraries import LIBRARIES
from evercell.codec.canonical import digest
from evercell.codec.pickling import dump, load
from evercell.errors import EvercellError, RestoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from evercell.codec.buffers import Buffer

__all__ = ["COMPONENTS", "AmbientState", "Change"]

COMPONENTS: tuple[Component, ...] = (*PROCESS, *INTERPRETER, *CONTEXTS, *FINALIZERS, *LIBRARIES)
_ABSENT = object()


class Change(NamedTuple):
    """A component that a cell changed."""

    name: str
    version: bytes
    data: bytes | None  # the change as it is stored; None: it can't be put back
    words: str  # what changed


class AmbientState:
    """The components, and the version of each: b"" until a cell changes it."""

    def __init__(self, live: dict[str, Any]) -> None:
        self._live = live
        self.versions: dict[str, bytes] = {}
        self._known = self.take()

    def take(self) -> dict[str, Any]:
        """A snapshot of every component whose library is loaded."""
        return {c.name: c.take() for c in COMPONENTS if _is_loaded(c.module)}

    def notice(self, unknowable: Callable[[], bytes]) -> dict[str, Any]:
        """A snapshot; what changed since the last cell, by a callback or a thread, gets a version
        of its own."""
        now = self.take()
        for component in COMPONENTS:
            name = component.name
            known = name in now and name in self._known and not component.random
            if known and not component.same(self._known[name], now[name]):
                self.versions[name] = unknowable()
        self._known = now
        return now

    def changes(self, before: Mapping[str, Any]) -> list[Change]:
        """What differs from the snapshot `before`."""
        found = []
        self._known = self.take()
        for component in COMPONENTS:
            if component.name not in self._known:
                continue
            new = self._known[component.name]
            old = before.get(component.name, _ABSENT)
            if old is _ABSENT:  # the cell loaded the library, and may have set it up as well
                old = component.first() if component.first is not None else None
            if component.same(old, new):
                continue
            change = new if component.change is None else component.change(old, new)
            data = None if component.restore is None else self._store(change)
            content = os.urandom(16) if data is None else data
            if component.essence is not None:
                content = digest(component.essence(new), self._live)
            # A whole state is its own version; a change depends on what it changed.
            previous = b"" if component.change is None else self.versions.get(component.name, b"")
            version = blake3(b"ambient" + previous + content).digest(16)
            words = component.name[1:] if component.words is None else component.words(old, new)
            found.append(Change(component.name, version, data, words))
        return found

    def read(self, changed: set[str], *, seeds: bool = False) -> dict[str, bytes]:
        """The versions that a cell depends on which changed those in `changed`, and whose code
        `seeds` random states, as far as it can be told from its words."""
        return {
            c.name: self.versions.get(c.name, b"")
            for c in COMPONENTS
            if not c.random or seeds or c.name in changed or self._seeded(c)
        }

    def _seeded(self, component: Component) -> bool:
        """Whether a cell that left a random state as it was may have seeded it."""
        name, seeded = component.name, component.seeded
        known = name in self._known and bool(self.versions.get(name))
        return known and (seeded is None or seeded(self._known[name]))

    def decode(self, name: str, data: Buffer) -> Callable[[], None]:
        """What puts the change back; nothing happens before it is called. Raises RestoreError."""
        for component in COMPONENTS:
            if component.name == name:
                if not _is_loaded(component.module):
                    __import__(component.module or "")
                restore, state = component.restore, load(data, (), self._live)
                if restore is not None:
                    return lambda: restore(state)
        raise RestoreError(f"this release does not know the ambient state {name}.")

    def known(self) -> dict[str, Any]:
        """The snapshot of the last look."""
        return dict(self._known)

    @contextmanager
    def switched(self, then: Mapping[str, Any]) -> Iterator[None]:
        """Have the process state be that of the snapshot `then`, and afterwards what it was.
        Handlers of signals and of the root logger, which nothing can put back, stay."""
        now = self.take()
        _switch(then)
        try:
            yield
        finally:
            _switch(now)
            self._known = self.take()

    def settle(self) -> None:
        """Take what is there now as known, after a restore."""
        self._known = self.take()

    def _store(self, change: Any) -> bytes | None:
        try:
            stream = dump(change, self._live).stream
            restored = load(stream, (), self._live)
            return stream if digest(restored, self._live) == digest(change, self._live) else None
        except EvercellError:
            return None


def _switch(wanted: Mapping[str, Any]) -> None:
    """From what is now to the snapshot, as far as it goes."""
    for component in COMPONENTS:
        restore, change = component.restore, component.change
        if component.name not in wanted or restore is None:
            continue
        now, then = component.take(), wanted[component.name]
        if not component.same(now, then):
            restore(then if change is None else change(now, then))


def _is_loaded(module: str | None) -> bool:
    if module is None:
        return True
    loaded = sys.modules.get(module)
    spec = getattr(loaded, "__spec__", None)
    return loaded is not None and not getattr(spec, "_initializing", False)
