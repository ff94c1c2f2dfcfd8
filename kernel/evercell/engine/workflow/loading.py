"""How open runs go on: when their definition exists, they are replayed from their history.

define(workflow) ─ its open runs ─ their events ─ replay ─┬─ it fits: attached, carried on
                                                          └─ it does not: blocked, still open
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evercell.engine.workflow.endings import PASSING, blocked_error
from evercell.engine.workflow.instance import Instance
from evercell.errors import (
    EvercellError,
    WorkflowNotDefinedError,
)
from evercell.events import RunStarted

if TYPE_CHECKING:
    from evercell.engine.workflow.definition import Workflow
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import Event

__all__ = [
    "adopt",
    "define",
    "go_on",
    "inspect",
    "load_recorded",
    "not_defined",
    "refuse_standing",
    "replayed",
    "restore",
]

_CHUNK = 500  # runs whose histories are in memory at the same time


def adopt(worker: WorkflowWorker) -> None:
    """Learn of the runs that an earlier process left open. For the worker's thread, once."""
    for started in worker.history.workflows.open(worker.host.run_id):
        worker.opened(started)
    with worker.history.reading():
        for parent in _gone_parents(worker):
            worker.carrier.close_children(parent)  # its process died before it did
    worker.scheduler.adopt(worker.history.workflows.schedules(worker.host.run_id))


def _gone_parents(worker: WorkflowWorker) -> list[str]:
    """The closed parents of open runs that are not abandoned."""
    found = dict.fromkeys(
        started.start.parent
        for started in worker.open.values()
        if started.start is not None and started.start.parent_close_policy != "abandon"
    )
    return [
        parent
        for parent in found
        if parent and not worker.knows(parent) and worker.find_end(parent) is not None
    ]


def define(worker: WorkflowWorker, definition: Workflow[..., object]) -> None:
    """From here on, runs of this name have this code: open ones are replayed with it. For the
    worker's thread."""
    name = definition.name
    before = worker.definitions.get(name)
    if before is definition:
        return
    worker.definitions[name] = definition
    worker.versions[name] = definition.code_version()
    worker.flush()  # what was asked for in this round is part of the histories
    try:
        _go_on_with(worker, definition, before)
    except BaseException:  # it is to be tried again
        if before is None:
            del worker.definitions[name]
        else:
            worker.definitions[name] = before
        raise


def _go_on_with(
    worker: WorkflowWorker,
    definition: Workflow[..., object],
    before: Workflow[..., object] | None,
) -> None:
    name = definition.name
    if before is None:
        worker.scheduler.defined(name)
    runs = [started for _, started in worker.open_runs() if started.workflow == name]
    if before is None or before.code_version() == definition.code_version():
        runs = [started for started in runs if started.run_id in worker.open]
    for at in range(0, len(runs), _CHUNK):
        chunk = runs[at : at + _CHUNK]
        histories = worker.history.workflows.events([started.run_id for started in chunk])
        for started in chunk:
            load(worker, started, histories[started.run_id])


def load(worker: WorkflowWorker, started: RunStarted, history: list[Event]) -> None:
    """Replay one open run and go on with it, or say that it is blocked."""
    worker.let_go(started.run_id, cancel=False)
    worker.append(worker.ensure_attached(started.run_id))
    load_recorded(worker, started, history)


def refuse_standing(worker: WorkflowWorker, run_id: str) -> None:
    """Raise why the run is not to be waited for: it is blocked, or its definition is missing."""
    if isinstance(worker.blocked.get(run_id), PASSING):
        go_on(worker, run_id)
    blocked, started = worker.blocked.get(run_id), worker.open.get(run_id)
    if blocked is not None:
        raise blocked_error(run_id, blocked)
    if started is not None and started.workflow not in worker.definitions:
        raise not_defined(run_id, started.workflow)


def go_on(worker: WorkflowWorker, run_id: str) -> None:
    """Go on with a run that was kept from it by its history, which may be readable now."""
    started, blocked = worker.open.get(run_id), worker.blocked.get(run_id)
    if started is None or started.workflow not in worker.definitions:
        return
    if not isinstance(blocked, PASSING):
        return
    _load_again(worker, started)


def restore(worker: WorkflowWorker, instance: Instance) -> None:
    """Take a run's code from its history again if a query disturbed it."""
    if instance.disturbed and worker.instances.get(instance.run_id) is instance:
        _load_again(worker, instance.started)


def _load_again(worker: WorkflowWorker, started: RunStarted) -> None:
    worker.flush()
    try:
        history = worker.history.workflows.events([started.run_id])[started.run_id]
    except EvercellError as error:
        worker.block(started, error)
    else:
        load(worker, started, history)


def load_recorded(worker: WorkflowWorker, started: RunStarted, history: list[Event]) -> None:
    """Go on with a run that this process has taken, or say that it is blocked."""
    try:
        instance = replayed(worker, started, history)
        worker.took(instance)
        worker.carrier.resume(instance, history)
        worker.look_again()
    except EvercellError as error:
        worker.block(started, error)


def replayed(
    worker: WorkflowWorker, started: RunStarted, history: list[Event], *, compare: bool = False
) -> Instance:
    """The run as its history left it. `compare`: note the versions of the steps that it asks for.

    Raises NondeterminismError, WorkflowCallError, PayloadError, RestoreError; then nothing was
    carried out.
    """
    definition = worker.definitions[started.workflow].for_run(started, worker)
    instance = Instance(started, definition, worker)
    instance.step_versions = {} if compare else None
    instance.edited = worker.versions.get(started.workflow) != instance.start.version
    try:
        instance.replay(history)
    except BaseException:
        instance.close()
        raise
    return instance


def inspect(worker: WorkflowWorker, run_id: str) -> Instance | None:
    """The run's state, for a query: the living one, or a closed one's replayed; None where its
    definition or its history is missing. For the worker's thread."""
    instance = worker.instances.get(run_id)
    if instance is not None:
        return instance
    history = worker.history.workflows.events([run_id])[run_id]
    for event in history:
        if isinstance(event, RunStarted) and event.workflow in worker.definitions:
            return replayed(worker, event, history)
    return None


def not_defined(run_id: str, name: str | None) -> WorkflowNotDefinedError:
    """The error for a run whose code is missing."""
    return WorkflowNotDefinedError(
        f"run {run_id} needs its workflow{f' {name!r}' if name else ''}, which is not defined in "
        "this kernel. Run the cell that defines it."
    )
