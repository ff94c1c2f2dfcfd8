"""What notebooks import as `workflow`: the decorator, and what the code of a workflow may call.

    @workflow
    async def research(topic: str) -> str:
        notes = await asyncio.gather(*(ask(q) for q in questions(topic)))   # durable steps
        await asyncio.sleep(3600)                                          # a durable timer
        ...

Names and meanings are those of Temporal's Python SDK (temporalio.workflow) where it has them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from evercell.engine.workflow import context
from evercell.engine.workflow.definition import define_workflow
from evercell.engine.workflow.handle import get_handle
from evercell.engine.workflow.messages import Handler

if TYPE_CHECKING:
    import random as random_module
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractContextManager
    from datetime import datetime
    from uuid import UUID

    from evercell.engine.durations import Duration
    from evercell.engine.workflow.handle import WorkflowHandle

__all__ = ["RunInfo", "workflow"]


@dataclass(frozen=True, slots=True)
class RunInfo:
    """What a run knows of itself."""

    run_id: str
    workflow: str
    workflow_id: str
    started_at: int  # nanoseconds since the epoch
    parent: str | None  # run_id of the parent
    continued_from: str | None  # run_id before it, where it continues one as new
    memo: dict[str, Any]
    history_length: int  # how many things the code asked for so far


class UpdateDecorator:
    """A registered update; `@name.validator` gives it a validator."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler

    def validator(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Have `function` look at an update's arguments before it is accepted; what it raises
        rejects it, and then nothing is recorded."""
        self._handler.validator = function
        return function


class _Workflow:
    """`@workflow`, and what the code of a workflow may call. See the module's docstring."""

    __call__ = staticmethod(define_workflow)

    def __repr__(self) -> str:
        return "<workflow: the decorator, and what workflow code may call>"

    # -- time, chance, identity -----------------------------------------------------------------

    def now(self) -> datetime:
        """The run's time, UTC: that of the latest thing that reached it."""
        return context.now(context.instance_here("now()"))

    def time(self) -> float:
        """The same, in seconds since the epoch."""
        return context.instance_here("time()").timers.seconds()

    def random(self) -> random_module.Random:
        """The run's generator of random numbers, which a replay repeats."""
        return context.instance_here("random()").random

    def uuid4(self) -> UUID:
        """A random UUID that a replay repeats."""
        return context.uuid4(context.instance_here("uuid4()"))

    def info(self) -> RunInfo:
        """What the run knows of itself."""
        instance = context.instance_here("info()")
        start = instance.start
        return RunInfo(
            run_id=instance.run_id,
            workflow=instance.started.workflow,
            workflow_id=start.workflow_id,
            started_at=instance.started.at,
            parent=start.parent,
            continued_from=start.continued_from,
            memo={} if instance.memo is None else msgspec.json.decode(instance.memo),
            history_length=instance.asks.count,
        )

    def is_replaying(self) -> bool:
        """Whether the code goes over ground that the history knows: then it should not print."""
        return context.instance_here("is_replaying()").asks.replaying

    # -- waiting --------------------------------------------------------------------------------

    def sleep(self, duration: Duration, *, summary: str | None = None) -> Awaitable[None]:
        """A durable timer: seconds, a timedelta, or text such as "3d"; `summary` is what the
        history calls it."""
        return context.sleep(context.instance_here("sleep()"), duration, summary)

    def wait_condition(
        self, predicate: Callable[[], object], *, timeout: Duration | None = None
    ) -> Awaitable[None]:
        """Wait until `predicate()` is true; it is asked after whatever happens in the run. Raises
        TimeoutError."""
        instance = context.instance_here("wait_condition()")
        return context.wait_condition(instance, predicate, timeout)

    def wait_signal(
        self, name: str, kind: Any = Any, *, timeout: Duration | None = None
    ) -> Awaitable[Any]:
        """The argument of the next signal of this name, also of one that came early; a tuple for
        several. `kind`: what it is to be, such as a pydantic model. Raises TimeoutError, UsageError
        for another kind."""
        return context.ask_signal(context.instance_here("wait_signal()"), name, kind, timeout)

    def approval(
        self, prompt: str, schema: Any = None, *, timeout: Duration | None = None
    ) -> Awaitable[Any]:
        """A person's answer: True or False; with `schema` (a pydantic model, a dataclass or a JSON
        schema) the filled-in form, or None where it was rejected. Raises TimeoutError."""
        return context.ask_approval(context.instance_here("approval()"), prompt, schema, timeout)

    # -- messages -------------------------------------------------------------------------------

    def signal(self, function: Callable[..., Any] | None = None, *, name: str | None = None) -> Any:
        """`@workflow.signal`: a function of the running code that takes signals of its name."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            instance = context.registering("signal")
            instance.messages.on_signal(Handler(name or function.__name__, function))
            return function

        return register if function is None else register(function)

    def query(self, function: Callable[..., Any] | None = None, *, name: str | None = None) -> Any:
        """`@workflow.query`: a plain function of the running code that answers queries."""

        def register(function: Callable[..., Any]) -> Callable[..., Any]:
            handler = Handler(name or function.__name__, function)
            context.registering("query").messages.queries[handler.name] = handler
            return function

        return register if function is None else register(function)

    def update(self, function: Callable[..., Any] | None = None, *, name: str | None = None) -> Any:
        """`@workflow.update`: a function of the running code that carries out updates."""

        def register(function: Callable[..., Any]) -> UpdateDecorator:
            handler = Handler(name or function.__name__, function)
            context.registering("update").messages.updates[handler.name] = handler
            return UpdateDecorator(handler)

        return register if function is None else register(function)

    def all_handlers_finished(self) -> bool:
        """Whether no update is under way."""
        return context.instance_here("all_handlers_finished()").messages.idle

    def get_handle(self, name: str) -> WorkflowHandle[Any]:
        """The run with this run id or workflow id: from workflow code to signal or cancel it, from
        a cell for everything. Raises RunNotFoundError, in workflow code when it is used."""
        return get_handle(name)

    # -- versions, markers, ends ----------------------------------------------------------------

    def patched(self, patch: str) -> bool:
        """Whether this run takes the new way: True for runs that come here for the first time,
        False for those whose history went past it before the patch."""
        return context.patched(context.instance_here("patched()"), patch)

    def deprecate_patch(self, patch: str) -> None:
        """No run takes the old way any more: the next step towards removing the patch."""
        context.deprecate_patch(context.instance_here("deprecate_patch()"), patch)

    def side_effect(self, function: Callable[[], Any], *, name: str | None = None) -> Any:
        """What `function()` returned the first time; it may call anything, and should be quick.
        Raises NotStorableError."""
        return context.side_effect(context.instance_here("side_effect()"), function, name)

    def unsafe(self) -> AbstractContextManager[None]:
        """Let one block call clocks, files and the like, where a replay may do so again."""
        return context.unsafe()

    def continue_as_new(self, *args: Any, **kwargs: Any) -> NoReturn:
        """End this run and go on in a fresh one with these arguments: its history begins anew.
        Signals that nobody took go with it."""
        context.continue_as_new(context.instance_here("continue_as_new()"), args, kwargs)

    def upsert_search_attributes(self, attributes: dict[str, Any]) -> None:
        """Merge into the run's search attributes, which SQL shows. Raises UsageError for what is
        not JSON."""
        instance = context.instance_here("upsert_search_attributes()")
        context.set_attributes(instance, attributes, None)

    def upsert_memo(self, memo: dict[str, Any]) -> None:
        """Merge into the run's memo. Raises UsageError for what is not JSON."""
        context.set_attributes(context.instance_here("upsert_memo()"), None, memo)


workflow = _Workflow()
