"""A workflow function: its options, its code's version, and how its runs are started."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Generic, Literal, ParamSpec, TypeVar, cast, overload

import msgspec

from evercell.codec import values
from evercell.engine.current import calling_workflow
from evercell.engine.durations import Duration, seconds
from evercell.engine.function import FunctionVersion
from evercell.engine.workflow import context
from evercell.errors import UsageError
from evercell.loading import importing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from evercell.engine.workflow.handle import WorkflowHandle
    from evercell.engine.workflow.schedules import OverlapPolicy
    from evercell.engine.workflow.starting import ConflictPolicy, ReusePolicy
    from evercell.engine.workflow.timetable import ScheduleHandle
    from evercell.engine.workflow.worker import WorkflowWorker
    from evercell.events import ParentClosePolicy, Payload, RunStarted

__all__ = ["DEFINED", "UNTOLD", "OnEdit", "Workflow", "define_workflow"]

P = ParamSpec("P")
R = TypeVar("R")

OnEdit = Literal["replay", "pin"]

DEFINED: dict[str, Workflow[..., Any]] = {}
"""The latest definition of each name that this process made with the decorator."""

UNTOLD: dict[str, Workflow[..., Any]] = {}
"""Those of them of which nobody has told the worker yet."""

_OPTIONS = frozenset({
    "execution_timeout", "id", "id_conflict_policy", "id_reuse_policy", "memo",
    "parent_close_policy", "search_attributes",
})  # fmt: skip


class Workflow(Generic[P, R]):
    """A durable async function; made by `@workflow`. `start` begins a run of it."""

    def __init__(
        self,
        function: Callable[P, Coroutine[Any, Any, R]],
        *,
        name: str | None = None,
        execution_timeout: Duration | None = None,
        on_edit: OnEdit = "replay",
    ) -> None:
        if not inspect.iscoroutinefunction(function):
            raise UsageError(
                f"@workflow decorates async functions, not {function!r}: write `async def`. For a "
                "plain function whose result is to be recorded there is @step."
            )
        self.signature = inspect.signature(function)
        if clash := _OPTIONS & set(self.signature.parameters):
            raise UsageError(
                f"workflow {function.__qualname__!r} has a parameter {min(clash)!r}, which is an "
                "option of start(). Give it another name."
            )
        if on_edit not in ("replay", "pin"):
            raise UsageError(f"on_edit is 'replay' or 'pin', not {on_edit!r}.")
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        self.__wrapped__ = function
        self.function = function
        self.name = name or function.__qualname__
        self.execution_timeout = None if execution_timeout is None else seconds(execution_timeout)
        self.on_edit: OnEdit = on_edit
        self._version = FunctionVersion(function, None)
        self.start_version = FunctionVersion(function, "start")  # a run's start, as a cell's call

    def __repr__(self) -> str:
        return f"<workflow {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        options = {
            "name": self.name,
            "execution_timeout": self.execution_timeout,
            "on_edit": self.on_edit,
        }
        return _rebuild, (self.__wrapped__, options)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> WorkflowHandle[R]:
        """Start a run with no options; await what is returned for its result."""
        return self.start(*args, **cast("dict[str, Any]", kwargs))

    def start(
        self,
        *args: Any,
        id: str | None = None,  # noqa: A002 - Temporal's word
        id_conflict_policy: ConflictPolicy = "fail",
        id_reuse_policy: ReusePolicy = "allow_duplicate",
        execution_timeout: Duration | None = None,
        memo: dict[str, Any] | None = None,
        search_attributes: dict[str, Any] | None = None,
        parent_close_policy: ParentClosePolicy = "terminate",
        **kwargs: Any,
    ) -> WorkflowHandle[R]:
        """Begin a run with these arguments, and return its handle: `await handle`, or
        `handle.result()`, for what it returns.

        In a recorded cell it is a durable call: run again, the cell gets the same run. In the code
        of another workflow the run is its child.

        id: the workflow id, unique among the open runs of the notebook's run; made up if None.
        id_conflict_policy: what to do when an open run has the id.
        id_reuse_policy: what to do when a closed run has the id.
        execution_timeout: after it the run, with all that continue it, is ended as "timed out".
        memo, search_attributes: JSON objects that the history shows.
        parent_close_policy: what happens to a child that is open when its parent ends.

        Raises UsageError for arguments that the function does not take, NotStorableError,
        WorkflowAlreadyStartedError, NotInKernelError.
        """
        with importing:
            from evercell.engine.workflow import calls  # noqa: PLC0415 - it imports this module

        self.named(args, kwargs)
        limit = self.execution_timeout if execution_timeout is None else seconds(execution_timeout)
        options = calls.StartOptions(
            id=id,
            conflict=id_conflict_policy,
            reuse=id_reuse_policy,
            execution_timeout=limit,
            memo=None if memo is None else context.json_text(memo),
            search_attributes=(
                None if search_attributes is None else context.json_text(search_attributes)
            ),
            parent_close_policy=parent_close_policy,
        )
        parent = calling_workflow()
        if parent is not None:
            return cast("WorkflowHandle[R]", calls.start_child(parent, self, args, kwargs, options))
        return calls.start(self, args, kwargs, options)

    run = start
    """The same: `await flow.run(x)` reads well where only the result matters."""

    def schedule(
        self,
        schedule_id: str,
        *,
        cron: str | None = None,
        every: Duration | None = None,
        offset: Duration = 0,
        timezone: str = "UTC",
        overlap: OverlapPolicy = "skip",
        catchup_window: Duration = "365d",
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        paused: bool = False,
        note: str | None = None,
    ) -> ScheduleHandle:
        """Start runs with these arguments at certain times, while a kernel of this notebook lives;
        times that were missed are caught up when it lives again. A schedule of the same id is
        changed.

        cron: "minute hour day month weekday", in `timezone`. every, offset: an interval, counted
        from the epoch. overlap: what happens while the run before is open: "skip", "buffer_one",
        "buffer_all", "cancel_other", "terminate_other" or "allow_all". catchup_window: how far back
        missed times are made up for.

        Raises UsageError, NotStorableError, WorkflowAlreadyStartedError, NotInKernelError.
        """
        with importing:
            from evercell.engine.workflow import timetable  # noqa: PLC0415 - it imports this module

        spec = timetable.Timetable(cron, every, offset, timezone, overlap, catchup_window)
        return timetable.schedule(
            self, schedule_id, spec, args, kwargs or {}, paused=paused, note=note
        )

    def named(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The arguments by parameter name, as JSON data for people. Raises UsageError."""
        try:
            bound = self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise UsageError(f"workflow {self.name!r} takes {self.signature}: {error}.") from error
        data: dict[str, Any] = msgspec.json.decode(values.json_view(dict(bound.arguments)))
        return data

    def view(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The arguments as a JSON object by parameter name, for people."""
        return values.json_view(dict(self.signature.bind(*args, **kwargs).arguments))

    def code_version(self) -> bytes:
        """A digest of the function's code and of what it reaches."""
        return self._version.compute(lambda _: None).version

    def pinned(self, worker: WorkflowWorker) -> Payload | None:
        """The function by value, where its runs keep the code that they began with."""
        if self.on_edit != "pin":
            return None
        encoded = values.encode(self.function, worker.live)
        return worker.history.put(encoded.data, encoded.codec)

    def for_run(self, started: RunStarted, worker: WorkflowWorker) -> Workflow[..., Any]:
        """The definition that the run goes on with: today's, or the one it is pinned to. Raises
        PayloadError, RestoreError."""
        start = started.start
        if start is None or start.definition is None or start.version == self.code_version():
            return self
        data = worker.history.get(start.definition)
        function = values.decode(start.definition.encoding, data, worker.live)
        return Workflow(function, name=self.name, on_edit="pin")


def _rebuild(function: Callable[..., Any], options: dict[str, Any]) -> Workflow[..., Any]:
    return Workflow(function, **options)


@overload
def define_workflow(function: Callable[P, Coroutine[Any, Any, R]], /) -> Workflow[P, R]: ...


@overload
def define_workflow(
    *,
    name: str | None = None,
    execution_timeout: Duration | None = None,
    on_edit: OnEdit = "replay",
) -> Callable[[Callable[P, Coroutine[Any, Any, R]]], Workflow[P, R]]: ...


def define_workflow(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """What `@workflow` does, see `namespace.py`."""

    def define(function: Callable[..., Any]) -> Workflow[..., Any]:
        definition = Workflow(function, **options)
        DEFINED[definition.name] = UNTOLD[definition.name] = definition
        return definition

    return define if function is None else define(function)
