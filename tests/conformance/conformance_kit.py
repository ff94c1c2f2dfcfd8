"""What the conformance tests share: settling, editing, replaying, events in short."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from evercell import events as e
from evercell.engine.workflow.asks import ASKED, REACHED, identity_of
from evercell.engine.workflow.loading import replayed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.handle import WorkflowHandle
    from evercell.testing import WorkflowEnvironment

LIMIT = 30  # seconds; a test that waits longer has failed


def settle(env: WorkflowEnvironment) -> None:
    """Until nothing is under way; no time passes."""
    env.sleep(0)


def edit(env: WorkflowEnvironment, definition: Workflow[..., Any]) -> None:
    """Run the cell with the edited definition: its open runs are replayed with it."""
    env.worker.define(definition)


def kinds(history: Iterable[e.Event]) -> list[str]:
    """The asks and inputs of a history, by type."""
    return [type(event).__name__ for event in history if isinstance(event, (*ASKED, *REACHED))]


def count(handle: WorkflowHandle[Any], kind: type[e.Event]) -> int:
    return sum(isinstance(event, kind) for event in handle.history())


def error_of(handle: WorkflowHandle[Any]) -> BaseException:
    """What awaiting the run raises."""
    try:
        value = handle.result(LIMIT)
    except BaseException as error:
        return error
    raise AssertionError(f"the run returned {value!r}")


def asks_of(history: Iterable[e.Event]) -> list[tuple[object, ...]]:
    """What the code asked for, in order."""
    found = (identity_of(event) for event in history if isinstance(event, ASKED))
    return [identity for identity in found if identity is not None]


def replay_all(
    env: WorkflowEnvironment, definitions: list[Workflow[..., Any]], run_ids: list[str]
) -> None:
    """Replay the runs whose code is what they began with: each ends as its history says, and asks
    for nothing else."""
    worker = env.worker
    by_version = {(it.name, it.code_version()): it for it in definitions}

    def work() -> None:
        for run_id, history in env.history.workflows.events(run_ids).items():
            started = next(event for event in history if isinstance(event, e.RunStarted))
            assert started.start is not None
            definition = by_version.get((started.workflow, started.start.version))
            if definition is None:
                continue
            worker.definitions[started.workflow] = definition
            instance = replayed(worker, started, history)
            fresh, _ = instance.take()
            end = next((event for event in history if isinstance(event, e.RunFinished)), None)
            if end is not None and end.status not in ("terminated", "timed out"):
                assert (run_id, instance.finished) == (run_id, end)
                assert fresh == []
            instance.close()
        worker.definitions.clear()

    worker.call(work).result(LIMIT)


class Gate:
    """Holds the body of an async step until the test opens it; tells when one waits."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.canceled = threading.Event()
        self._opened: Future[None] = Future()

    async def pass_through(self) -> None:
        self.reached.set()
        try:
            await asyncio.shield(asyncio.wrap_future(self._opened))
        except asyncio.CancelledError:
            self.canceled.set()
            raise

    def open(self) -> None:
        self._opened.set_result(None)

    def wait(self) -> None:
        assert self.reached.wait(LIMIT)
