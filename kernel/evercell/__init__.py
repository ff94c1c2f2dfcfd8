"""Evercell: notebook cells and steps as durable activities, their history in DuckDB.

step, RetryPolicy      make a function's calls durable
workflow               durable async functions: timers, signals, children, approvals
sleep, wait_signal, approval   wait durably in a cell, also over restarts
answer, signal, cancel, terminate, skip, retry_now   tell a run something, from any process
heartbeat, current_step   say how far a step's body came; who it is
ApplicationError       say how a failure is to be treated
record_usage           say what a model call cost
Secret                 a text that is used and never recorded
configure, AesGcm      options of this process; encryption
sql                    query the history
load                   a step's recorded result, as the value that it was
progress               show the run live
show                   show any run, or a workflow by its handle
run_id                 the current run
errors                 everything that can be raised
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from evercell.loading import importing

if TYPE_CHECKING:
    from evercell import errors
    from evercell.api import (
        answer,
        cancel,
        load,
        progress,
        retry_now,
        run_id,
        show,
        signal,
        skip,
        sql,
        terminate,
    )
    from evercell.codec.crypto import AesGcm
    from evercell.codec.secret import Secret
    from evercell.engine.config import configure
    from evercell.engine.context import StepInfo, current_step, heartbeat, heartbeat_details
    from evercell.engine.interceptors import Interceptor
    from evercell.engine.retry import RetryPolicy
    from evercell.engine.step import Step, step
    from evercell.engine.usage import record_usage
    from evercell.engine.waits import Wait, approval, sleep, wait_signal
    from evercell.engine.workflow.handle import WorkflowHandle
    from evercell.engine.workflow.namespace import workflow
    from evercell.errors import ApplicationError
    from evercell.jupyter.extension import load_ipython_extension, unload_ipython_extension

__version__ = "0.1.0"

__all__ = [
    "AesGcm",
    "ApplicationError",
    "Interceptor",
    "RetryPolicy",
    "Secret",
    "Step",
    "StepInfo",
    "Wait",
    "WorkflowHandle",
    "answer",
    "approval",
    "cancel",
    "configure",
    "current_step",
    "errors",
    "heartbeat",
    "heartbeat_details",
    "load",
    "load_ipython_extension",
    "progress",
    "record_usage",
    "retry_now",
    "run_id",
    "show",
    "signal",
    "skip",
    "sleep",
    "sql",
    "step",
    "terminate",
    "unload_ipython_extension",
    "wait_signal",
    "workflow",
]

# Loaded at first use, so that `import evercell.anything` pays only for what it needs.
_HOMES = {
    "AesGcm": "evercell.codec.crypto",
    "Interceptor": "evercell.engine.interceptors",
    "ApplicationError": "evercell.errors",
    "RetryPolicy": "evercell.engine.retry",
    "Secret": "evercell.codec.secret",
    "Step": "evercell.engine.step",
    "WorkflowHandle": "evercell.engine.workflow.handle",
    "StepInfo": "evercell.engine.context",
    "Wait": "evercell.engine.waits",
    "answer": "evercell.api",
    "approval": "evercell.engine.waits",
    "cancel": "evercell.api",
    "configure": "evercell.engine.config",
    "current_step": "evercell.engine.context",
    "heartbeat": "evercell.engine.context",
    "heartbeat_details": "evercell.engine.context",
    "load": "evercell.api",
    "load_ipython_extension": "evercell.jupyter.extension",
    "progress": "evercell.api",
    "record_usage": "evercell.engine.usage",
    "run_id": "evercell.api",
    "retry_now": "evercell.api",
    "show": "evercell.api",
    "signal": "evercell.api",
    "skip": "evercell.api",
    "sleep": "evercell.engine.waits",
    "sql": "evercell.api",
    "step": "evercell.engine.step",
    "terminate": "evercell.api",
    "unload_ipython_extension": "evercell.jupyter.extension",
    "wait_signal": "evercell.engine.waits",
    "workflow": "evercell.engine.workflow.namespace",
}


def __getattr__(name: str) -> Any:
    if name == "errors":
        return import_module("evercell.errors")
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with importing:
        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
