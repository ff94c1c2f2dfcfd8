"""What the cases' handlers are written with: Evercell's own words, and a few of AWS's in terms of
them.

    step               @step                      wait             workflow.sleep
    child context      a child workflow           callback         workflow.approval with a form
    wait_for_condition a step that asks to be tried again, its state kept by heartbeats
    wait_for_callback  a child workflow with both a callback and the step that submits it
    parallel, map      child workflows in asyncio's tasks (batch.py)
"""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evercell import ApplicationError, RetryPolicy, heartbeat, heartbeat_details, step, workflow
from evercell.engine.workflow.holder import current_worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from evercell.engine.step import Step
    from evercell.engine.workflow.definition import Workflow

__all__ = [
    "DEFINITIONS", "FORM", "HANDLERS", "CallbackError", "NotYetError", "callback", "child",
    "crash_once", "greet", "handler", "ledger", "log", "poll", "returns", "submit",
    "wait_for_callback",
]  # fmt: skip

HANDLERS: dict[str, Workflow[..., Any]] = {}
"""The code of each case that is driven, by the case's id."""
DEFINITIONS: dict[str, Workflow[..., Any]] = {}
"""All workflows of these modules, by name."""


def child(function: Any = None, *, name: str | None = None) -> Any:
    """A workflow that handlers start as a child."""

    def define(function: Any) -> Workflow[..., Any]:
        label = name or f"{function.__module__.rpartition('.')[2]}.{function.__qualname__}"
        definition = workflow(name=label)(function)
        DEFINITIONS[definition.name] = definition
        return definition

    return define if function is None else define(function)


def handler(*cases: str) -> Callable[[Any], Workflow[..., Any]]:
    """The code of these cases; it gets the case's input."""

    def define(function: Any) -> Workflow[..., Any]:
        definition: Workflow[..., Any] = child(function)
        HANDLERS.update(dict.fromkeys(cases, definition))
        return definition

    return define


# -- what is seen from outside ------------------------------------------------------------------


def ledger() -> Path:
    """A file that no process takes with it when it dies."""
    return Path(os.environ["CONFORMANCE_LEDGER"])


def log(text: str = "", **fields: Any) -> None:
    """Write a line to the ledger."""
    line = json.dumps(fields or {"message": text}) + "\n"
    file = os.open(ledger(), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.write(file, line.encode())
    os.close(file)


def crash_once() -> None:
    """Die, as by kill -9, the first time; the start of the step is recorded by then."""
    mark = ledger().with_suffix(".crashed")
    if not mark.exists():
        mark.touch()
        current_worker().history.commit()
        os.kill(os.getpid(), 9)


# -- steps --------------------------------------------------------------------------------------


@step
async def returns(value: Any) -> Any:
    return value


@step
async def greet(name: str) -> str:
    return f"Hello, {name}!"


@step
async def submit(callback: str) -> None:
    """Tell the outside world of the callback."""


class NotYetError(ApplicationError):
    """The condition does not hold yet."""


def poll(
    check: Callable[[Any], Any],
    done: Callable[[Any], bool],
    *,
    name: str | None = None,
    delay: float = 1,
    attempts: int = 0,
) -> Step[..., Any]:
    """A step that checks until the condition holds; what a check returns is given to the next."""
    policy = RetryPolicy(
        initial_interval=delay,
        backoff_coefficient=1,
        maximum_attempts=attempts,
        non_retryable_error_types=[ValueError],
    )

    @step(retry=policy, name=name or "poll")
    async def polled(state: Any) -> Any:
        known = heartbeat_details()
        new = check(known[0] if known else state)
        heartbeat(new)
        if not done(new):
            raise NotYetError("not yet", next_retry_delay=delay)
        return new

    return polled


# -- callbacks ----------------------------------------------------------------------------------

FORM: dict[str, Any] = {
    "type": "object",
    "properties": {"result": {}, "error": {"type": "object"}},
}
"""What completes a callback: {"result": any} or {"error": {ErrorType, ErrorMessage}}."""


class CallbackError(Exception):
    """The outside world reported a failure."""


def callback(name: str, *, schema: Any = FORM, timeout: float | None = None) -> asyncio.Task[Any]:
    """Create a callback; await the task for its result. The code has to wait once, for anything,
    before it is created."""

    async def wait() -> Any:
        answer = await workflow.approval(name, schema=schema, timeout=timeout)
        if schema is not FORM:
            return answer
        if "error" in answer:
            raise CallbackError(answer["error"]["ErrorMessage"])
        return answer.get("result")

    return asyncio.ensure_future(wait())


@child(name="WaitForCallback")
async def wait_for_callback(name: str, submitter: str, timeout: float | None) -> Any:
    """Create a callback, tell of it, and wait."""
    result = callback(name, timeout=timeout)
    await asyncio.sleep(0)
    await SUBMITTERS[submitter](name)
    return await result


SUBMITTERS: dict[str, Step[..., Any]] = {"submit": submit}
"""The steps that `wait_for_callback` knows, by name: a run's arguments are data."""
