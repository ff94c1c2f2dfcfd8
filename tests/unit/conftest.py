"""A recorded cell without a kernel: real history, real scope; a test restarts it at will."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from waiting import Book

from evercell import settings
from evercell.engine.run import Run, RunRequest, open_run
from evercell.engine.scope import Scope, enter_scope, forget_scopes
from evercell.history import History
from evercell.testing import ManualClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def _key(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests sign with a key of their own, never with the developer's."""
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path_factory.getbasetemp() / "key"))


@pytest.fixture(autouse=True)
def _options(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Each test begins with the default options, and without another one's secrets."""
    monkeypatch.setattr("evercell.codec.secret._forbidden", frozenset())
    yield
    settings.reset()


@pytest.fixture
def book(tmp_path: Path) -> Iterator[Book]:
    """A notebook that processes open one after the other; an interrupt of one stays its own."""
    book = Book(tmp_path / ".evercell")
    handler = signal.getsignal(signal.SIGINT)
    yield book
    signal.signal(signal.SIGINT, handler)
    book.stop()


class Kernel:
    """One kernel process's life over a history folder, as far as steps notice."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.live: dict[str, Any] = {"__name__": "__main__"}

    @contextmanager
    def attached(self) -> Iterator[Run]:
        """Attach to the notebook's current run, as a kernel process does."""
        history = History(self.folder, clock=self.clock)
        try:
            run = open_run(history, RunRequest("/nb.ipynb", {}, None), self.clock)
            try:
                yield run
            finally:
                forget_scopes()
                run.detach()
        finally:
            history.close()

    def scope(self, run: Run, *, slot: str = "id:a", resuming: bool = False) -> Scope:
        """A new execution of a cell."""
        return Scope(
            history=run.history,
            clock=self.clock,
            run_id=run.run_id,
            cell=run.history.new_activity_id(),
            slot=slot,
            live=self.live,
            resuming=resuming,
            load=lambda: run.steps(slot),
            data_version=lambda name: None,
        )

    @contextmanager
    def cell(self, *, slot: str = "id:a", resuming: bool = False) -> Iterator[Scope]:
        """Run the body of the `with` as a cell of a kernel process of its own."""
        with self.attached() as run:
            scope = self.scope(run, slot=slot, resuming=resuming)
            with enter_scope(scope):
                yield scope

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query over the history."""
        history = History(self.folder, clock=self.clock)
        try:
            return history.query(sql).rows
        finally:
            history.close()


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / ".evercell")
