"""`@step`: a function whose calls are durable.

    call -> arguments in normal form -> Scope.enter -> Answered: return | Raised: raise
                                                    -> Call: Attempts, driven sync or async

Outside a recorded cell a step is the plain function with its retries and limits: nothing is
recorded.
"""

from __future__ import annotations

import functools
import inspect
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast, overload

from evercell.codec import values
from evercell.codec.changes import may_change
from evercell.engine.arguments import Answering, Watched
from evercell.engine.attempts import Attempts, StepOptions, drive, drive_async
from evercell.engine.control import Control
from evercell.engine.current import calling_workflow
from evercell.engine.durations import Duration, seconds
from evercell.engine.function import FunctionVersion
from evercell.engine.gate import Gate, RateLimit, gate_for, rate
from evercell.engine.mapping import map_async, map_sync
from evercell.engine.plain import Unrecorded, commit_nothing, commit_nothing_async
from evercell.engine.recorder import Recorded
from evercell.engine.retry import ONCE, RetryPolicy
from evercell.engine.scope import Answered, Call, Raised, current_scope
from evercell.engine.straight import perform, perform_async
from evercell.errors import UsageError
from evercell.events import MapStarted

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from evercell.engine.attempts import Recorder
    from evercell.engine.scope import Scope

__all__ = ["Step", "step"]

P = ParamSpec("P")
R = TypeVar("R")

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Step(Generic[P, R]):
    """A durable function; made by `@step`. Calling it returns what the function returns (an
    awaitable, for an async one). In the code of a workflow every call is awaited."""

    __evercell_step__ = True

    def __init__(
        self,
        function: Callable[P, R],
        *,
        retry: RetryPolicy | None = None,
        start_to_close_timeout: Duration | None = None,
        schedule_to_close_timeout: Duration | None = None,
        schedule_to_start_timeout: Duration | None = None,
        heartbeat_timeout: Duration | None = None,
        max_concurrent: int | None = None,
        rate_limit: RateLimit | None = None,
        priority: int | Callable[..., int] = 0,
        at_most_once: bool = False,
        key: Callable[..., object] | None = None,
        ignore: Iterable[str] = (),
        version: str | int | None = None,
        name: str | None = None,
    ) -> None:
        functools.update_wrapper(cast("Callable[..., Any]", self), function)
        self.__wrapped__ = function
        self.is_async = inspect.iscoroutinefunction(function)
        _check_kind(function)
        self.max_concurrent = max_concurrent
        self.rate_limit = rate_limit
        self.priority = priority
        self.options = StepOptions(
            retry=retry or ONCE,
            start_to_close_timeout=_limit("start_to_close_timeout", start_to_close_timeout),
            schedule_to_close_timeout=_limit(
                "schedule_to_close_timeout", schedule_to_close_timeout
            ),
            schedule_to_start_timeout=_limit(
                "schedule_to_start_timeout", schedule_to_start_timeout
            ),
            heartbeat_timeout=_limit("heartbeat_timeout", heartbeat_timeout),
            gate=_gate(function, max_concurrent, rate_limit),
        )
        self.at_most_once = at_most_once
        limited = self.options.limits_attempts or self.options.gate is not None
        self.straight = not (limited or at_most_once)  # see straight.py
        self.key = key
        self.ignore = frozenset(ignore)
        self.version = None if version is None else str(version)
        self.name = name or function.__qualname__
        self.signature = inspect.signature(function)
        self.function_version = FunctionVersion(function, self.version)
        parameters = self.signature.parameters
        self._names = tuple(parameters)
        if unknown := self.ignore - set(parameters):
            raise UsageError(
                f"step {self.name!r} ignores {sorted(unknown)}, which it has no parameters for."
            )
        self._arity = (
            len(parameters)
            if all(p.kind in _POSITIONAL for p in parameters.values())
            and not self.ignore
            and key is None
            else -1
        )

    def __repr__(self) -> str:
        return f"<step {self.name}>"

    def __reduce__(self) -> tuple[Any, ...]:
        limits = self.options
        options = {
            "retry": limits.retry,
            "start_to_close_timeout": limits.start_to_close_timeout,
            "schedule_to_close_timeout": limits.schedule_to_close_timeout,
            "schedule_to_start_timeout": limits.schedule_to_start_timeout,
            "heartbeat_timeout": limits.heartbeat_timeout,
            "max_concurrent": self.max_concurrent,
            "rate_limit": self.rate_limit,
            "priority": self.priority,
            "at_most_once": self.at_most_once,
            "key": self.key,
            "ignore": tuple(sorted(self.ignore)),
            "version": self.version,
            "name": self.name,
        }
        return _rebuild, (self.__wrapped__, options)

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        __tracebackhide__ = True
        workflow = calling_workflow()
        if workflow is not None:
            asked: R = workflow.step(self, args, kwargs)
            return asked
        if self.is_async:
            return cast("R", self._call_async(args, kwargs))
        begun = self._begin(args, kwargs)
        result: R = begun.value if isinstance(begun, Answered) else begun()
        return result

    def map(
        self,
        *iterables: Iterable[Any],
        max_concurrency: int = 32,
        return_exceptions: bool = False,
    ) -> Any:
        """Call the step for each item, like the built-in `map`, `max_concurrency` at a time.

        Returns the results in the order of the items: a list, or for an async step an awaitable of
        one. After the first failure no further item is begun; those under way are finished and
        recorded, then the failure is raised. With `return_exceptions` every item is tried and
        failures stand in the list. Raises UsageError for a `max_concurrency` below 1.
        """
        __tracebackhide__ = True
        if max_concurrency < 1:
            raise UsageError("max_concurrency must be at least 1.")
        items = list(zip(*iterables, strict=False))
        workflow = calling_workflow()
        if workflow is not None:
            calls = [functools.partial(workflow.step, self, item, {}) for item in items]
            return map_async(calls, max_concurrency, return_exceptions=return_exceptions)
        if self.is_async:
            return self._map_async(items, max_concurrency, return_exceptions)
        begun = self._begin_all(items)
        return map_sync(begun, max_concurrency, return_exceptions=return_exceptions)

    async def _call_async(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        __tracebackhide__ = True
        begun = self._begin(args, kwargs)
        return begun.value if isinstance(begun, Answered) else await begun()

    async def _map_async(
        self, items: list[tuple[Any, ...]], limit: int, return_exceptions: bool
    ) -> list[Any]:
        __tracebackhide__ = True
        begun = self._begin_all(items)
        return await map_async(begun, limit, return_exceptions=return_exceptions)

    def _begin_all(self, items: list[tuple[Any, ...]]) -> list[Answered | Callable[[], Any]]:
        """Look all calls up, and record how many will be made, for who waits for them."""
        __tracebackhide__ = True
        begun = [self._begin(item, {}) for item in items]
        scope = current_scope()
        calls = sum(not isinstance(each, Answered | Answering) for each in begun)
        if scope is not None and calls > 1:
            now = scope.clock.now()
            scope.history.append(MapStarted(scope.run_id, now, scope.cell, self.name, calls))
        return begun

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Answered | Callable[[], Any]:
        """Look the call up, which counts it; the answer, or what is left to do (to call, and for an
        async step to await)."""
        __tracebackhide__ = True
        scope = current_scope()
        if scope is None:
            control = Control("unrecorded")
            attempts = self.attempts(Unrecorded(self.name), control, args, kwargs)
            return self._driven(attempts, args, kwargs, commit_nothing, commit_nothing_async)
        plain = len(args) == self._arity and not kwargs  # as most calls are: one call less
        arguments = args if plain else self.normal_form(args, kwargs)
        entered = scope.enter(self, arguments)
        if isinstance(entered, Answered) and entered.changed is None:  # a million times
            return entered
        match entered:
            case Answered(value, changed, version):
                assert changed is not None  # noqa: S101 - see above
                return Answering(
                    scope, self.name, version, arguments, value, changed, self.is_async
                )
            case Raised(error):
                return functools.partial(_raise_async if self.is_async else _raise, error)
            case Call():
                return self._calling(scope, entered, arguments, args, kwargs)

    def _calling(
        self,
        scope: Scope,
        call: Call,
        arguments: tuple[object, ...],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Callable[[], Any]:
        watched = Watched(scope, call, self.name, arguments) if may_change(arguments) else None
        view = functools.partial(self.view, args, kwargs)
        recorder = Recorded(scope, call, self.name, view, once=self.at_most_once, watched=watched)
        attempts = self.attempts(recorder, Control(call.activity_id), args, kwargs)
        history = scope.history
        if watched is not None or not self.straight:
            return self._driven(attempts, args, kwargs, history.commit, history.commit_async)
        body: Any = functools.partial(self.__wrapped__, *args, **kwargs)
        if self.is_async:
            commit = history.commit_async
            return functools.partial(perform_async, attempts, recorder, body, commit)
        return functools.partial(perform, attempts, recorder, body, history.commit)

    def attempts(
        self, recorder: Recorder, control: Control, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Attempts:
        """The life of one call whose body has to run, to be driven."""
        priority = self.priority
        if callable(priority):
            priority = priority(*args, **kwargs)
        return Attempts(self.name, recorder, self.options, control, priority)

    def _driven(
        self,
        attempts: Attempts,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        commit: Callable[..., None],
        commit_async: Callable[..., Awaitable[None]],
    ) -> Callable[[], Any]:
        body = functools.partial(self.__wrapped__, *args, **kwargs)
        if self.is_async:
            return functools.partial(drive_async, attempts, cast("Any", body), commit_async)
        return functools.partial(drive, attempts, body, commit)

    def normal_form(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[object, ...]:
        """The arguments in normal form: however they were passed, defaults filled in, without
        ignored ones; or what the author's `key` function makes of them."""
        if len(args) == self._arity and not kwargs:
            return args
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        if self.key is not None:
            return ("key", self.key(*args, **kwargs))
        return tuple(v for name, v in bound.arguments.items() if name not in self.ignore)

    def view(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
        """The arguments by name, JSON for people."""
        if len(args) == self._arity and not kwargs:
            return values.json_view(dict(zip(self._names, args, strict=True)))
        return values.json_view(dict(self.signature.bind(*args, **kwargs).arguments))


def _limit(name: str, value: Duration | None) -> float | None:
    if value is None:
        return None
    found = seconds(value)
    if found <= 0:
        raise UsageError(f"{name} must be longer than 0.")
    return found


def _gate(
    function: Callable[..., Any], max_concurrent: int | None, rate_limit: RateLimit | None
) -> Gate | None:
    if max_concurrent is not None and max_concurrent < 1:
        raise UsageError("max_concurrent must be at least 1.")
    name = f"{function.__module__}.{function.__qualname__}"
    return gate_for(name, max_concurrent, None if rate_limit is None else rate(rate_limit))


def _raise(error: BaseException) -> None:
    __tracebackhide__ = True
    raise error


async def _raise_async(error: BaseException) -> None:
    __tracebackhide__ = True
    raise error


def _check_kind(function: Callable[..., Any]) -> None:
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise UsageError(
            f"{function.__qualname__} is a generator, and a step's result must be one value. "
            "Collect the items in the function and return them as a list."
        )
    if not callable(function):
        raise UsageError(f"@step decorates functions, not {function!r}.")


def _rebuild(function: Callable[..., Any], options: dict[str, Any]) -> Step[..., Any]:
    return Step(function, **options)


@overload
def step(function: Callable[P, R], /) -> Step[P, R]: ...


@overload
def step(
    *,
    retry: RetryPolicy | None = None,
    start_to_close_timeout: Duration | None = None,
    schedule_to_close_timeout: Duration | None = None,
    schedule_to_start_timeout: Duration | None = None,
    heartbeat_timeout: Duration | None = None,
    max_concurrent: int | None = None,
    rate_limit: RateLimit | None = None,
    priority: int | Callable[..., int] = 0,
    at_most_once: bool = False,
    key: Callable[..., object] | None = None,
    ignore: Iterable[str] = (),
    version: str | int | None = None,
    name: str | None = None,
) -> Callable[[Callable[P, R]], Step[P, R]]: ...


def step(function: Callable[..., Any] | None = None, /, **options: Any) -> Any:
    """Make a function's calls durable: `@step`, or `@step(retry=..., ...)`.

    In a recorded cell a call whose result is in the history returns it without running the body;
    else the body runs, and its result is on disk before the caller sees it. A call is known by its
    function (name, code, and the helpers, constants and data it reads), its arguments, and how many
    identical calls the cell made before.

    retry: when failed attempts are tried again; without one a step is tried once. `RetryPolicy()`
        has Temporal's defaults.
    start_to_close_timeout: limit of one attempt, in seconds, as timedelta or text ("2m").
    schedule_to_close_timeout: limit of the whole call, with all attempts and waits.
    schedule_to_start_timeout: limit of waiting for a place; the call then fails for good.
    heartbeat_timeout: limit of silence: see `heartbeat`.
    max_concurrent: how many calls of this function run at a time in this process.
    rate_limit: how many begin in a time: "60/m", (60, "1m"), or a number per second.
    priority: who gets the next place, the lowest first; a number, or a function of the arguments.
    at_most_once: durable before the body starts; a call in doubt raises InDoubtError.
    key: function of the arguments whose value stands for them.
    ignore: names of parameters that don't count, such as a client.
    version: replaces the code in the identity: results stay valid until the author changes it.
    name: shown instead of the function's qualified name; part of no key.

    All of Temporal's options have its names and mean what they mean there. Raises UsageError for
    generators and for options that make no sense.
    """
    if function is not None:
        return Step(function)
    return functools.partial(Step, **options)
