"""Workflows under a clock that the test moves.

Most tests share a history (`world`): opening one costs more than they do. After each its open runs
are ended; after each file all its runs are replayed once more: whatever a test is about, its
history must lead its code to the same end.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest
from conformance_kit import LIMIT, replay_all

from evercell.engine.workflow.definition import DEFINED
from evercell.engine.workflow.holder import hold_worker
from evercell.testing import WorkflowEnvironment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from evercell.engine.workflow.definition import Workflow


class House:
    """One history for many tests; a new one after a test that left it unusable."""

    def __init__(self, factory: pytest.TempPathFactory) -> None:
        self._factory = factory
        self._env: WorkflowEnvironment | None = None
        self._replayed: set[str] = set()
        self._definitions: list[Workflow[..., Any]] = []

    def enter(self) -> WorkflowEnvironment:
        if self._env is None:
            self._env = WorkflowEnvironment(self._factory.mktemp("history") / "history")
        env = self._env
        hold_worker(lambda: env.worker)  # a test with a history of its own took it away
        return env

    def leave(self) -> None:
        """End what is open, and forget what is defined."""
        env, self._env = self._env, None  # until all of this went well
        if env is None:
            return
        worker = env.worker

        def end() -> None:
            while runs := list(worker.open_runs()):
                for run_id, _ in runs:
                    worker.carrier.impose_end(run_id, "terminated", "the test is over")
            self._definitions += worker.definitions.values()
            worker.definitions.clear()

        worker.call(end).result(LIMIT)
        self._env = env

    def replay(self) -> None:
        """Replay each run that the last file's tests recorded."""
        definitions, self._definitions = self._definitions, []
        if self._env is None or not definitions:
            return
        rows = self._env.history.query("SELECT run_id FROM runs WHERE workflow <> 'notebook'").rows
        new = [str(run_id) for (run_id,) in rows if run_id not in self._replayed]
        self._replayed.update(new)
        replay_all(self._env, definitions, new)

    def close(self) -> None:
        if self._env is not None:
            self._env.close()


@pytest.fixture(scope="package")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVERCELL_KEY_FILE", str(tmp_path_factory.mktemp("key") / "key"))
        house = House(tmp_path_factory)
        gc.collect()
        gc.freeze()  # what is there before the first test need not be looked at after each
        yield house
        gc.unfreeze()
        house.close()


@pytest.fixture(scope="module", autouse=True)
def replays(house: House) -> Iterator[None]:
    yield
    house.replay()


@pytest.fixture
def world(house: House) -> Iterator[WorkflowEnvironment]:
    """The shared history's environment."""
    DEFINED.clear()
    yield house.enter()
    gc.collect()  # what is dropped must not act
    house.leave()


@pytest.fixture
def env(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WorkflowEnvironment]:
    """One with a history of its own."""
    monkeypatch.setenv("EVERCELL_KEY_FILE", str(tmp_path / "key"))
    DEFINED.clear()
    with WorkflowEnvironment(tmp_path / "history") as environment:
        yield environment
